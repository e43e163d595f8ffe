// The calls of the engine's client in Python: HTTP, remote calls, databases, threads, and shared state.

extension PythonSource {
    static let calls = #"""
        # HTTP

        def _start_http(method, url, data, params, headers, timeout, use_cache, for_all):
            if params:
                url += ("&" if "?" in url else "?") + urllib.parse.urlencode(params, doseq=True)
            fields = [(str(name), str(value)) for name, value in (headers.items() if hasattr(headers, "items") else headers or [])]
            names = {name.lower(): value for name, value in fields}
            if data is not None and not isinstance(data, (bytes, bytearray, memoryview)):
                kind = names.get("content-type", "")
                if isinstance(data, str):
                    data = data.encode()
                elif kind.startswith("application/x-www-form-urlencoded"):
                    data = urllib.parse.urlencode(data, doseq=True).encode()
                else:
                    data = json.dumps(data).encode()
                    if not kind:
                        fields.append(("Content-Type", "application/json"))
            key = ("http", method, url, tuple(fields), bytes(data) if data is not None else None, for_all)
            decode = (lambda result: [Response(each) for each in result[3]] if not result[4] else result) if for_all else None
            seconds = None if timeout is None else float(timeout)
            return Task(lambda: _http(_current.get(), method, url, fields, data, seconds, for_all), key, use_cache, decode)


        class _Method:
            """A method of HTTP; `.map` asks all members of an alias, `.lb` the one whose turn it is, as the plain call does."""

            def __init__(self, method, has_content):
                self._method, self._has_content, self.__name__ = method, has_content, method.lower()

            def __call__(self, url, data=None, params=None, headers=None, timeout=None, use_cache=True, _for_all=False):
                if not self._has_content and data is not None:
                    data, params = None, {**(params or {}), **data}
                return _start_http(self._method, url, data, params, headers, timeout, use_cache, _for_all)

            lb = property(lambda self: self)

            def map(self, url, data=None, **named):
                return self(url, data, _for_all=True, **named)


        get, head, options, delete = (_Method(name, False) for name in ("GET", "HEAD", "OPTIONS", "DELETE"))
        post, put, patch = (_Method(name, True) for name in ("POST", "PUT", "PATCH"))


        def upload(url, data, headers=None, timeout=None):
            """A form with files: values that can be read are files."""
            boundary = uuid.uuid4().hex
            body = bytearray()
            for name, value in data.items():
                quoted = str(name).replace("\\", "\\\\").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
                extra, content = "", value
                if hasattr(value, "read"):
                    content = value.read()
                    file = os.path.basename(getattr(value, "name", "file")).replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
                    extra = f'; filename="{file}"'
                if not isinstance(content, bytes):
                    content = str(content).encode()
                body += f'--{boundary}\r\nContent-Disposition: form-data; name="{quoted}"{extra}\r\n\r\n'.encode() + content + b"\r\n"
            body += f"--{boundary}--\r\n".encode()
            fields = list((headers or {}).items() if hasattr(headers or {}, "items") else headers)
            return post(url, bytes(body), headers=fields + [("Content-Type", f"multipart/form-data; boundary={boundary}")], timeout=timeout)


        # Remote calls

        class _Stub:
            def __init__(self, call, name=""):
                self._call, self._name = call, name

            def __enter__(self): return self
            def __exit__(self, *error): return None
            def __getattr__(self, name): return _Stub(self._call, f"{self._name}.{name}" if self._name else name)
            def __call__(self, *values, **named): return self._call(self._name, values, named)


        class _Remote:
            def __init__(self, start): self._start = start
            def __call__(self, url, headers=None, timeout=None, use_cache=True):
                return _Stub(lambda name, values, named: self._start(url, headers, timeout, use_cache, False, name, values, named))
            lb = property(lambda self: self)
            def map(self, url, headers=None, timeout=None, use_cache=True):
                return _Stub(lambda name, values, named: self._start(url, headers, timeout, use_cache, True, name, values, named))


        def _decoded(task, read):
            def one(result):
                if result[4] or result[0] >= 300:
                    return result
                try:
                    return [result[0], result[1], [], read(result[3]), False]
                except Error as error:
                    return [error.code, error.message, [], None, True]
                except Exception as error:
                    return [709, f"the response cannot be read: {error}", [], None, True]
            before = task._decode
            task._decode = (lambda result: [Response(one(each)) for each in result[3]] if not result[4] else result) if before else one
            return task


        def _start_jsonrpc(url, headers, timeout, use_cache, for_all, name, values, named):
            if values and named:
                raise TypeError("a call takes parameters by position or by name, not both")
            call = {"jsonrpc": "2.0", "method": name, "params": named or list(values), "id": 1}

            def read(content):
                answer = json.loads(content)
                if answer.get("error"):
                    raise Error(500, f"{answer['error'].get('code')} {answer['error'].get('message')}")
                return answer.get("result")
            return _decoded(_start_http("POST", url, call, None, headers, timeout, use_cache, for_all), read)


        def _start_xmlrpc(url, headers, timeout, use_cache, for_all, name, values, named):
            import xmlrpc.client
            body = xmlrpc.client.dumps(values, name, allow_none=True).encode()
            fields = list(headers.items() if hasattr(headers, "items") else headers or []) + [("Content-Type", "text/xml")]

            def read(content):
                try:
                    return xmlrpc.client.loads(content, use_builtin_types=True)[0][0]
                except xmlrpc.client.Fault as fault:
                    raise Error(500, f"{fault.faultCode} {fault.faultString}")
            return _decoded(_start_http("POST", url, body, None, fields, timeout, use_cache, for_all), read)


        jsonrpc, xmlrpc = _Remote(_start_jsonrpc), _Remote(_start_xmlrpc)
        rpc = xmlrpc


        # Databases

        class _Database:
            """PostgreSQL and SQLite by `execute`, Redis by its commands."""

            def __init__(self, address, use_cache=True):
                self._address, self._use_cache = address, use_cache

            def __enter__(self): return self
            def __exit__(self, *error): return None

            def execute(self, statement, *parameters, timeout=None):
                """Starts a statement; `$1`, `$2` stand for the parameters, also in SQLite."""
                values = [_parameter(value) for value in parameters]
                key = ("sql", self._address, statement, repr(values))
                seconds = None if timeout is None else float(timeout)
                return Task(lambda: _sql(_current.get(), self._address, statement, values, seconds), key, self._use_cache)

            def __getattr__(self, name):
                if name.startswith("_"):
                    raise AttributeError(name)

                def command(*arguments):
                    words = [name.replace("_", " ").upper(), *arguments]
                    return Task(lambda: _redis(_current.get(), self._address, [
                        word if isinstance(word, (bytes, int, float, str)) else str(word) for word in words
                    ]), ("redis", self._address, repr(words)), self._use_cache)
                return command


        class _Databases:
            def __call__(self, address, use_cache=True): return _Database(address, use_cache)
            lb = property(lambda self: self)


        db = _Databases()


        # Threads and processes

        _threads = None


        def _background(pool, work, arguments, named):
            future = pool.submit(work, *arguments, **named)
            task = Mask(None)
            task._result = None

            def result(timeout):
                try:
                    return [200, "OK", [], future.result(timeout), False]
                except concurrent.futures.TimeoutError:
                    return [702, "the work did not end in time", [], None, True]
                except Exception as error:
                    return [500, f"{type(error).__name__}: {error}", [], None, True]

            def then(timeout, finish, cache=None, cache_if=(200,)):
                loop = asyncio._get_running_loop()
                if loop is None:
                    return finish(task._response(result(timeout)))

                async def later():
                    try:
                        await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), timeout)
                    except Exception:
                        pass
                    return finish(task._response(result(0 if timeout else None)))
                return later()
            task._then = then
            return task


        def Thread(work, *arguments, **named):
            """Starts a function on a thread."""
            global _threads
            if _threads is None:
                _threads = concurrent.futures.ThreadPoolExecutor(max_workers=32, thread_name_prefix="skein")
            return _background(_threads, work, arguments, named)


        # What processes share

        def _state(operation, names, number=None):
            found = [Task(lambda name=name: _shared(_current.get(), operation, name, number)) for name in names]

            def last(values):
                known = [value for value in values if value is not None]
                return (max(known) if known else None) if operation == "last" else values[0]
            loop = asyncio._get_running_loop()
            if loop is None:
                return last([task.fetch() for task in found])

            async def later():
                return last([await task.fetch() for task in found])
            return later()


        _states = set()


        def register_states(*names):
            """Names the states that the processes of the server share, before they are used; also as a decorator."""
            _states.update(names)
            return lambda decorated: decorated


        def _known(name):
            if name not in _states:
                raise Error(701, f"the state {name!r} is not registered; call skein.register_states({name!r}) first")
            return name


        def getgs(name): return _state("get", [_known(name)])
        def setgs(name, value): return _state("set", [_known(name)], int(value))
        def addgs(name, number=1): return _state("add", [_known(name)], int(number))
        def setlu(*names): return [_state("touch", [name]) for name in names][-1]


        def getlu(*names):
            """The time of the last change of any of these, in seconds since 1970, for `use_cache`; False for never."""
            found = _state("last", list(names))
            if asyncio._get_running_loop() is None:
                return True if found is None else found

            async def later():
                value = await found
                return True if value is None else value
            return later()


        def log(message, level="info", name="app"):
            """A line of the engine's log."""
            _log({"debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40, "critical": 50}.get(level, 20), name, str(message))


        def gtxid():
            """The identity of the transaction that the request belongs to; None outside of a request."""
            found = _transaction(_current.get())
            return found and found[0]


        def ltxid():
            """The identity of the request in its transaction; None outside of a request."""
            found = _transaction(_current.get())
            return found and found[1]


        # The ancestor's name for all of this: `from skein import was`.
        was = sys.modules["skein"]
        """#
}
