import contextlib, hashlib, os

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

done = []


async def hello(request): return PlainTextResponse("Hello, world!")
async def json(request): return JSONResponse({"name": "Ada", "born": 1815, "text": "é€"})
async def status(request):
    code = request.path_params["code"]
    return Response("" if code in (204, 304) else f"status {code}", status_code=code)
async def headers(request):
    return JSONResponse({name: request.headers.get(name) for name in ("X-One", "X-Two", "Accept-Language", "Host", "User-Agent", "X_Under")})
async def query(request):
    return JSONResponse({"a": request.query_params.getlist("a"), "b": request.query_params.get("b"), "raw": request.url.query})
async def path(request): return JSONResponse({"rest": request.path_params["rest"], "path": request.url.path})
async def form(request): return JSONResponse(sorted((await request.form()).items()))


async def upload(request):
    form = await request.form()
    content = await form["file"].read()
    return JSONResponse({"name": form["file"].filename, "size": len(content), "hash": hashlib.sha1(content).hexdigest(), "field": form.get("field")})


async def body(request):
    content = await request.body()
    return JSONResponse({"size": len(content), "hash": hashlib.sha1(content).hexdigest(), "length": request.headers.get("content-length")})


async def unread(request): return PlainTextResponse("not read")


async def cookies(request):
    response = JSONResponse(request.cookies)
    response.set_cookie("one", "1")
    response.set_cookie("two", "zwei", path="/cookies")
    return response


async def away(request): return RedirectResponse("/hello")


async def stream(request):
    async def pieces():
        for number in range(20):
            yield f"piece {number}\n"
    return StreamingResponse(pieces(), media_type="text/plain")


async def error(request): raise RuntimeError("an error of the app")


async def late_error(request):
    async def pieces():
        yield b"x" * 100
        raise RuntimeError("an error behind the head")
    return StreamingResponse(pieces(), media_type="text/plain", headers={"Content-Length": "1000"})


async def file(request): return FileResponse(os.path.abspath(__file__), media_type="text/x-python")
async def big(request): return Response(b"0123456789abcdef" * 65536, media_type="application/octet-stream")
async def url(request): return JSONResponse({"url": str(request.url), "base": str(request.base_url), "made": str(request.url_for("hello"))})
async def remote(request): return JSONResponse(request.client.host)
async def method(request): return PlainTextResponse(request.method)
async def latin1(request): return Response("", headers={"X-Text": "caf\u00e9"})
async def empty(request): return Response("")
async def scope(request):
    names = ("type", "http_version", "method", "scheme", "root_path")
    return JSONResponse({**{name: request.scope[name] for name in names}, "raw_path": request.scope["raw_path"].decode(), "state": getattr(request.state, "started", None)})
async def background(request): return JSONResponse(len(done), background=BackgroundTask(done.append, 1))


async def echo(socket):
    await socket.accept(subprotocol="chat" if "chat" in socket.scope["subprotocols"] else None)
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                break
            if message.get("text") is not None:
                await socket.send_text(message["text"])
            else:
                await socket.send_bytes(message["bytes"])
    except WebSocketDisconnect:
        pass


async def refuse(socket): await socket.close(4003)


async def leave(socket):
    await socket.accept()
    await socket.send_text("bye")
    await socket.close(4001, "enough")


@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"started": "yes"}


both = ["GET", "POST"]
app = Starlette(lifespan=lifespan, routes=[
    Route("/hello", hello, name="hello"), Route("/json", json), Route("/status/{code:int}", status), Route("/headers", headers),
    Route("/query", query), Route("/path/{rest:path}", path), Route("/form", form, methods=["POST"]), Route("/upload", upload, methods=["POST"]),
    Route("/body", body, methods=["POST", "PUT"]), Route("/unread", unread, methods=both), Route("/cookies", cookies), Route("/redirect", away),
    Route("/stream", stream), Route("/error", error), Route("/late-error", late_error), Route("/file", file), Route("/big", big), Route("/url", url),
    Route("/remote", remote), Route("/method", method, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]), Route("/latin1", latin1),
    Route("/empty", empty), Route("/scope", scope), Route("/background", background),
    WebSocketRoute("/ws/echo", echo), WebSocketRoute("/ws/refuse", refuse), WebSocketRoute("/ws/leave", leave),
])
