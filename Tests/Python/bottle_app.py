import hashlib, os

import bottle
from bottle import HTTPResponse, redirect, request, response, static_file

app = bottle.Bottle()


def as_json(value):
    import json
    response.content_type = "application/json"
    return json.dumps(value, sort_keys=True)


@app.get("/hello")
def hello(): return "Hello, world!"


@app.get("/json")
def json(): return as_json({"name": "Ada", "born": 1815})


@app.get("/status/<code:int>")
def status(code): return HTTPResponse("" if code in (204, 304) else f"status {code}", status=code)


@app.get("/headers")
def headers(): return as_json({name: request.headers.get(name) for name in ("X-One", "X-Two", "Accept-Language", "Host", "User-Agent")})


@app.get("/query")
def query(): return as_json({"a": request.query.getall("a"), "b": request.query.b, "raw": request.query_string})


@app.get("/path/<rest:path>")
def path(rest): return as_json({"rest": rest, "path": request.path})


@app.post("/form")
def form(): return as_json(sorted(request.forms.decode().items()))


@app.post("/upload")
def upload():
    file = request.files.get("file")
    content = file.file.read()
    return as_json({"name": file.raw_filename, "size": len(content), "hash": hashlib.sha1(content).hexdigest(), "field": request.forms.field})


@app.route("/body", method=["POST", "PUT"])
def body():
    content = request.body.read()
    return as_json({"size": len(content), "hash": hashlib.sha1(content).hexdigest(), "length": request.content_length})


@app.route("/unread", method=["GET", "POST"])
def unread(): return "not read"


@app.get("/cookies")
def cookies():
    response.set_cookie("one", "1")
    response.set_cookie("two", "zwei", path="/cookies")
    return as_json(dict(request.cookies))


@app.get("/redirect")
def away(): redirect("/hello")


@app.get("/stream")
def stream():
    response.content_type = "text/plain"
    for number in range(20):
        yield f"piece {number}\n"


@app.get("/error")
def error(): raise RuntimeError("an error of the app")


@app.get("/file")
def file(): return static_file(os.path.basename(__file__), root=os.path.dirname(os.path.abspath(__file__)), mimetype="text/x-python")


@app.get("/big")
def big():
    response.content_type = "application/octet-stream"
    return b"0123456789abcdef" * 65536


@app.get("/url")
def url(): return as_json({"url": request.url, "host": request.urlparts.netloc})


@app.get("/remote")
def remote(): return as_json(request.remote_addr)


@app.route("/method", method=["GET", "POST", "PUT", "PATCH", "DELETE"])
def method(): return request.method


@app.get("/empty")
def empty(): return ""
