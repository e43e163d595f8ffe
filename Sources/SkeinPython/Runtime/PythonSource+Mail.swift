// Mail in Python: `skein.email`, as the ancestor's `was.email`.

extension PythonSource {
    static let mail = #"""
        # Mail

        _smtp = None


        def _relay(server, user, password, ssl):
            if "://" in server:
                return server
            who = f"{urllib.parse.quote(user, safe='')}:{urllib.parse.quote(password or '', safe='')}@" if user else ""
            return f"{'smtps' if ssl else 'smtp'}://{who}{server}"


        def set_smtp(server, user=None, password=None, ssl=False):
            """The server that messages are sent to which name none: `host:port`, or a URL; without it, the agent decides."""
            global _smtp
            _smtp = _relay(server, user, password, ssl)


        def _several(addresses):
            return [addresses] if isinstance(addresses, str) else [str(address) for address in addresses or ()]


        class email:
            """A message: `e = skein.email(subject, snd, rcpt)`, `e.add_content(…)`, `e.add_attachment(…)`, `e.send()`."""

            def __init__(self, subject, snd, rcpt, cc=(), bcc=(), reply_to=(), headers=None):
                self._fields = [str(subject), str(snd), _several(rcpt), _several(cc), _several(bcc), _several(reply_to)]
                self._headers = [[str(name), str(value)] for name, value in (headers or {}).items()]
                self._text = self._html = self._relay = None
                self._files = []

            def set_smtp(self, server, user=None, password=None, ssl=False):
                self._relay = _relay(server, user, password, ssl)
                return self

            def add_content(self, content, content_type="text/plain"):
                """The text, or with `text/html` the HTML."""
                if content_type.split(";")[0].strip().lower() == "text/html":
                    self._html = str(content)
                else:
                    self._text = str(content)
                return self

            def add_attachment(self, source, name=None, cid=None, content_type=None):
                """A file by its path, or bytes with a name; with `cid`, the HTML shows it by `cid:…`."""
                data = bytes(source) if isinstance(source, (bytes, bytearray, memoryview)) else os.path.abspath(os.fspath(source))
                name = name or (os.path.basename(data) if isinstance(data, str) else cid or "attachment")
                self._files.append([data, str(name), content_type, cid])
                return self

            def send(self, key=None, delay=0, lifetime=None, priority="normal", timeout=None):
                """Starts to store the message in the spool; the task ends, with the message's name, when it is safely there."""
                message = [
                    *self._fields, self._text, self._html, self._headers, self._files, self._relay or _smtp,
                    None if key is None else str(key), float(delay), None if lifetime is None else float(lifetime), str(priority),
                ]
                return Task(lambda: _mail(_current.get(), message))
        """#
}
