// The event loop of ASGI apps and their lifespans, in Python; and diagnostics.

extension PythonSource {
    static let loop = #"""
        # ASGI

        _loop = None


        def _run_loop(descriptor, drain, begun, done):
            global _loop
            try:
                import uvloop
                loop = uvloop.new_event_loop()
            except Exception as error:
                if not isinstance(error, ImportError):
                    _log(logging.WARNING, "asgi", "uvloop cannot be used: " + _describe(error))
                loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            _loop = loop
            loop.add_reader(descriptor, drain)
            collections.abc.Coroutine.register(type(done))
            begun(loop, loop.create_future, asyncio.Task, loop.call_soon)
            while True:
                # A task that exits, or an app that stops the loop, does not end the server.
                try:
                    loop.run_forever()
                    _log(logging.ERROR, "asgi", "an app stopped the event loop; the loop continues")
                except BaseException as error:
                    _log(logging.ERROR, "asgi", "a task ended the event loop; the loop continues: " + _describe(error))


        async def _awaited(future):
            return await future


        def _parallelism():
            """Threads that can run Python at the same time."""
            return (os.cpu_count() or 1) if hasattr(sys, "_is_gil_enabled") and not sys._is_gil_enabled() else 1


        async def _serve(app, scope, receive, send, call):
            _current.set(call)
            try:
                await app(scope, receive, send)
            except BaseException as error:
                _asgi_end(call, error)
            else:
                _asgi_end(call, None)


        class _lifespan:
            """The life of an ASGI app: its startup before the first request, its shutdown after the last."""

            def __init__(self, app, state, report):
                self.app, self.state, self.report = app, state, report
                self.asked = asyncio.Queue()
                self.asked.put_nowait({"type": "lifespan.startup"})
                self.is_asked = self.is_started = self.is_over = False
                self.task = asyncio.Task(self.run(), loop=_loop)

            async def run(self):
                scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
                try:
                    await self.app(scope, self.receive, self.send)
                except BaseException as error:
                    # An app without a lifespan says so by raising.
                    if self.is_started:
                        _log(logging.ERROR, "asgi", _describe(error))
                    elif self.is_asked:
                        _log(logging.WARNING, "asgi", "the app's startup raised an exception; the app serves without lifespan: " + _describe(error))
                    else:
                        _log(logging.DEBUG, "asgi", "the app does not support lifespan: " + _describe(error))
                self.is_over = True
                self.tell(None)

            async def receive(self):
                event = await self.asked.get()
                self.is_asked = True
                return event

            async def send(self, event):
                kind = event["type"]
                if kind == "lifespan.startup.complete":
                    self.is_started = True
                    self.tell(None)
                elif kind == "lifespan.startup.failed":
                    self.tell(event.get("message") or "the app's startup failed")
                elif kind == "lifespan.shutdown.complete":
                    self.tell(None)
                elif kind == "lifespan.shutdown.failed":
                    _log(logging.ERROR, "asgi", "the app's shutdown failed: " + event.get("message", ""))
                    self.tell(None)
                else:
                    raise RuntimeError(f"{kind!r} is not a lifespan message")

            def tell(self, problem):
                report, self.report = self.report, None
                if report:
                    report(problem)

            def stop(self, report):
                self.report = report
                if self.is_over:
                    self.tell(None)
                else:
                    self.asked.put_nowait({"type": "lifespan.shutdown"})


        # Care

        def _dump():
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            return "\n".join(
                f"thread {names.get(number, number)}:\n" + "".join(traceback.format_stack(frame)).rstrip()
                for number, frame in sys._current_frames().items())


        def _name_thread(name):
            threading.current_thread().name = name


        def _leave():
            atexit._run_exitfuncs()
        """#
}
