import hashlib, io, os, sys

from flask import Flask, Response, jsonify, make_response, redirect, request, send_file, stream_with_context, url_for

app = Flask(__name__)
closed = []


@app.get("/hello")
def hello():
    return "Hello, world!"


@app.get("/json")
def json():
    return jsonify(name="Ada", born=1815, text="é€")


@app.get("/status/<int:code>")
def status(code):
    return Response("" if code in (204, 304) else f"status {code}", status=code)


@app.get("/headers")
def headers():
    names = ("X-One", "X-Two", "Accept-Language", "Host", "User-Agent", "X_Under")
    return jsonify({name: request.headers.get(name) for name in names})


@app.get("/query")
def query():
    return jsonify(a=request.args.getlist("a"), b=request.args.get("b"), raw=request.query_string.decode())


@app.get("/path/<path:rest>")
def path(rest):
    return jsonify(rest=rest, path=request.path)


@app.post("/form")
def form():
    return jsonify(sorted(request.form.items()))


@app.post("/upload")
def upload():
    file = request.files["file"]
    content = file.read()
    return jsonify(name=file.filename, size=len(content), hash=hashlib.sha1(content).hexdigest(), field=request.form.get("field"))


@app.route("/body", methods=["POST", "PUT"])
def body():
    content = request.get_data()
    return jsonify(size=len(content), hash=hashlib.sha1(content).hexdigest(), length=request.content_length)


@app.get("/unread")
@app.post("/unread")
def unread():
    return "not read"


@app.get("/cookies")
def cookies():
    response = make_response(jsonify(request.cookies))
    response.set_cookie("one", "1")
    response.set_cookie("two", "zwei", path="/cookies")
    return response


@app.get("/redirect")
def away():
    return redirect(url_for("hello"))


@app.get("/stream")
def stream():
    return Response((f"piece {number}\n" for number in range(20)), mimetype="text/plain")


@app.get("/error")
def error():
    raise RuntimeError("an error of the app")


@app.get("/late-error")
def late_error():
    def pieces():
        yield b"x" * 100
        raise RuntimeError("an error behind the head")
    return Response(pieces(), mimetype="text/plain", headers={"Content-Length": "1000"})


@app.get("/file")
def file():
    return send_file(os.path.abspath(__file__), mimetype="text/x-python", conditional=True)


@app.get("/memory-file")
def memory_file():
    return send_file(io.BytesIO(b"in memory" * 1000), mimetype="application/octet-stream")


@app.get("/big")
def big():
    return Response(b"0123456789abcdef" * 65536, mimetype="application/octet-stream")


@app.get("/pieces")
def pieces():
    return Response([b"a" * 10, b"", b"b" * 10], mimetype="text/plain")


@app.get("/url")
def url():
    return jsonify(url=request.url, root=request.url_root, secure=request.is_secure, host=request.host, made=url_for("hello", _external=True))


@app.get("/remote")
def remote():
    return jsonify(request.remote_addr)


@app.route("/method", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def method():
    return request.method


@app.get("/latin1")
def latin1():
    return Response("", headers={"X-Text": "caf\u00e9"})


@app.get("/closed")
def was_closed():
    response = Response("closing")
    response.call_on_close(lambda: closed.append(1))
    response.headers["X-Closed"] = str(len(closed))
    return response


@app.get("/empty")
def empty():
    return ""


@app.get("/environ")
def environ():
    keys = ("SCRIPT_NAME", "PATH_INFO", "SERVER_PROTOCOL", "wsgi.url_scheme", "REQUEST_METHOD", "CONTENT_TYPE", "QUERY_STRING")
    return jsonify({key: request.environ.get(key) for key in keys})


@app.get("/echo-header/<value>")
def echo_header(value):
    return Response("", headers=[("X-Value", value), ("X-Value", "second")])
