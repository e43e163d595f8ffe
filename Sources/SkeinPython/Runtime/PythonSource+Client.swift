// The engine's client for apps in Python: the ancestor's `was`, as the module `skein`.

extension PythonSource {
    static let client = #"""
        import collections, concurrent.futures, datetime, decimal, json, threading, time, urllib.parse, uuid

        __doc__ = """The engine's client, for the apps that the engine serves.

        A call starts at once and returns a task. `dispatch()` waits for the response, `fetch()` for what it carries, `one()` for exactly one
        record, `commit()` and `wait()` for the end. In a thread they block, and let others run meanwhile; in a coroutine they are awaited.

            import skein
            pets = skein.get("@pets/v1/pets")                # both run at the same time
            owners = skein.db("@pg").execute("SELECT * FROM owners WHERE age > $1", 30)
            return [pets.fetch(timeout=3), owners.fetch()]
        """

        STA_UNSENT, STA_REQFAIL, STA_TIMEOUT, STA_NETERR, STA_NORMAL = range(5)


        class Error(Exception):
            """What has come of a call instead of a success: `code` is the status, or 700 to 722 for a failure."""

            def __init__(self, code, message):
                super().__init__(f"{code} {message}")
                self.code, self.status_code, self.message = code, code, message


        _epoch = datetime.datetime(1970, 1, 1)


        def _special(kind, text):
            if kind == "numeric":
                return decimal.Decimal(text)
            if kind == "integer":
                return int(text)
            if kind == "json":
                return json.loads(text)
            if kind == "uuid":
                return uuid.UUID(text)
            if kind == "date":
                return datetime.date.fromisoformat(text)
            if kind == "time":
                return datetime.time.fromisoformat(text)
            moment = _epoch + datetime.timedelta(microseconds=int(text))
            return moment.replace(tzinfo=datetime.timezone.utc) if kind == "timestamptz" else moment


        def _parameter(value):
            if isinstance(value, decimal.Decimal):
                return ("numeric", str(value))
            if isinstance(value, uuid.UUID):
                return ("uuid", str(value))
            if isinstance(value, dict):
                return ("json", json.dumps(value))
            if isinstance(value, datetime.datetime):
                zoned = value.tzinfo is not None
                plain = value.astimezone(datetime.timezone.utc).replace(tzinfo=None) if zoned else value
                return ("timestamptz" if zoned else "timestamp", str((plain - _epoch) // datetime.timedelta(microseconds=1)))
            if isinstance(value, (datetime.date, datetime.time)):
                return ("text", value.isoformat())
            if isinstance(value, (list, tuple)):
                return [_parameter(each) for each in value]
            return value


        class Response:
            """What a call has come to."""

            def __init__(self, result, meta=None):
                self.status_code, self.reason, self._fields, self._content, self._failed = result
                self.meta = meta or {}

            @property
            def status(self):
                if not self._failed:
                    return STA_NORMAL
                return STA_TIMEOUT if self.status_code in (702, 703) else STA_NETERR if self.status_code != 701 else STA_REQFAIL

            @property
            def headers(self):
                return {name: value for name, value in self._fields}

            def get_header(self, name, default=None):
                return next((value for key, value in self._fields if key.lower() == name.lower()), default)

            @property
            def content(self):
                """Bytes of HTTP, rows of a database, the value of a command."""
                return self._content

            @property
            def text(self):
                return self._content.decode("utf-8", "replace") if isinstance(self._content, bytes) else str(self._content)

            def json(self):
                return json.loads(self._content)

            @property
            def data(self):
                """The content by its type: JSON as what it stands for, text as text."""
                if not isinstance(self._content, bytes):
                    return self._content
                kind = (self.get_header("Content-Type") or "").partition(";")[0].strip().lower()
                if kind == "application/json" or kind.endswith("+json"):
                    try:
                        return json.loads(self._content) if self._content else None
                    except ValueError as error:
                        raise Error(709, f"the response is not JSON: {error}")
                return self.text if kind.startswith("text/") else self._content

            def raise_for_status(self):
                if self._failed or self.status_code >= 300:
                    raise Error(self.status_code, self.reason)
                return self

            def fetch(self):
                return self.raise_for_status().data

            def one(self):
                data = self.fetch()
                if not isinstance(data, (list, tuple)):
                    if data is None:
                        raise Error(410, "expected exactly one record, got none")
                    return data
                if len(data) != 1:
                    raise Error(410, f"expected exactly one record, got {len(data) or 'none'}")
                return data[0]

            def commit(self):
                self.raise_for_status()

            def __repr__(self):
                return f"<Response {self.status_code} {self.reason}>"


        # Kept results: the ancestor's dispatch(cache=seconds), and use_cache by the last change of what they are made of.

        _kept, _kept_lock, _kept_limit = collections.OrderedDict(), threading.Lock(), 4096


        def _find_kept(key, use_cache):
            if key is None or use_cache is False:
                return None
            with _kept_lock:
                found = _kept.get(key)
                if found is None:
                    return None
                expires, made, result = found
                if time.time() >= expires or use_cache is not True and use_cache is not None and use_cache > made:
                    del _kept[key]
                    return None
                _kept.move_to_end(key)
                return result


        def _keep(key, seconds, result):
            with _kept_lock:
                _kept[key] = (time.time() + seconds, time.time(), result)
                _kept.move_to_end(key)
                while len(_kept) > _kept_limit:
                    _kept.popitem(last=False)


        class Task:
            """A call that has started."""

            def __init__(self, handle, key=None, use_cache=True, decode=None, meta=None):
                self._result = _find_kept(key, use_cache)
                self._handle = None if self._result is not None else handle()
                self._key, self._decode, self._meta = key, decode, meta or {}

            # How to wait

            def _response(self, result, cache=None, cache_if=(200,)):
                if self._result is None:
                    self._result = result
                    if cache and self._key is not None and result[0] in cache_if and not result[4]:
                        _keep(self._key, cache, result)
                result = self._result
                if self._decode is not None:
                    result = self._decode(result)
                if isinstance(result, list) and result and isinstance(result[0], Response):
                    return result
                return Response(result, self._meta)

            def _then(self, timeout, finish, cache=None, cache_if=(200,)):
                loop = asyncio._get_running_loop()
                if loop is not None:
                    return self._later(loop, timeout, finish, cache, cache_if)
                result = self._result if self._result is not None else _wait(self._handle, timeout)
                return finish(self._response(result or self._expired(), cache, cache_if))

            async def _later(self, loop, timeout, finish, cache, cache_if):
                result = self._result
                if result is None:
                    future = loop.create_future()
                    is_own = loop is _loop

                    def wake():
                        if not future.done():
                            future.set_result(None)

                    _notify(self._handle, wake if is_own else lambda: loop.call_soon_threadsafe(wake))
                    try:
                        await asyncio.wait_for(future, timeout)
                    except asyncio.TimeoutError:
                        result = self._expired()
                    else:
                        result = _wait(self._handle, 0.0)
                return finish(self._response(result, cache, cache_if))

            def _expired(self):
                _cancel(self._handle)
                return [702, "the call did not end in time", [], None, True]

            # What the ancestor has

            def dispatch(self, cache=None, cache_if=(200,), timeout=None):
                """The response, whatever it is; a failure is one with a status of 700 to 722."""
                return self._then(timeout, lambda response: response, cache, cache_if)

            def dispatch_or_throw(self, cache=None, cache_if=(200,), timeout=None):
                return self._then(timeout, lambda response: _each(response, Response.raise_for_status), cache, cache_if)

            def fetch(self, cache=None, cache_if=(200,), timeout=None):
                """What the response carries; raises Error for anything but a success."""
                return self._then(timeout, lambda response: _each(response, Response.fetch), cache, cache_if)

            def one(self, cache=None, cache_if=(200,), timeout=None):
                """The only record; raises Error 410 when there is not exactly one, 409 when it is there already."""
                return self._then(timeout, lambda response: _each(response, Response.one), cache, cache_if)

            def commit(self, timeout=None):
                """Waits for the end; raises Error for anything but a success."""
                return self._then(timeout, lambda response: _each(response, Response.commit) and None)

            def wait(self, timeout=None):
                """Waits for the end, whatever it is."""
                return self._then(timeout, lambda response: response)

            def returning(self, value):
                """The value: the call goes on in the background."""
                return value

            def cancel(self):
                if self._handle is not None:
                    _cancel(self._handle)

            def __await__(self):
                return self._then(None, lambda response: response).__await__()


        def _each(response, work):
            return [work(each) for each in response] if isinstance(response, list) else work(response)


        class Tasks:
            """Several calls, waited for together; in the order in which they were named."""

            def __init__(self, tasks=(), timeout=None, **meta):
                self._tasks, self._timeout, self.meta = list(tasks), timeout, meta

            def add(self, task):
                self._tasks.append(task)
                return self

            def merge(self, other):
                self._tasks.extend(other._tasks if isinstance(other, Tasks) else [other])
                return self

            def _all(self, work, timeout):
                timeout = self._timeout if timeout is None else timeout
                if asyncio._get_running_loop() is not None:
                    async def later():
                        return list(await asyncio.gather(*(work(task, timeout) for task in self._tasks)))
                    return later()
                ends = None if timeout is None else time.monotonic() + timeout
                return [work(task, None if ends is None else max(0.0, ends - time.monotonic())) for task in self._tasks]

            def dispatch(self, cache=None, cache_if=(200,), timeout=None):
                return self._all(lambda task, rest: task.dispatch(cache, cache_if, rest), timeout)

            def fetch(self, cache=None, cache_if=(200,), timeout=None):
                return self._all(lambda task, rest: task.fetch(cache, cache_if, rest), timeout)

            def one(self, cache=None, cache_if=(200,), timeout=None):
                return self._all(lambda task, rest: task.one(cache, cache_if, rest), timeout)

            def wait(self, timeout=None):
                return self._all(lambda task, rest: task.wait(rest), timeout)

            def commit(self, timeout=None):
                return self._all(lambda task, rest: task.commit(rest), timeout)

            def returning(self, value):
                return value

            def __len__(self): return len(self._tasks)
            def __iter__(self): return iter(self.dispatch())

            def __getitem__(self, index):
                found = self._tasks[index]
                return Tasks(found, self._timeout, **self.meta) if isinstance(index, slice) else found


        def tasks(*tasks, timeout=None):
            """Several calls as one: `a, b = skein.tasks(skein.get(x), skein.get(y)).fetch()`."""
            return Tasks(tasks[0] if len(tasks) == 1 and isinstance(tasks[0], (list, tuple)) else tasks, timeout)


        class Mask(Task):
            """A value in the form of a task, and a list in that of several."""

            def __init__(self, data):
                super().__init__(lambda: None, None, True, None)
                self._result = [200, "OK", [], data, False]
        """#
}
