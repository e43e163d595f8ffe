"""Apps for the tests of the details: PEP 3333, ASGI 3, the client, and what goes wrong."""
import asyncio, ctypes, json, logging, os, signal, sys, threading, time, warnings
from wsgiref.validate import validator

import skein
from skein import was

state = {"closed": 0, "disconnected": 0, "cancelled": 0, "started": 0, "stopped": 0, "pulled": 0}
COUNT = "probe.count"
skein.register_states(COUNT)


if "PROBE_SHUTDOWN" in os.environ:
    import atexit
    atexit.register(lambda: open(os.environ["PROBE_SHUTDOWN"] + ".atexit", "w").write("left"))


def text(start, *parts, status="200 OK", fields=()):
    start(status, [("Content-Type", "text/plain"), *fields])
    return [part if isinstance(part, bytes) else str(part).encode() for part in parts]


class Closing:
    def __init__(self, pieces, wait=0):
        self.pieces, self.wait = iter(pieces), wait

    def __iter__(self): return self

    def __next__(self):
        if self.wait:
            time.sleep(self.wait)
        state["pulled"] += 1
        piece = next(self.pieces)
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self): state["closed"] += 1


def app(environ, start):
    path = environ["PATH_INFO"]
    base = f"http://{environ['HTTP_HOST']}{environ['SCRIPT_NAME']}"
    if path == "/":
        return text(start, "probe")
    if path == "/state":
        return text(start, json.dumps(state))
    if path == "/pid":
        return text(start, os.getpid())
    if path == "/environ":
        return text(start, json.dumps({key: str(value) for key, value in environ.items()}))
    # PEP 3333
    if path == "/write":
        write = start("200 OK", [("Content-Type", "text/plain")])
        write(b"written, ")
        write(b"then ")
        return [b"returned"]
    if path == "/closing":
        start("200 OK", [("Content-Type", "text/plain")])
        return Closing([b"a", b"", b"b"])
    if path == "/closing-error":
        start("200 OK", [("Content-Type", "text/plain")])
        return Closing([b"a", ValueError("behind the head")])
    if path == "/endless":
        start("200 OK", [("Content-Type", "application/octet-stream")])
        return Closing((b"x" * 65536 for _ in iter(int, 1)))
    if path == "/replaced":
        start("200 OK", [("Content-Type", "text/plain")])
        try:
            raise ValueError("before the head")
        except ValueError:
            start("500 Replaced", [("Content-Type", "text/plain")], sys.exc_info())
        return [b"replaced"]
    if path == "/too-late":
        start("200 OK", [("Content-Type", "text/plain")])(b"head and all")
        try:
            raise ValueError("behind the head")
        except ValueError:
            start("500 Replaced", [], sys.exc_info())
        return []
    if path == "/twice":
        start("200 OK", [])
        start("200 OK", [])
        return []
    if path == "/no-start":
        return [b"x"]
    if path == "/str":
        start("200 OK", [])
        return ["text"]
    if path == "/bad-status":
        start("OK", [])
        return [b""]
    if path == "/bad-field":
        start("200 OK", [("X-A", "a\r\nX-B: b")])
        return [b""]
    if path == "/late-start":
        def pieces():
            start("200 OK", [("Content-Type", "text/plain")])
            yield b"late"
        return pieces()
    if path == "/too-much":
        start("200 OK", [("Content-Length", "3")])
        return [b"abcdef"]
    if path == "/input":
        stream = environ["wsgi.input"]
        first = stream.readline()
        rest = [stream.read(2), *stream.readlines()]
        return text(start, repr([first, rest, stream.read(100), environ.get("CONTENT_LENGTH")]))
    if path == "/size":
        total = 0
        while True:
            piece = environ["wsgi.input"].read(65536)
            if not piece:
                return text(start, total)
            total += len(piece)
    if path == "/wrapped":
        start("200 OK", [("Content-Type", "text/plain")])
        file = open(__file__, "rb")
        file.read(3)
        return environ["wsgi.file_wrapper"](file, 4096)
    if path == "/packed":
        import gzip, tempfile
        folder = tempfile.mkdtemp()
        with gzip.open(folder + "/a.gz", "wb") as file:
            file.write(b"unpacked")
        start("200 OK", [("Content-Type", "text/plain")])
        return environ["wsgi.file_wrapper"](gzip.open(folder + "/a.gz"))
    if path == "/negative":
        start("200 OK", [("Content-Length", "-5")])
        return [b""]
    if path == "/ticks":
        start("200 OK", [("Content-Type", "text/event-stream")])
        return Closing([b"tick "] * 8, 0.25)
    if path == "/written":
        write = start("200 OK", [("Content-Type", "application/octet-stream")])
        try:
            while True:
                write(b"x" * 65536)
        except BrokenPipeError:
            state["closed"] += 1
            raise
    if path == "/zeros":
        count = int(environ["QUERY_STRING"])
        start("200 OK", [("Content-Type", "application/octet-stream")])
        return (b"\0" * 65536 for _ in range(count))
    if path == "/errors":
        environ["wsgi.errors"].write("to the errors\n")
        logging.getLogger("probe").warning("to logging")
        warnings.warn("a warning of the app")
        print("to standard output")
        skein.log("to the engine's log", "warning")
        return text(start, "said")
    # What takes time
    if path == "/sleep":
        time.sleep(float(environ["QUERY_STRING"] or 1))
        return text(start, "slept")
    if path == "/compute":
        end = time.monotonic() + float(environ["QUERY_STRING"] or 1)
        while time.monotonic() < end:
            pass
        return text(start, "computed")
    if path == "/threads":
        return text(start, sum("python" in open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task")))
    # What goes wrong
    if path == "/segfault":
        ctypes.string_at(0)
    if path == "/deadlock":
        ctypes.PyDLL(None).pause()
    if path == "/exit":
        sys.exit(3)
    if path == "/fork":
        if os.fork() == 0:
            return text(start, "the child")
        return text(start, "the parent")
    if path == "/children":
        import subprocess
        codes = []
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            child = subprocess.Popen(["sleep", "20"])
            child.send_signal(number)
            codes.append(child.wait(5))
        spawned = os.posix_spawnp("sleep", ["sleep", "20"], os.environ)
        os.kill(spawned, signal.SIGTERM)
        codes.append(os.WTERMSIG(os.waitpid(spawned, 0)[1]))
        forked = os.fork()
        if forked == 0:
            signal.alarm(1)
            time.sleep(20)
            os._exit(0)
        codes.append(os.WTERMSIG(os.waitpid(forked, 0)[1]))
        return text(start, json.dumps(codes))
    if path == "/signal":
        signal_number = signal.SIGTERM
        try:
            signal.signal(signal_number, lambda *_: None)
        except ValueError:
            pass
        return text(start, "set")
    # The client
    if path == "/client":
        first = skein.get(base + "/sleep?1")
        second = skein.get(base + "/sleep?1")
        begun = time.monotonic()
        answers = [first.fetch(timeout=5), second.dispatch(timeout=5).data]
        return text(start, json.dumps({"answers": answers, "time": time.monotonic() - begun, "gtxid": skein.gtxid(), "ltxid": skein.ltxid()}))
    if path == "/client-post":
        response = was.post(base + "/echo", {"user": "Hans Roh", "comment": "Hello"}).dispatch(timeout=3)
        return text(start, json.dumps([response.status == skein.STA_NORMAL, response.status_code, response.reason, response.get_header("content-type"), response.data]))
    if path == "/echo":
        size = int(environ.get("CONTENT_LENGTH") or 0)
        return text(start, environ["wsgi.input"].read(size), fields=[("X-Method", environ["REQUEST_METHOD"]), ("X-Transaction", environ.get("HTTP_X_GTXN_ID", ""))])
    if path == "/client-fails":
        outcomes = []
        for url, timeout in ((base + "/", float("inf")), (base + "/twice", 3), ("http://127.0.0.1:1/", 3), (base + "/sleep?2", 0.1), ("@nobody/x", 1)):
            try:
                outcomes.append(skein.get(url).fetch(timeout=timeout))
            except skein.Error as error:
                outcomes.append(error.code)
        return text(start, json.dumps(outcomes))
    if path == "/client-tasks":
        a, b = was.Tasks([was.get(base + "/pid"), was.get(base + "/")], timeout=3).fetch()
        more = skein.tasks(skein.get(base + "/pid"))
        more.add(skein.get(base + "/twice"))
        codes = [response.status_code for response in more]
        return text(start, json.dumps([a == str(os.getpid()), b, codes, skein.Mask([1, 2]).fetch(), skein.Thread(lambda x: x + 1, 4).fetch()]))
    if path == "/client-db":
        with was.db("@lite") as db:
            db.execute("DROP TABLE IF EXISTS pets").commit()
            db.execute("CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT, weight REAL, picture BLOB)").commit(timeout=2)
            db.execute("INSERT INTO pets VALUES ($1, $2, $3, $4)", 1, "Ada's \u20ac", 1.5, b"\0\1").commit()
            rows = db.execute("SELECT id, name, weight, hex(picture) AS picture, NULL AS empty FROM pets").fetch(timeout=2)
            one = db.execute("SELECT name FROM pets WHERE id = $1", 1).one()
            codes = []
            for statement in ("SELECT * FROM pets WHERE id = 2", "INSERT INTO pets (id) VALUES (1)", "SELEKT"):
                try:
                    codes.append(db.execute(statement).one())
                except skein.Error as error:
                    codes.append(error.code)
        return text(start, json.dumps([rows, one, codes]))
    if path == "/client-redis":
        with was.db("@store") as db:
            db.set("foo", "bar").wait()
            db.lpush("list", 1, 2).commit()
            return text(start, json.dumps([db.get("foo").fetch(), db.lrange("list", 0, -1).fetch(), db.get("none").fetch()]))
    if path == "/client-rpc":
        with was.jsonrpc(base + "/jsonrpc") as stub:
            answers = [stub.add(1, 2).fetch(timeout=3), stub.greet.named(name="Ada").fetch()]
            try:
                stub.fail().fetch()
            except skein.Error as error:
                answers.append(str(error))
        with was.xmlrpc(base + "/xmlrpc") as stub:
            answers.append(stub.system.add(3, 4).fetch())
        return text(start, json.dumps(answers))
    if path == "/jsonrpc":
        call = json.loads(environ["wsgi.input"].read())
        answer = {"jsonrpc": "2.0", "id": call["id"]}
        if call["method"] == "fail":
            answer["error"] = {"code": -32000, "message": "it fails"}
        else:
            answer["result"] = sum(call["params"]) if call["method"] == "add" else [call["method"], call["params"]]
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]
    if path == "/xmlrpc":
        import xmlrpc.client
        values, method = xmlrpc.client.loads(environ["wsgi.input"].read())
        start("200 OK", [("Content-Type", "text/xml")])
        return [xmlrpc.client.dumps((sum(values),), methodresponse=True).encode()]
    if path == "/client-map":
        answers = was.get.map("@self/pid").dispatch(timeout=3)
        return text(start, json.dumps([len(answers), [answer.status_code for answer in answers], was.get("@self/").fetch()]))
    if path == "/client-kept":
        first = skein.get(base + "/count").dispatch(cache=60).data
        second = skein.get(base + "/count").fetch()
        third = skein.get(base + "/count", use_cache=False).fetch()
        kept = skein.get(base + "/count", use_cache=was.getlu("pets")).fetch()
        time.sleep(0.01)
        was.setlu("pets")
        fourth = skein.get(base + "/count", use_cache=was.getlu("pets")).fetch()
        return text(start, json.dumps([first, second, third, kept, fourth]))
    if path == "/count":
        state["started"] += 1
        return text(start, state["started"])
    if path == "/client-states":
        was.setgs(COUNT, was.getgs(COUNT) + 1)
        return text(start, json.dumps([was.getgs(COUNT), was.addgs(COUNT, 5)]))
    if path == "/stack":
        from flask import Flask
        return text(start, Flask.__name__)
    return text(start, "nothing", status="404 Not Found")


validated = validator(app)


def linted(environ, start):
    from webtest import lint
    return lint.middleware(app)(environ, start)


async def asgi(scope, receive, send):
    async def answer(body, status=200, fields=(), more=False):
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain"), *fields]})
        await send({"type": "http.response.body", "body": body if isinstance(body, bytes) else str(body).encode(), "more_body": more})

    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                if os.environ.get("PROBE_STARTUP") == "fail":
                    await send({"type": "lifespan.startup.failed", "message": "no database"})
                    return
                scope["state"]["made"] = "by the lifespan"
                await send({"type": "lifespan.startup.complete"})
            else:
                if "PROBE_SHUTDOWN" in os.environ:
                    open(os.environ["PROBE_SHUTDOWN"], "w").write("shut down")
                await send({"type": "lifespan.shutdown.complete"})
                return
    path = scope["path"][len(scope["root_path"]):]
    host = dict(scope["headers"]).get(b"host", b"").decode()
    base = f"http://{host}{scope['root_path']}"
    if scope["type"] == "websocket":
        assert (await receive())["type"] == "websocket.connect"
        if path == "/ws/deny":
            await send({"type": "websocket.http.response.start", "status": 418, "headers": [(b"x-why", b"tea")]})
            await send({"type": "websocket.http.response.body", "body": b"no socket here"})
            return
        if path == "/ws/close":
            await send({"type": "websocket.close"})
            return
        if path == "/ws/error":
            raise RuntimeError("before it is open")
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0] if scope["subprotocols"] else None, "headers": [(b"x-accepted", b"yes")]})
        if path == "/ws/late-error":
            raise RuntimeError("after it is open")
        if path == "/ws/flood":
            for number in range(2000):
                await send({"type": "websocket.send", "text": "x" * 1000})
            await send({"type": "websocket.close", "code": 4000, "reason": "all sent"})
            return
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                state["disconnected"] = [message["code"], message.get("reason")]
                return
            await send({"type": "websocket.send", "text": message["text"]} if message.get("text") is not None else {"type": "websocket.send", "bytes": message["bytes"]})
    if path == "/":
        return await answer("probe")
    if path == "/state":
        return await answer(json.dumps(state))
    if path == "/scope":
        return await answer(json.dumps({key: value if isinstance(value, (str, dict)) else str(value) for key, value in scope.items() if key != "headers"}))
    if path == "/body":
        pieces = []
        while True:
            message = await receive()
            pieces.append(len(message.get("body", b"")))
            if not message.get("more_body"):
                return await answer(json.dumps([sum(pieces), len(pieces) > 1]))
    if path == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(10):
            await send({"type": "http.response.body", "body": f"{number} ".encode(), "more_body": True})
        return await send({"type": "http.response.body"})
    if path == "/endless":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        waiting = asyncio.ensure_future(receive_until_left(receive))
        while not waiting.done():
            state["pulled"] += 1
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        state["disconnected"] += 1
        return
    if path == "/wait":
        while (await receive())["type"] != "http.disconnect":
            pass
        state["disconnected"] += 1
        return
    if path == "/forever":
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            if "PROBE_SHUTDOWN" in os.environ:
                open(os.environ["PROBE_SHUTDOWN"] + ".cancelled", "w").write("cancelled")
            raise
    if path == "/trailers":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"trailer", b"x-sum")], "trailers": True})
        await send({"type": "http.response.body", "body": b"with trailers"})
        return await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"42")]})
    if path == "/path":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/x-python")]})
        return await send({"type": "http.response.pathsend", "path": os.path.abspath(__file__)})
    if path == "/hint":
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload; as=style"]})
        return await answer("hinted")
    if path == "/error":
        raise RuntimeError("an error of the app")
    if path == "/no-answer":
        return
    if path == "/half":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        return
    if path == "/wrong":
        try:
            await send({"type": "http.response.body", "body": b""})
        except RuntimeError as error:
            return await answer(error)
    if path == "/sleep":
        await asyncio.sleep(float(scope["query_string"] or 1))
        return await answer("slept")
    if path == "/pieces":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(int(scope["query_string"])):
            await send({"type": "http.response.body", "body": b"x" * 300000, "more_body": True})
        return await send({"type": "http.response.body"})
    if path == "/tasks":
        message = await asyncio.create_task(receive())
        waiting = asyncio.create_task(receive())
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        waiting.cancel()
        number = await skein.Thread(lambda: 6)
        return await answer(f"{message['type']} {len(done)} {number.data}")
    if path == "/exit-task":
        async def leave(): sys.exit(3)
        asyncio.create_task(leave())
        return await answer("leaving")
    if path == "/background":
        await answer("answered")
        await asyncio.sleep(1)
        open(os.environ["PROBE_SHUTDOWN"] + ".background", "w").write("done")
        return
    if path == "/loop":
        return await answer(type(asyncio.get_running_loop()).__module__)
    if path == "/client":
        first = skein.get(base + "/sleep?1")
        second = skein.get(base + "/sleep?1")
        begun = time.monotonic()
        answers = [await first.fetch(timeout=5), (await second).data, *await skein.tasks(skein.get(base + "/"), skein.get(base + "/")).fetch()]
        failed = None
        try:
            await skein.get(base + "/sleep?2").fetch(timeout=0.1)
        except skein.Error as error:
            failed = error.code
        rows = await skein.db("@lite").execute("SELECT 1 AS one").fetch()
        number = await skein.addgs(COUNT, 2)
        return await answer(json.dumps({"answers": answers, "time": time.monotonic() - begun, "failed": failed, "rows": rows, "gtxid": skein.gtxid(), "number": number, "thread": await skein.Thread(lambda: 5).fetch()}))
    return await answer("nothing", 404)


async def receive_until_left(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


class Old:
    """ASGI 2: a callable that returns a callable."""

    def __init__(self, scope): self.scope = scope

    async def __call__(self, receive, send):
        if self.scope["type"] != "http":
            raise ValueError("no lifespan")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"an old app"})
