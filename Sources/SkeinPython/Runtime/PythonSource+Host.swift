// What the engine needs of Python, in Python: how apps are found, what they read from and write to, and the event loop.

/// The sources of the module `skein`.
enum PythonSource {
    static let host = #"""
        import asyncio, atexit, collections.abc, contextvars, importlib, importlib.util, inspect, io, logging, os, signal, stat, sys, tempfile, threading, traceback, warnings

        _current = contextvars.ContextVar("skein.current", default=None)


        def _describe(error):
            return "".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip()


        # The log: what no handler of the app takes, warnings, and what is written to standard output, line by line.

        class _LogHandler(logging.Handler):
            def emit(self, record):
                try:
                    _log(record.levelno, record.name, self.format(record))
                except Exception:
                    self.handleError(record)


        def _show_warning(message, category, filename, lineno, file=None, line=None):
            text = warnings.formatwarning(message, category, filename, lineno, line).rstrip()
            if file is not None:
                file.write(text + "\n")
            else:
                _log(logging.WARNING, "py.warnings", text)


        logging.lastResort = _LogHandler(logging.WARNING)
        warnings.showwarning = _show_warning
        for _stream in (sys.stdout, sys.stderr):
            if hasattr(_stream, "reconfigure"):
                _stream.reconfigure(line_buffering=True)


        # Signals are the engine's.

        _signal = signal.signal
        _engine_signals = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}


        def _set_signal(number, handler):
            if number in _engine_signals:
                _log(logging.WARNING, "skein", f"{signal.Signals(number).name} is handled by the engine; the app's handler is not set")
                return signal.getsignal(number)
            return _signal(number, handler)


        signal.signal = _set_signal


        # Apps

        def _module(target, folder):
            if not target.endswith(".py"):
                if folder not in sys.path:
                    sys.path.insert(0, folder)
                return importlib.import_module(target)
            path = os.path.realpath(target if os.path.isabs(target) else os.path.join(folder, target))
            if not os.path.isfile(path):
                raise FileNotFoundError(f"there is no file {path}")
            parts = [os.path.splitext(os.path.basename(path))[0]]
            root = os.path.dirname(path)
            while os.path.isfile(os.path.join(root, "__init__.py")):
                root, name = os.path.split(root)
                parts.insert(0, name)
            # Django's folder of settings has had no __init__.py since namespace packages; its project is where manage.py is.
            if len(parts) == 1 and os.path.isfile(os.path.join(os.path.dirname(root), "manage.py")):
                root, name = os.path.split(root)
                parts.insert(0, name)
            if parts[-1] == "__init__":
                parts.pop()
            for entry in (folder, root):
                if entry not in sys.path:
                    sys.path.insert(0, entry)
            name = ".".join(parts)
            known = sys.modules.get(name)
            if known is not None and os.path.realpath(getattr(known, "__file__", None) or path) == path:
                return known
            if known is None and all(part.isidentifier() for part in parts):
                return importlib.import_module(name)
            # Two apps whose files have one name, or a name that is none in Python.
            name = "skein_app_%x" % (hash(path) & 0xFFFFFFFF)
            spec = importlib.util.spec_from_file_location(name, path)
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
            return module


        def _is_asgi(app):
            call = app if inspect.isroutine(app) else getattr(app, "__call__", None)
            while hasattr(call, "func"):
                call = call.func
            if inspect.isclass(app):
                return hasattr(app, "__await__")
            return inspect.iscoroutinefunction(call)


        def _is_asgi2(app):
            try:
                parameters = [
                    parameter for parameter in inspect.signature(app).parameters.values()
                    if parameter.default is parameter.empty and parameter.kind in (0, 1)
                ]
            except (TypeError, ValueError):
                return False
            return len(parameters) == 1


        def _double(app):
            async def single(scope, receive, send):
                return await app(scope)(receive, send)
            return single


        def _load_app(target, name, folder, paths, interface):
            for path in reversed(paths):
                if path not in sys.path:
                    sys.path.insert(0, path)
            module = _module(target, folder)
            if name:
                app = eval(name, vars(module)) if "(" in name else module
                if "(" not in name:
                    for part in name.split("."):
                        if not hasattr(app, part):
                            raise AttributeError(f"{target} has no {name!r}; name the app as {target}:NAME")
                        app = getattr(app, part)
            else:
                names = [each for each in ("application", "app", "api") if callable(getattr(module, each, None))]
                if not names:
                    raise AttributeError(f"{target} has neither application nor app; name the app as {target}:NAME")
                app = getattr(module, names[0])
            if not callable(app):
                raise TypeError(f"{name or names[0]!r} of {target} is no app: it cannot be called")
            if interface == "auto":
                interface = "asgi" if _is_asgi(app) or _is_asgi2(app) else "wsgi"
            if interface == "asgi" and not _is_asgi(app) and _is_asgi2(app):
                app = _double(app)
            return app, interface


        # WSGI

        class _EmptyInput:
            __slots__ = ()

            def read(self, size=-1): return b""
            def readline(self, size=-1): return b""
            def readlines(self, hint=-1): return []
            def readable(self): return True
            def close(self): pass
            def __iter__(self): return iter(())


        _empty_input = _EmptyInput()
        _memory_input = io.BytesIO


        def _file_input(descriptor):
            return io.BufferedReader(io.FileIO(descriptor, "rb"), 65536)


        class FileWrapper:
            """A file as the answer of a WSGI app; what is on a disk is sent by the system."""

            def __init__(self, filelike, block_size=65536):
                self.filelike = filelike
                self.block_size = block_size
                if hasattr(filelike, "close"):
                    self.close = filelike.close

            def __iter__(self): return self

            def __next__(self):
                block = self.filelike.read(self.block_size)
                if block:
                    return block
                raise StopIteration


        def _is_plain(file):
            # What reads other bytes than its descriptor has, such as gzip's files, is read.
            if isinstance(file, tempfile._TemporaryFileWrapper):
                file = file.file
            return type(file) is io.FileIO or type(file) in (io.BufferedReader, io.BufferedRandom) and type(file.raw) is io.FileIO


        def _file_of(wrapper):
            try:
                if not _is_plain(wrapper.filelike):
                    return None
                descriptor = wrapper.filelike.fileno()
                state = os.fstat(descriptor)
                if not stat.S_ISREG(state.st_mode):
                    return None
                return descriptor, wrapper.filelike.tell(), state.st_size
            except Exception:
                return None


        class _Errors:
            def __init__(self): self._rest, self._lock = "", threading.Lock()

            def write(self, text):
                with self._lock:
                    *lines, self._rest = (self._rest + text).split("\n")
                for line in lines:
                    _log(logging.ERROR, "wsgi.errors", line)
                return len(text)

            def writelines(self, lines):
                for line in lines:
                    self.write(line)

            def flush(self):
                with self._lock:
                    rest, self._rest = self._rest, ""
                if rest:
                    _log(logging.ERROR, "wsgi.errors", rest)


        _errors = _Errors()


        # ASGI

        _loop = None


        def _run_loop(descriptor, drain, begun, done):
            global _loop
            try:
                import uvloop
                loop = uvloop.new_event_loop()
            except Exception as error:
                if not isinstance(error, ImportError):
                    _log(logging.WARNING, "asgi", "uvloop does not work here: " + _describe(error))
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
                    _log(logging.ERROR, "asgi", "an app has stopped the event loop; it goes on")
                except BaseException as error:
                    _log(logging.ERROR, "asgi", "a task has ended the event loop, which goes on: " + _describe(error))


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
                        _log(logging.WARNING, "asgi", "the app's startup has raised, and the app serves without: " + _describe(error))
                    else:
                        _log(logging.DEBUG, "asgi", "the app has no lifespan: " + _describe(error))
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
                    self.tell(event.get("message") or "the app's startup has failed")
                elif kind == "lifespan.shutdown.complete":
                    self.tell(None)
                elif kind == "lifespan.shutdown.failed":
                    _log(logging.ERROR, "asgi", "the app's shutdown has failed: " + event.get("message", ""))
                    self.tell(None)
                else:
                    raise RuntimeError(f"{kind!r} is no message of a lifespan")

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
            import threading
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            return "\n".join(
                f"thread {names.get(number, number)}:\n" + "".join(traceback.format_stack(frame)).rstrip()
                for number, frame in sys._current_frames().items())


        def _leave():
            atexit._run_exitfuncs()
        """#
}
