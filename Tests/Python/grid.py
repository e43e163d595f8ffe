"""Asks two servers of one app the same, and says where their answers differ: grid.py URL URL"""
import http.client, json, socket, sys, urllib.parse

# What belongs to the server and not to the app, and what tells the time: the two are asked one after the other.
OWN = {"date", "expires", "server", "connection", "transfer-encoding", "keep-alive", "content-length"}
BOUNDARY = "boundary"
UPLOAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="field"\r\n\r\nvalue\r\n'
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\nContent-Type: application/octet-stream\r\n\r\n'
).encode() + bytes(range(256)) * 2000 + f"\r\n--{BOUNDARY}--\r\n".encode()
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

# (name, method, path, headers, content)
REQUESTS = [
    ("text", "GET", "/hello", {}, None),
    ("HEAD", "HEAD", "/hello", {}, None),
    ("OPTIONS", "OPTIONS", "/hello", {}, None),
    ("a wrong method", "POST", "/hello", {}, b"x"),
    ("JSON", "GET", "/json", {}, None),
    *[(f"status {code}", "GET", f"/status/{code}", {}, None) for code in (200, 201, 202, 204, 304, 400, 404, 418, 500, 503)],
    ("nothing at the path", "GET", "/nothing/here", {}, None),
    ("fields", "GET", "/headers", {"X-One": "1", "X-Two": "a, b", "Accept-Language": "de;q=0.5"}, None),
    ("a field in latin-1", "GET", "/headers", {"X-One": "caf\u00e9"}, None),
    ("a long field", "GET", "/headers", {"X-One": "x" * 4000}, None),
    ("a query", "GET", "/query?a=1&a=2&b=%C3%A9%26", {}, None),
    ("an empty query", "GET", "/query?", {}, None),
    ("a path with bytes of UTF-8", "GET", "/path/caf%C3%A9/%E2%82%AC", {}, None),
    ("a path with blanks and signs", "GET", "/path/a%20b+c;d=e,f", {}, None),
    ("a path with percent signs", "GET", "/path/100%25", {}, None),
    ("a form", "POST", "/form", FORM, b"a=1&b=%C3%A9&c=+"),
    ("an empty form", "POST", "/form", FORM, b""),
    ("an upload", "POST", "/upload", {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}, UPLOAD),
    ("content", "POST", "/body", {"Content-Type": "application/octet-stream"}, b"abc" * 1000),
    ("content of a megabyte", "POST", "/body", {"Content-Type": "application/octet-stream"}, b"abcd" * 262144),
    ("content by PUT", "PUT", "/body", {"Content-Type": "text/plain"}, b"put"),
    ("no content", "POST", "/body", {}, b""),
    ("content that is not read", "POST", "/unread", {"Content-Type": "text/plain"}, b"x" * 100000),
    ("cookies", "GET", "/cookies", {"Cookie": "a=1; b=zwei"}, None),
    ("a redirect", "GET", "/redirect", {}, None),
    ("a stream", "GET", "/stream", {}, None),
    ("an error", "GET", "/error", {}, None),
    ("a file", "GET", "/file", {}, None),
    ("HEAD of a file", "HEAD", "/file", {}, None),
    ("a range of a file", "GET", "/file", {"Range": "bytes=10-19"}, None),
    ("content of a megabyte from the app", "GET", "/big", {}, None),
    ("a URL", "GET", "/url?x=1", {"Host": "example.org:8080"}, None),
    ("the client", "GET", "/remote", {}, None),
    *[(method, method, "/method", {}, b"" if method in ("POST", "PUT", "PATCH") else None) for method in ("GET", "POST", "PUT", "PATCH", "DELETE")],
    ("nothing", "GET", "/empty", {}, None),
]
# What only some of the apps have.
MORE = [
    ("a value in latin-1", "GET", "/latin1", {}, None), ("pieces", "GET", "/pieces", {}, None), ("a file in memory", "GET", "/memory-file", {}, None),
    ("the environ", "GET", "/environ?q", {}, None), ("a scope", "GET", "/scope", {}, None), ("two fields of one name", "GET", "/echo-header/first", {}, None),
    ("a template", "GET", "/page", {}, None), ("a session", "GET", "/session", {}, None), ("the admin's login", "GET", "/admin/login/", {}, None),
    ("an item", "POST", "/item", {"Content-Type": "application/json"}, b'{"name": "x", "price": 1.5}'),
    ("a wrong item", "POST", "/item", {"Content-Type": "application/json"}, b'{"name": "x"}'),
    ("an error of HTTP", "GET", "/http-error", {}, None), ("a thread", "GET", "/thread", {}, None),
]


def answer(base, method, path, headers, content):
    place = urllib.parse.urlsplit(base)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value.encode("latin-1"))
        if content is not None:
            connection.putheader("Content-Length", str(len(content)))
        connection.endheaders(content)
        response = connection.getresponse()
        body = response.read()
        fields = sorted((name.lower(), value) for name, value in response.getheaders() if name.lower() not in OWN)
        # A set in Python has another order in each process.
        fields = [(name, ", ".join(sorted(value.split(", "))) if name == "allow" else value) for name, value in fields]
        length = response.getheader("content-length")
        return {"status": response.status, "fields": fields, "body": body, "length": int(length) if method == "HEAD" and length else None}
    except (OSError, http.client.HTTPException) as error:
        return {"status": type(error).__name__, "fields": [], "body": b"", "length": None}
    finally:
        connection.close()


def raw(base, request):
    """The answers to bytes, as they come, until the connection is closed or silent."""
    place = urllib.parse.urlsplit(base)
    with socket.create_connection((place.hostname, place.port), 5) as connection:
        connection.settimeout(1.5)
        for part in request:
            connection.sendall(part)
        received = b""
        try:
            while True:
                more = connection.recv(65536)
                if not more:
                    break
                received += more
        except OSError:
            pass
    # Whether 100 (Continue) is sent depends on when the content arrives (RFC 9110, section 10.1.1).
    codes = [line.split(b" ")[1].decode() for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.")]
    return [code for code in codes if code != "100"], received.rpartition(b"\r\n\r\n")[2].decode("latin-1")


HOST = b"Host: x\r\n"
RAW = [
    ("chunked content", [b"POST /body HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]),
    ("two requests on a connection", [b"GET /hello HTTP/1.1\r\n" + HOST + b"\r\nGET /hello HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"]),
    ("content that is expected", [b"POST /body HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", b"hello"]),
    ("HTTP/1.0", [b"GET /hello HTTP/1.0\r\n\r\n"]),
]


def main(skein, other):
    differences = []
    count = 0
    for name, *request in REQUESTS + MORE:
        count += 1
        first, second = answer(skein, *request), answer(other, *request)
        # Entity tags and times of the same file are equal; what an app makes anew each time is not compared.
        for each in (first, second):
            each["fields"] = [(key, value) for key, value in each["fields"] if key != "set-cookie" or "csrf" not in value and "session" not in value]
            if b"csrfmiddlewaretoken" in each["body"]:
                each["body"] = b"page with a token"
        for answered in (first, second):
            answered["body"] = answered["body"].replace(skein.encode(), b"BASE").replace(other.encode(), b"BASE")
            places = [urllib.parse.urlsplit(base).netloc for base in (skein, other)]
            for place in places:
                answered["body"] = answered["body"].replace(place.encode(), b"PLACE")
                answered["fields"] = [(key, value.replace(place, "PLACE")) for key, value in answered["fields"]]
        for key in ("status", "fields", "body", "length"):
            if first[key] != second[key]:
                differences.append({"request": name, "of": key, "skein": str(first[key])[:300], "other": str(second[key])[:300]})
    for name, request in RAW:
        count += 1
        first, second = raw(skein, request), raw(other, request)
        if first != second:
            differences.append({"request": name, "of": "bytes", "skein": str(first)[:300], "other": str(second)[:300]})
    print(json.dumps({"count": count, "differences": differences}, indent=1))


main(sys.argv[1], sys.argv[2])
