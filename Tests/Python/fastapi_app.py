import asyncio, hashlib, os, threading
from typing import List, Optional

from fastapi import BackgroundTasks, Depends, FastAPI, File, Form, HTTPException, Query, Request, UploadFile, WebSocket
from fastapi.responses import FileResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from pydantic import BaseModel

app = FastAPI()


class Item(BaseModel):
    name: str
    price: float


@app.get("/hello", response_class=PlainTextResponse)
async def hello(): return "Hello, world!"


@app.get("/json")
def json(): return {"name": "Ada", "born": 1815, "text": "é€"}


@app.get("/status/{code}")
async def status(code: int): return Response("" if code in (204, 304) else f"status {code}", status_code=code)


@app.get("/headers")
async def headers(request: Request):
    return {name: request.headers.get(name) for name in ("X-One", "X-Two", "Accept-Language", "Host", "User-Agent")}


@app.get("/query")
async def query(request: Request, a: Optional[List[str]] = Query(None), b: Optional[str] = None): return {"a": a, "b": b, "raw": request.url.query}


@app.get("/path/{rest:path}")
async def path(rest: str, request: Request): return {"rest": rest, "path": request.url.path}


@app.post("/form")
async def form(request: Request): return sorted((await request.form()).items())


@app.post("/upload")
async def upload(file: UploadFile = File(), field: str = Form()):
    content = await file.read()
    return {"name": file.filename, "size": len(content), "hash": hashlib.sha1(content).hexdigest(), "field": field}


@app.post("/body")
@app.put("/body")
async def body(request: Request):
    content = await request.body()
    return {"size": len(content), "hash": hashlib.sha1(content).hexdigest(), "length": request.headers.get("content-length")}


@app.post("/item")
def item(item: Item): return item


@app.get("/unread")
@app.post("/unread")
async def unread(): return PlainTextResponse("not read")


@app.get("/cookies")
async def cookies(request: Request, response: Response):
    response.set_cookie("one", "1")
    response.set_cookie("two", "zwei", path="/cookies")
    return request.cookies


@app.get("/redirect")
async def away(): return RedirectResponse("/hello")


@app.get("/stream")
async def stream():
    async def pieces():
        for number in range(20):
            await asyncio.sleep(0)
            yield f"piece {number}\n"
    return StreamingResponse(pieces(), media_type="text/plain")


@app.get("/error")
async def error(): raise RuntimeError("an error of the app")


@app.get("/http-error")
async def http_error(): raise HTTPException(status_code=409, detail="there already", headers={"X-Error": "yes"})


@app.get("/file")
async def file(): return FileResponse(os.path.abspath(__file__), media_type="text/x-python")


@app.get("/big")
async def big(): return Response(b"0123456789abcdef" * 65536, media_type="application/octet-stream")


@app.get("/url")
async def url(request: Request): return {"url": str(request.url), "base": str(request.base_url)}


@app.get("/remote")
async def remote(request: Request): return request.client.host


@app.api_route("/method", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
async def method(request: Request): return PlainTextResponse(request.method)


@app.get("/empty")
async def empty(): return Response("")


@app.get("/thread")
def thread(): return threading.current_thread() is not threading.main_thread()


@app.websocket("/ws/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)
