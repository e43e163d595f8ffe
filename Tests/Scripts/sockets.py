"""WebSockets by Python: a server whose paths do what their names say, and a client that tries a server.

sockets.py serve [--no-deflate] [--tls CERT]   prints "listening PORT", and for raw connections "raw PORT"
sockets.py try URL [--no-deflate]              prints what it found, as JSON
"""

import asyncio
import base64
import hashlib
import json
import ssl
import sys
from urllib.parse import parse_qs, urlsplit

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

log = {}


async def handle(socket):
    parts = urlsplit(socket.request.path)
    name, query = parts.path, {key: values[0] for key, values in parse_qs(parts.query).items()}
    if name == "/echo":
        try:
            async for message in socket:
                await socket.send(message)
        finally:
            log[query.get("id")] = [socket.close_code, socket.close_reason]
    elif name == "/log":
        await socket.send(json.dumps(log.get(query["id"])))
    elif name == "/headers":
        await socket.send(json.dumps({"subprotocol": socket.subprotocol, **dict(socket.request.headers)}))
    elif name == "/close":
        await socket.close(int(query["code"]), query.get("reason", ""))
    elif name == "/push":
        # As much as the client takes; how much went out is asked for elsewhere.
        log[query["id"]] = 0
        for number in range(int(query["count"])):
            await socket.send(f"{number} " + "x" * int(query["size"]))
            log[query["id"]] = number + 1
    elif name == "/fragments":
        await socket.send(["a", "b", "", "c"])
    elif name == "/drop":
        # Lives for one message.
        await socket.send(await socket.recv())
        socket.transport.abort()


def refuse(connection, request):
    if request.path == "/forbidden":
        return connection.respond(403, "not for you\n")
    if request.path == "/moved":
        response = connection.respond(302, "")
        response.headers["Location"] = "/echo"
        return response
    return None


def choose(_, offered):
    return next((name for name in ["chat.v2", "chat.v1"] if name in offered), None)


async def raw(reader, writer):
    """Answers the handshake, sends the bytes that the target asks for, and tells what comes back."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    query = parse_qs(urlsplit(head.split(" ")[1]).query)
    key = next(line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    fields = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {query.get('accept', [accept])[0]}\r\n"
    fields += "".join(f"{field}\r\n" for field in query.get("field", []))
    writer.write(f"HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n".encode() + bytes.fromhex(query.get("hex", [""])[0]))
    received = bytearray()
    while piece := await reader.read(1000):
        received += piece
    if received and received[0] == 0x88 and received[1] >= 0x82:
        mask, payload = received[2:6], received[6:8]
        log[query["id"][0]] = int.from_bytes(bytes(byte ^ key for byte, key in zip(payload, mask)), "big")
    writer.close()


async def start(flags):
    options = {"compression": None} if "--no-deflate" in flags else {}
    if "--tls" in flags:
        options["ssl"] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        options["ssl"].load_cert_chain(flags[flags.index("--tls") + 1])
    server = await serve(
        handle, "127.0.0.1", 0, process_request=refuse, select_subprotocol=choose, write_limit=65536, max_size=None,
        **options
    )
    bare = await asyncio.start_server(raw, "127.0.0.1", 0)
    print("raw", bare.sockets[0].getsockname()[1], flush=True)
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().create_future()


async def attempt(url, flags):
    options = {"compression": None} if "--no-deflate" in flags else {}
    found = {}
    async with connect(url + "/echo", max_size=None, subprotocols=["x", "echo.v1"], **options) as socket:
        found["subprotocol"] = socket.subprotocol
        found["extensions"] = [extension.name for extension in socket.protocol.extensions]
        for message in ["", "hello", "ä€😀" * 1000, b"", bytes(range(256)) * 4096, "x" * (1 << 20)]:
            await socket.send(message)
            assert await socket.recv() == message, f"{message[:20]!r} came back changed"
        await socket.send(["a", "b", "", "c"])
        assert await socket.recv() == "abc"
        for number in range(1000):
            await socket.send(f"message {number}")
        for number in range(1000):
            assert await socket.recv() == f"message {number}"
        await (await socket.ping())
        found["echo"] = "all"
    found["close"] = [socket.close_code, socket.close_reason]
    for name in ["/bye", "/fail", "/fragments", "/large"]:
        async with connect(url + name, **options) as socket:
            try:
                message = await socket.recv()
                found[name] = message if len(message) < 100 else len(message)
                await socket.recv()
            except websockets.ConnectionClosed as closed:
                found[name + " closed"] = [closed.rcvd.code if closed.rcvd else None, closed.rcvd.reason if closed.rcvd else ""]
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(start(sys.argv[2:]))
    else:
        asyncio.run(attempt(sys.argv[2], sys.argv[3:]))
