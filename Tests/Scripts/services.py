"""Services that the client's tests talk to, on Flask and oauthlib: what httpbin does not have.

Run by gunicorn with one process and threads: `gunicorn services:app`. State is in the process.
"""

import hashlib
import os
import secrets
import threading
import time

import zstandard
from flask import Flask, Response, jsonify, request
from oauthlib import oauth1, oauth2

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # clear text is enough on one machine
app = Flask(__name__)
lock = threading.Lock()
counters = {}
log = {}


def count(key):
    with lock:
        counters[key] = counters.get(key, 0) + 1
        return counters[key]


def raw_url():
    """The URL as it was sent: Flask's is decoded."""
    return request.host_url + request.environ["RAW_URI"][1:]


# What a client sends.


@app.route("/echo", methods=["GET", "POST", "PUT", "DELETE", "PATCH"])
def echo():
    digest, size = hashlib.sha256(), 0
    while piece := request.stream.read(65536):
        digest.update(piece)
        size += len(piece)
    headers = [[name, value] for name, value in request.headers.items()]
    return jsonify(method=request.method, headers=dict(headers), size=size, sha256=digest.hexdigest())


@app.route("/form", methods=["POST"])
def form():
    files = {
        name: {"name": file.filename, "type": file.content_type, "sha256": hashlib.sha256(file.read()).hexdigest()}
        for name, file in request.files.items()
    }
    return jsonify(fields={name: request.form.getlist(name) for name in request.form}, files=files)


# What a server sends.


@app.route("/zstd")
def zstd():
    data = zstandard.ZstdCompressor().compress(b"a thread of zstandard " * 1000)
    return Response(data, headers={"Content-Encoding": "zstd", "Content-Type": "text/plain"})


@app.route("/as")
def content_as():
    return Response(request.args.get("text", "").encode("latin-1"), content_type=request.args["type"])


# Servers in trouble. Each test has a key of its own.


@app.route("/flaky/<key>/<int:failures>", methods=["GET", "POST"])
def flaky(key, failures):
    number = count(key)
    if number <= failures:
        headers = {"Retry-After": request.args["after"]} if "after" in request.args else {}
        return Response("not now", int(request.args.get("status", 503)), headers)
    return f"attempt {number}"


@app.route("/count/<key>")
def counted(key):
    return str(counters.get(key, 0))


@app.route("/slow-first/<key>")
def slow_first(key):
    number = count(key)
    if number == 1:
        time.sleep(3)
    return f"attempt {number}"


running = {}


@app.route("/crowd/<key>")
def crowd(key):
    with lock:
        running[key] = running.get(key, 0) + 1
        most = counters[key] = max(counters.get(key, 0), running[key])
    time.sleep(0.05)
    with lock:
        running[key] -= 1
    return str(most)


# What may be kept: the answer counts how often it was made.


@app.route("/kept/<key>", methods=["GET", "POST", "DELETE"])
def kept(key):
    tag = request.args.get("tag")
    if tag and request.headers.get("If-None-Match") == f'"{tag}"':
        count(key + " asked")
        return Response(status=304, headers={"Cache-Control": request.args.get("control", ""), "ETag": f'"{tag}"'})
    number = count(key)
    if request.args.get("fails") and number > int(request.args["fails"]):
        return Response("broken", 500)
    headers = {}
    for name, field in [("control", "Cache-Control"), ("vary", "Vary"), ("expires", "Expires")]:
        if request.args.get(name):
            headers[field] = request.args[name]
    if tag:
        headers["ETag"] = f'"{tag}"'
    return Response(f"{number} {request.headers.get('X-Kind', '')}".strip(), 200, headers)


# OAuth 1.0 by oauthlib.


class Validator1(oauth1.RequestValidator):
    client_key_length = (4, 60)
    nonce_length = (8, 60)
    access_token_length = (4, 60)
    enforce_ssl = False
    allowed_signature_methods = ("HMAC-SHA1", "HMAC-SHA256", "RSA-SHA1", "PLAINTEXT")
    rsa_key = None
    seen = set()

    dummy_client = dummy_access_token = "none-of-these"

    def validate_client_key(self, client_key, request):
        return client_key == "weaverkey"

    def validate_access_token(self, client_key, token, request):
        return token == "weavertoken"

    def validate_timestamp_and_nonce(self, client_key, timestamp, nonce, request, **tokens):
        with lock:
            fresh = (timestamp, nonce) not in self.seen
            self.seen.add((timestamp, nonce))
        return fresh

    def validate_realms(self, *arguments, **more):
        return True

    def get_client_secret(self, client_key, request):
        return "cliént secret"

    def get_access_token_secret(self, client_key, token, request):
        return "token&secret"

    def get_rsa_key(self, client_key, request):
        return app.config["rsa_key"]


@app.route("/oauth1/rsa", methods=["PUT"])
def rsa():
    app.config["rsa_key"] = request.get_data(as_text=True)
    return ""


@app.route("/oauth1/resource", methods=["GET", "POST"])
def resource1():
    form = request.mimetype == "application/x-www-form-urlencoded"
    endpoint = oauth1.ResourceEndpoint(Validator1())
    valid, _ = endpoint.validate_protected_resource_request(
        raw_url(), request.method, request.get_data(as_text=True) if form else None, dict(request.headers)
    )
    return ("welcome", 200) if valid else ("no", 401)


# OAuth 2.0 by oauthlib.

tokens, refreshes, codes = {}, {"kept-refresh": True}, {"the-code": True}


class Validator2(oauth2.RequestValidator):
    def authenticate_client(self, request, *arguments, **more):
        import base64

        field = request.headers.get("Authorization", "")
        if field.startswith("Basic "):
            name, _, secret = base64.b64decode(field[6:]).decode().partition(":")
        else:
            name, secret = request.client_id, request.client_secret
        request.client = type("Client", (), {"client_id": name})()
        return (name, secret) == ("weaver", "s%C3%A9cret") or (name, secret) == ("weaver", "sécret")

    def validate_grant_type(self, *arguments, **more):
        return True

    def get_default_scopes(self, *arguments, **more):
        return ["all"]

    def validate_scopes(self, *arguments, **more):
        return True

    def validate_user(self, username, password, client, request, *arguments, **more):
        request.user = username
        return (username, password) == ("user", "pass word")

    def validate_refresh_token(self, refresh_token, client, request, *arguments, **more):
        return refreshes.pop(refresh_token, False)

    def get_original_scopes(self, refresh_token, request, *arguments, **more):
        return ["all"]

    def rotate_refresh_token(self, request):
        return True

    def validate_code(self, client_id, code, client, request, *arguments, **more):
        request.user, request.scopes = "user", ["all"]
        return codes.get(code, False)

    def confirm_redirect_uri(self, *arguments, **more):
        return True

    def invalidate_authorization_code(self, *arguments, **more):
        pass

    def is_pkce_required(self, *arguments, **more):
        return False

    def get_code_challenge(self, code, request):
        return None

    def save_bearer_token(self, token, request, *arguments, **more):
        with lock:
            tokens[token["access_token"]] = True
            if "refresh_token" in token:
                refreshes[token["refresh_token"]] = True

    def validate_bearer_token(self, token, scopes, request):
        return tokens.get(token, False)


def token_server(lifetime):
    validator = Validator2()
    plain = oauth2.BearerToken(validator, expires_in=lifetime)
    again = oauth2.RefreshTokenGrant(validator)
    return oauth2.TokenEndpoint(
        default_grant_type="client_credentials",
        default_token_type=plain,
        grant_types={
            "client_credentials": oauth2.ClientCredentialsGrant(validator),
            "password": oauth2.ResourceOwnerPasswordCredentialsGrant(validator),
            "authorization_code": oauth2.AuthorizationCodeGrant(validator),
            "refresh_token": again,
        },
    )


pending = {}


@app.route("/oauth2/device", methods=["POST"])
def device():
    code = secrets.token_hex(8)
    pending[code] = 0
    return jsonify(
        device_code=code, user_code="WEAV-ER", verification_uri="http://x/device", expires_in=60, interval=0.05
    )


@app.route("/oauth2/token/<int:lifetime>", methods=["POST"])
def token(lifetime):
    count("tokens")
    content = request.get_data(as_text=True)
    if "device_code" in request.form:
        code = request.form["device_code"]
        pending[code] += 1
        if pending[code] < 3:
            return jsonify(error="authorization_pending"), 400
        granted = secrets.token_hex(8)
        tokens[granted] = True
        return jsonify(access_token=granted, token_type="Bearer", expires_in=lifetime)
    time.sleep(0.05)  # so that many have to wait for one
    headers, body, status = token_server(lifetime).create_token_response(
        raw_url(), request.method, content, dict(request.headers)
    )
    return Response(body, status, headers)


@app.route("/oauth2/revoke", methods=["POST"])
def revoke():
    tokens.clear()
    return ""


@app.route("/oauth2/resource")
def resource2():
    field = request.headers.get("Authorization", "")
    return ("welcome", 200) if tokens.get(field.removeprefix("Bearer ")) else ("no", 401)


# Digest by what RFC 7616 says, told in the query: algorithm, qop, user, password, charset, userhash, stale.

HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256", "SHA": "sha1", "SHA-512": "sha512"}
nonces = {}


@app.route("/digest/<path:rest>", methods=["GET", "POST"])
def digest(rest):
    from urllib.request import parse_http_list, parse_keqv_list

    q = request.args
    algorithm = q.get("algorithm", "MD5")
    base = algorithm.upper().removesuffix("-SESS")
    h = lambda data: hashlib.new(HASHES[base], data if isinstance(data, bytes) else data.encode()).hexdigest()
    user, password, realm = q.get("user", "weaver"), q.get("password", "secret"), q.get("realm", "the loom")

    def challenge(stale=False):
        nonce = secrets.token_hex(8)
        nonces[nonce] = 0
        field = f'Digest realm="{realm}", nonce="{nonce}"'
        if "algorithm" in q:
            field += f", algorithm={algorithm}"
        if q.get("qop"):
            field += f', qop="{q["qop"]}"'
        if q.get("opaque"):
            field += f', opaque="{q["opaque"]}"'
        if q.get("charset"):
            field += ", charset=UTF-8"
        if q.get("userhash"):
            field += ", userhash=true"
        if stale:
            field += ", stale=true"
        return Response("who?", 401, {"WWW-Authenticate": field})

    field = request.headers.get("Authorization", "").encode("latin-1").decode("utf-8", "replace")
    if not field.startswith("Digest "):
        return challenge()
    a = parse_keqv_list(parse_http_list(field[7:]))
    if a.get("nonce") not in nonces:
        return challenge(stale=True)
    nonces[a["nonce"]] += 1
    if q.get("uses") and nonces[a["nonce"]] > int(q["uses"]):
        return challenge(stale=True)
    name = a.get("username")
    if name is None:
        from urllib.parse import unquote

        name = unquote(a["username*"].removeprefix("UTF-8''"))
    if name != (h(f"{user}:{realm}") if a.get("userhash") == "true" else user):
        return challenge()
    ha1 = h(f"{user}:{realm}:{password}")
    if algorithm.lower().endswith("-sess"):
        ha1 = h(f"{ha1}:{a['nonce']}:{a['cnonce']}")
    target = request.environ["RAW_URI"]
    ha2 = f"{request.method}:{a['uri']}"
    if a.get("qop") == "auth-int":
        ha2 += ":" + h(request.get_data())
    ha2 = h(ha2)
    if q.get("qop"):
        if int(a["nc"], 16) != nonces[a["nonce"]] or a["qop"] not in q["qop"].replace(" ", "").split(","):
            return challenge()
        expected = h(f"{ha1}:{a['nonce']}:{a['nc']}:{a['cnonce']}:{a['qop']}:{ha2}")
    else:
        expected = h(f"{ha1}:{a['nonce']}:{ha2}")
    right = a["response"] == expected and a["uri"] == target and a.get("opaque", "") == q.get("opaque", "")
    return f"welcome {int(a.get('nc', '1'), 16)}" if right else challenge()


# Redirects as told, with a log of who came: /to/CASE/STATUS?location=…; whatever else is asked for of a case is its end.


@app.route("/case/<case>/<path:rest>", methods=["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def case(case, rest):
    body = request.get_data()
    seen = [request.method, request.host.split(":")[0], request.environ["RAW_URI"], len(body)]
    # A type without content says nothing: curl sends it whenever it was given by hand.
    seen += [request.headers.get("Content-Type", "") if body else ""]
    # Cookies with paths of one length: the older one first (RFC 6265bis), by name (curl), by domain (requests).
    cookies = sorted(request.headers.get("Cookie", "").split("; "))
    seen += [request.headers.get("Authorization", ""), "; ".join(cookies)]
    with lock:
        log.setdefault(case, []).append(seen)
    headers = [("Set-Cookie", cookie) for cookie in request.args.getlist("cookie")]
    if "status" in request.args:
        headers.append(("Location", request.args["location"]))
        return Response("moved", int(request.args["status"]), headers)
    return Response("here", 200, headers)


@app.route("/log/<case>")
def case_log(case):
    return jsonify(log.get(case, []))
