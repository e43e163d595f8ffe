"""A mail server whose recipients say how it fails: python mail_server.py PORT LOG [--tls CERT] [--auth] [--lmtp] [--chaos SEED]

The part before the @ of a recipient, up to a hyphen, says what happens: `later` is refused for now twice, `grey` once and with the
word that greylisting servers use, `never` for good, `full` when the message is there, `drop` ends the connection in the middle of
the message once, `dropend` behind it once, after the message was kept, `busy` ends it with 421. Each message that is kept is a line of
JSON in the log, synchronized with the disk.
"""
import argparse, asyncio, base64, collections, hashlib, hmac, json, os, random, secrets, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult, MISSING
from aiosmtpd.lmtp import LMTP

arguments = argparse.ArgumentParser()
arguments.add_argument("port", type=int)
arguments.add_argument("log")
arguments.add_argument("--tls")
arguments.add_argument("--auth", action="store_true")
arguments.add_argument("--lmtp", action="store_true")
arguments.add_argument("--chaos", type=int)
options = arguments.parse_args()
seen = collections.Counter()
chance = random.Random(options.chaos)
log = open(options.log, "ab", buffering=0)


def keep(envelope, session):
    record = {
        "from": envelope.mail_from, "to": envelope.rcpt_tos, "peer": session.host_name, "tls": bool(session.ssl),
        "login": getattr(session, "login", None), "options": envelope.mail_options,
        "content": base64.b64encode(envelope.original_content).decode(),
    }
    if options.chaos is not None:
        head = envelope.original_content[:4000].decode("utf-8", "replace")
        record = {"to": envelope.rcpt_tos, "n": next((l.split(":")[1].strip() for l in head.splitlines() if l.startswith("X-Number")), None)}
    log.write(json.dumps(record).encode() + b"\n")
    os.fsync(log.fileno())


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        kind = address.split("@")[0].split("-")[0]
        if options.chaos is not None:
            roll = chance.random()
            if roll < 0.03:
                return "451 4.3.0 not now"
            if roll < 0.035:
                server.transport.abort()
                return "421 gone"
            kind = "ok"
        seen[address] += 1
        if kind == "later" and seen[address] <= 2:
            return "450 4.2.0 try again"
        if kind == "grey" and seen[address] <= 1:
            return "451 4.7.1 Greylisted, please try again"
        if kind == "never":
            return "550 5.1.1 there is nobody of that name"
        if kind == "busy" and seen[address] <= 1:
            server.transport.write(b"421 4.3.2 too busy\r\n")
            server.transport.close()
            return "421 4.3.2 too busy"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        kinds = [(a.split("@")[0].split("-")[0], a) for a in envelope.rcpt_tos]
        if options.chaos is not None:
            roll = chance.random()
            if roll < 0.02:
                return "452 4.3.1 full"
            if roll < 0.03:
                server.transport.abort()
                return "421 gone"
            keep(envelope, session)
            if roll < 0.035:
                server.transport.abort()
            return "250 2.0.0 kept"
        for kind, address in kinds:
            if kind == "full":
                return "452 4.3.1 the disk is full"
            if kind == "content":
                return "554 5.7.1 the content is refused"
            if kind == "drop" and seen[address] <= 1:
                server.transport.abort()
                return "421 gone"
            if kind == "dropend" and seen[address] <= 1:
                keep(envelope, session)
                server.transport.abort()
                return "421 gone"
        keep(envelope, session)
        return "250 2.0.0 kept"


async def challenge(server, text):
    return await server.challenge_auth(text)


class Mechanisms(Handler):
    """AUTH beyond PLAIN and LOGIN, which aiosmtpd has."""

    async def auth_CRAM__MD5(self, server, args):
        nonce = f"<{secrets.token_hex(8)}@test>".encode()
        answer = await challenge(server, nonce)
        user, digest = answer.split(b" ")
        expected = hmac.new(b"secret", nonce, hashlib.md5).hexdigest().encode()
        server.session.login = user.decode()
        return AuthResult(success=digest == expected, handled=False)

    async def auth_XOAUTH2(self, server, args):
        fields = base64.b64decode(args[1]).split(b"\x01")
        if fields[1] == b"auth=Bearer token":
            server.session.login = fields[0][5:].decode()
            return AuthResult(success=True)
        await challenge(server, b'{"status":"401"}')
        return AuthResult(success=False, handled=False)

    async def auth_SCRAM__SHA__256(self, server, args):
        first = base64.b64decode(args[1]).decode()
        bare = first.split(",", 2)[2]
        fields = dict(part.split("=", 1) for part in bare.split(","))
        salt, nonce, rounds = secrets.token_bytes(16), fields["r"] + secrets.token_hex(8), 4096
        second = f"r={nonce},s={base64.b64encode(salt).decode()},i={rounds}"
        final = (await challenge(server, second.encode())).decode()
        without, proof = final.rsplit(",p=", 1)
        salted = hashlib.pbkdf2_hmac("sha256", b"secret", salt, rounds)
        key = hmac.new(salted, b"Client Key", "sha256").digest()
        message = f"{bare},{second},{without}".encode()
        signature = hmac.new(hashlib.sha256(key).digest(), message, "sha256").digest()
        if bytes(a ^ b for a, b in zip(key, signature)) != base64.b64decode(proof):
            return AuthResult(success=False, handled=False)
        server_key = hmac.new(salted, b"Server Key", "sha256").digest()
        verifier = base64.b64encode(hmac.new(server_key, message, "sha256").digest()).decode()
        await challenge(server, f"v={verifier}".encode())
        server.session.login = fields["n"]
        return AuthResult(success=True)


def authenticate(server, session, envelope, mechanism, data):
    session.login = data.login.decode()
    return AuthResult(success=data.password == b"secret", handled=False)


def make():
    settings = dict(enable_SMTPUTF8=True, hostname="mail.test", data_size_limit=0 if options.chaos is None else 1 << 20)
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.tls)
        settings["tls_context"] = context
    if options.auth:
        settings.update(authenticator=authenticate, auth_required=True, auth_require_tls=False)
    return (LMTP if options.lmtp else SMTP)(Mechanisms() if options.auth else Handler(), **settings)


async def main():
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", options.port)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
