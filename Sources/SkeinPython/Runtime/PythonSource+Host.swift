// The engine's functions that are written in Python: how apps are found, their input and output, and the event loop.

/// The sources of the module `skein`.
enum PythonSource {
    static let host = #"""
        import asyncio, atexit, collections.abc, contextvars, importlib, importlib.machinery, importlib.util, inspect, io, logging, os, signal, stat, subprocess, sys, tempfile, threading, traceback, warnings

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
        # Programs that apps start get their signals: fork() has a place to see to it (in C), vfork() has none.
        subprocess._USE_VFORK = False


        def _spawning(spawn):
            def started(*arguments, **named):
                named.setdefault("setsigmask", [])
                named.setdefault("setsigdef", _engine_signals)
                return spawn(*arguments, **named)
            return started


        os.posix_spawn, os.posix_spawnp = _spawning(os.posix_spawn), _spawning(os.posix_spawnp)


        # Apps

        def _module(target, folder):
            if not target:
                raise ValueError("name the app's module or file: app:app")
            is_file = target.endswith(".py") or "/" in target or os.path.isfile(os.path.join(folder, target))
            if not is_file:
                if folder not in sys.path:
                    sys.path.insert(0, folder)
                top = target.partition(".")[0]
                known, meant = sys.modules.get(top), importlib.machinery.PathFinder.find_spec(top, [folder])
                places = [getattr(each, name, None) for each, name in ((known, "__file__"), (meant, "origin"))]
                if all(places) and os.path.realpath(places[0]) != os.path.realpath(places[1]):
                    raise ImportError(
                        f"a module {top!r} is loaded from {places[0]}, and a process can load one module of a name; "
                        f"name the app by its file, {target}.py, or serve it from a separate process")
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
            if known is None and path.endswith(".py") and all(part.isidentifier() for part in parts):
                return importlib.import_module(name)
            # Two apps whose files have one name, or a name that is none in Python.
            name = "skein_app_%x" % (hash(path) & 0xFFFFFFFF)
            spec = importlib.util.spec_from_file_location(name, path, loader=importlib.machinery.SourceFileLoader(name, path))
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
                raise TypeError(f"{name or names[0]!r} of {target} is not an app: it is not callable")
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
            def write(self, text):
                # At once: a line that is kept until its end comes could meet that of another request.
                for line in text.split("\n"):
                    if line.strip():
                        _log(logging.ERROR, "wsgi.errors", line)
                return len(text)

            def writelines(self, lines):
                for line in lines:
                    self.write(line)

            def flush(self): pass


        _errors = _Errors()
        """#
}
