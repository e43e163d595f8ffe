"""MongoDB's wire by MockupDB, its data by mongomock, and pymongo as the other client.

mongo.py serve [--auth] [--compress] [--checksum] [--replica] [--tls CERT CA]
    prints "listening PORT", of a replica set "listening PORT PORT PORT", and serves until its end.
    Users of --auth: weaver (both kinds of SCRAM), old (SCRAM-SHA-1 only), each with the password s3cret.
mongo.py write PORT DB COLLECTION    inserts one document of every type by pymongo
mongo.py read PORT DB COLLECTION     prints the documents as canonical extended JSON, a line each
mongo.py count PORT COUNT            finds a document by its id so many times, and prints the seconds of CPU that it took

Besides what servers do, it understands configureFailPoint (failCommand, with `afterExecution` for a connection that is lost behind
the work), replSetStepDown, and {"peerLog": 1, "of": DATABASE}, which answers with the commands so
far.
"""

import base64
import collections
import hashlib
import hmac
import json
import os
import secrets
import socket
import ssl
import struct
import sys
import threading
import time
import zlib

import bson
import mockupdb
import mongomock
import pymongo
import zstandard
from bson import json_util
from pymongo import errors

OPTIONS = bson.CodecOptions(document_class=collections.OrderedDict, tz_aware=True)
CRC = []
for number in range(256):
    for _ in range(8):
        number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
    CRC.append(number)


def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ CRC[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def compressed(kind, data):
    return zlib.compress(data) if kind == 2 else zstandard.ZstdCompressor().compress(data)


def receive_request(client, server):
    """Like MockupDB's own, but for compressed messages and for checksums, which are looked at."""
    header = mockupdb.mock_server_receive(client, 16)
    length, request_id, _, opcode = struct.unpack("<iiii", header)
    body = mockupdb.mock_server_receive(client, length - 16)
    state = server.states.setdefault(client, {})
    state["compressed"] = opcode == 2012
    if opcode == 2012:
        opcode, size, kind = struct.unpack("<iiB", body[:9])
        data = body[9:]
        body = zlib.decompress(data) if kind == 2 else zstandard.ZstdDecompressor().decompress(data, size)
        assert len(body) == size
        header = struct.pack("<iiii", 16 + size, request_id, 0, opcode)
        server.seen[kind] += 1
    if opcode == 2013 and body[0] & 1:
        assert struct.unpack("<I", body[-4:])[0] == crc32c(header + body[:-4]), "the checksum is wrong"
        server.seen["checksum"] += 1
    return mockupdb.OPCODES[opcode].unpack(body, client, server, request_id)


mockupdb.mock_server_receive_request = receive_request


class Failure(Exception):
    def __init__(self, code, name, message, **more):
        self.reply = {"ok": 0.0, "code": code, "codeName": name, "errmsg": message, **more}


class Deployment:
    """The data, and who is the primary of it."""

    def __init__(self, arguments):
        self.client = mongomock.MongoClient(tz_aware=True)
        self.lock = threading.RLock()
        self.changed = threading.Condition()
        self.cursors = {}
        self.events, self.moments = [], []
        self.log = []
        self.points = []
        self.done = {}
        self.transactions = {}
        self.clock = 1
        self.arguments = arguments
        self.servers = []
        self.primary = 0
        self.election = bson.ObjectId()
        self.process = bson.ObjectId()
        self.counter = 1
        count = 3 if "--replica" in arguments else 1
        for place in range(count):
            server = mockupdb.MockupDB(uds_path=None, request_timeout=1e6)
            server._address = ("127.0.0.1", 0)
            server.states, server.seen, server.place = {}, collections.Counter(), place
            server.autoresponds(lambda request, server=server: self.handle(request, server))
            if "--tls" in arguments:
                self.encrypt(server, *arguments[arguments.index("--tls") + 1:][:2])
            server.run()
            self.servers.append(server)
        print("listening", *[server.port for server in self.servers], flush=True)

    def encrypt(self, server, certificate, roots):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.load_verify_locations(roots)
        context.verify_mode = ssl.CERT_OPTIONAL
        serve = server._server_loop

        def loop(client, address):
            # In the connection's own thread, so that one that says nothing holds up nobody.
            try:
                client = context.wrap_socket(client, server_side=True)
            except OSError:
                return client.close()
            serve(client, address)

        server._server_loop = loop

    # What a request comes to.

    def handle(self, request, server):
        command = collections.OrderedDict(request.doc)
        name = next(iter(command))
        state = server.states[request._client]
        point = self.point(name, command)
        try:
            if point and "blockTimeMS" in point:
                with server._unlock():
                    time.sleep(point["blockTimeMS"] / 1000)
            if point and point.get("closeConnection") and not point.get("afterExecution"):
                request._client.shutdown(socket.SHUT_RDWR)
                return True
            if point and "errorCode" in point:
                raise Failure(point["errorCode"], point.get("errorName", "FailPoint"), "by the fail point",
                              **({"errorLabels": point["errorLabels"]} if "errorLabels" in point else {}))
            if name not in ("hello", "ismaster", "isMaster", "peerLog"):
                with self.lock:
                    self.log.append({"command": name, "server": server.place, "document": command})
            reply = self.answer(name, command, state, server)
            if point and point.get("afterExecution"):
                request._client.shutdown(socket.SHUT_RDWR)
                return True
            if point and "writeConcernError" in point:
                reply["writeConcernError"] = point["writeConcernError"]
        except Failure as failure:
            reply = failure.reply
            if reply["code"] in (10107, 13435):
                reply["topologyVersion"] = {"processId": self.process, "counter": bson.Int64(self.counter)}
        except errors.OperationFailure as error:
            reply = {"ok": 0.0, "code": error.code or 2, "codeName": "BadValue", "errmsg": str(error)}
        except (NotImplementedError, TypeError, ValueError, KeyError) as error:
            reply = {"ok": 0.0, "code": 2, "codeName": "BadValue", "errmsg": f"{type(error).__name__}: {error}"}
        reply.setdefault("ok", 1.0)
        if "--replica" in self.arguments:
            self.clock += 1
            moment = bson.Timestamp(1_800_000_000, self.clock)
            reply.setdefault("operationTime", moment)
            reply["$clusterTime"] = {"clusterTime": moment, "signature": {"hash": b"\0" * 20, "keyId": bson.Int64(0)}}
        self.send(request, reply, state)
        return True

    def send(self, request, reply, state):
        if not isinstance(request, mockupdb.OpMsg):
            return request.replies(reply)
        if request.flags & 2:  # moreToCome: nobody waits for an answer
            return
        check = "--checksum" in self.arguments
        body = struct.pack("<IB", 1 if check else 0, 0) + bson.encode(reply, codec_options=OPTIONS)
        head = struct.pack("<iiii", 16 + len(body) + (4 if check else 0), 1, request.request_id, 2013)
        if check:
            body += struct.pack("<I", crc32c(head + body))
        if state.get("compressed"):
            kind = state["compressor"]
            data = compressed(kind, body)
            body = struct.pack("<iiB", 2013, len(body), kind) + data
            head = struct.pack("<iiii", 16 + len(body), 1, request.request_id, 2012)
        request._client.sendall(head + body)

    def point(self, name, command):
        place = f"{command.get('$db')}.{command.get('collection', command[name])}"
        for point in self.points:
            if name in point["failCommands"] and point["times"] > 0 and point.get("namespace", place) == place:
                point["times"] -= 1
                return point
        return None

    def answer(self, name, command, state, server):
        if name in ("hello", "ismaster", "isMaster"):
            return self.hello(command, state, server)
        if name in ("saslStart", "saslContinue"):
            return self.sasl(command, state)
        if name == "authenticate":
            return self.x509(state, server)
        if "--auth" in self.arguments and not state.get("user"):
            raise Failure(13, "Unauthorized", f"command {name} requires authentication")
        if name == "replSetStepDown":
            self.primary = (self.primary + 1) % len(self.servers)
            self.election = bson.ObjectId()
            self.counter += 1
            return {}
        if name == "peerLog":
            seen = collections.Counter()
            for each in self.servers:
                seen.update({str(key): count for key, count in each.seen.items()})
            mine = [entry for entry in self.log if command.get("of") in (None, entry["document"].get("$db"))]
            return {"log": mine[-500:], "seen": dict(seen), "cursors": [cursor[0] for cursor in self.cursors.values()]}
        if name == "configureFailPoint":
            mode = command["mode"]
            if mode == "off":
                self.points = []
            else:
                self.points.append({**command["data"], "times": mode["times"]})
            return {}
        if name in ("ping", "endSessions"):
            return {}
        handler = getattr(self, "do_" + name, None)
        if handler is None and name not in ("commitTransaction", "abortTransaction"):
            raise Failure(59, "CommandNotFound", f"no such command: '{name}'")
        if "--replica" in self.arguments and server.place != self.primary:
            if name in WRITES:
                labels = {"errorLabels": ["RetryableWriteError"]} if "txnNumber" in command else {}
                raise Failure(10107, "NotWritablePrimary", "not primary", **labels)
            if "$readPreference" not in command and name not in ("getMore", "killCursors"):
                raise Failure(13435, "NotPrimaryNoSecondaryOk", "not primary and secondaryOk=false")
        return self.once(name, command, handler, server)

    def once(self, name, command, handler, server):
        """Transactions and writes that may come twice."""
        key = (bytes(command["lsid"]["id"]), command["txnNumber"]) if "txnNumber" in command else None
        if "autocommit" in command:
            if name == "commitTransaction":
                if key not in self.transactions:
                    if self.done.get(key) == "committed":
                        return {}
                    raise Failure(251, "NoSuchTransaction", "no such transaction", errorLabels=["TransientTransactionError"])
                for write, document in self.transactions.pop(key):
                    with self.lock:
                        write(document)
                self.done[key] = "committed"
                return {}
            if name == "abortTransaction":
                self.transactions.pop(key, None)
                return {}
            if command.get("startTransaction"):
                self.transactions[key] = []
            if key not in self.transactions:
                raise Failure(251, "NoSuchTransaction", "no such transaction", errorLabels=["TransientTransactionError"])
            if name in WRITES:
                self.transactions[key].append((handler, command))
                return {"n": len(command.get("documents", command.get("updates", command.get("deletes", []))))}
        elif key is not None:
            if key not in self.done:
                with self.lock:
                    self.done[key] = handler(command)
            return dict(self.done[key])
        if name == "getMore":
            return self.do_getMore(command, server)
        with self.lock:
            return handler(command)

    # Who is there, and who may come in.

    def hello(self, command, state, server):
        reply = {"maxBsonObjectSize": 16777216, "maxMessageSizeBytes": 48000000, "maxWriteBatchSize": 1000,
                 "minWireVersion": 0, "maxWireVersion": 17, "helloOk": True}
        if "--replica" in self.arguments:
            names = [f"127.0.0.1:{each.port}" for each in self.servers]
            mine = server.place == self.primary
            reply.update({
                "setName": "rs0", "setVersion": 1, "hosts": names, "me": names[server.place],
                "primary": names[self.primary], "isWritablePrimary": mine, "ismaster": mine, "secondary": not mine,
                "logicalSessionTimeoutMinutes": 30, "tags": {"place": str(server.place)},
                "lastWrite": {"lastWriteDate": bson.datetime.datetime.now(bson.datetime.timezone.utc)},
                "topologyVersion": {"processId": self.process, "counter": bson.Int64(self.counter)},
            })
            if mine:
                reply["electionId"] = self.election
        else:
            reply.update({"isWritablePrimary": True, "ismaster": True})
        wanted = command.get("compression", [])
        if "--compress" in self.arguments and wanted:
            name = next((name for name in wanted if name in ("zlib", "zstd")), None)
            if name:
                state["compressor"] = {"zlib": 2, "zstd": 3}[name]
                reply["compression"] = [name]
        if "saslSupportedMechs" in command:
            user = command["saslSupportedMechs"].split(".", 1)[1]
            if user in USERS:
                reply["saslSupportedMechs"] = USERS[user]
        start = command.get("speculativeAuthenticate")
        if start and start.get("mechanism", "").startswith("SCRAM"):
            try:
                reply["speculativeAuthenticate"] = self.sasl(start, state)
            except Failure:
                pass
        return reply

    def sasl(self, command, state):
        failed = Failure(18, "AuthenticationFailed", "Authentication failed.")
        payload = bytes(command["payload"]).decode()
        if "saslStart" in command:
            mechanism = command["mechanism"]
            kind = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}.get(mechanism)
            bare = payload.split(",", 2)[2]
            fields = dict(part.split("=", 1) for part in bare.split(","))
            user = fields["n"]
            if kind is None or mechanism not in USERS.get(user, []):
                raise failed
            secret = "s3cret" if kind == "sha256" else hashlib.md5(f"{user}:mongo:s3cret".encode()).hexdigest()
            salt = secrets.token_bytes(16)
            salted = hashlib.pbkdf2_hmac(kind, secret.encode(), salt, 4096)
            nonce = fields["r"] + base64.b64encode(secrets.token_bytes(18)).decode()
            first = f"r={nonce},s={base64.b64encode(salt).decode()},i=4096"
            state["scram"] = (kind, user, salted, nonce, f"{bare},{first}",
                              command.get("options", {}).get("skipEmptyExchange"))
            return {"conversationId": 7, "done": False, "payload": first.encode()}
        if "scram" not in state:
            raise failed
        kind, user, salted, nonce, before, skips = state["scram"]
        if not payload:
            state["user"] = user
            return {"conversationId": 7, "done": True, "payload": b""}
        final, proof = payload.rsplit(",p=", 1)
        message = f"{before},{final}".encode()
        mac = lambda key, text: hmac.new(key, text, kind).digest()
        key = mac(salted, b"Client Key")
        stored = hashlib.new(kind, key).digest()
        wanted = bytes(a ^ b for a, b in zip(key, mac(stored, message)))
        if f"r={nonce}" not in final or not hmac.compare_digest(wanted, base64.b64decode(proof)):
            raise failed
        done = bool(skips)
        if done:
            state["user"] = user
        server = base64.b64encode(mac(mac(salted, b"Server Key"), message)).decode()
        return {"conversationId": 7, "done": done, "payload": f"v={server}".encode()}

    def x509(self, state, server):
        client = next(socket for socket, each in server.states.items() if each is state)
        certificate = client.getpeercert() if hasattr(client, "getpeercert") else None
        if not certificate:
            raise Failure(18, "AuthenticationFailed", "No verified subject name available from client")
        state["user"] = str(certificate["subject"])
        return {"dbname": "$external", "user": state["user"]}

    # Commands.

    def collection(self, command):
        return self.client[command["$db"]][next(iter(command.values()))]

    def open(self, command, documents, size):
        name = f"{command['$db']}.{next(iter(command.values()))}"
        return self.batch(name, documents, size, "firstBatch", command.get("singleBatch"))

    def batch(self, name, documents, size, member, single=False):
        first, rest = documents[:size], documents[size:]
        number = 0
        if rest and not single:
            number = secrets.randbelow(1 << 60) + 1
            self.cursors[number] = (name, rest)
        return {"cursor": {member: first, "id": bson.Int64(number), "ns": name}}

    def do_find(self, command):
        cursor = self.collection(command).find(command.get("filter", {}), command.get("projection"))
        if command.get("sort"):
            cursor = cursor.sort(list(command["sort"].items()))
        cursor = cursor.skip(command.get("skip", 0)).limit(command.get("limit", 0))
        return self.open(command, list(cursor), command.get("batchSize", 101))

    def do_getMore(self, command, server=None):
        number = command["getMore"]
        if number not in self.cursors:
            raise Failure(43, "CursorNotFound", f"cursor id {number} not found")
        name, rest = self.cursors.pop(number)
        if isinstance(rest, int):
            return self.more_events(number, name, rest, command.get("maxTimeMS", 1000), server)
        size = command.get("batchSize") or len(rest)
        reply = self.batch(name, rest, size, "nextBatch")
        if reply["cursor"]["id"]:
            self.cursors[number] = self.cursors.pop(reply["cursor"]["id"])
            reply["cursor"]["id"] = bson.Int64(number)
        return reply

    def do_killCursors(self, command):
        killed = [number for number in command["cursors"] if self.cursors.pop(number, None)]
        return {"cursorsKilled": killed, "cursorsNotFound": [n for n in command["cursors"] if n not in killed]}

    def do_insert(self, command):
        collection, failures, count = self.collection(command), [], 0
        for place, document in enumerate(command["documents"]):
            try:
                collection.insert_one(document)
                count += 1
                self.event(command, "insert", document)
            except errors.DuplicateKeyError as error:
                failures.append({"index": place, "code": 11000, "errmsg": f"E11000 duplicate key error: {error}"})
                if command.get("ordered", True):
                    break
        return {"n": count, **({"writeErrors": failures} if failures else {})}

    def do_update(self, command):
        collection, reply = self.collection(command), {"n": 0, "nModified": 0}
        for place, each in enumerate(command["updates"]):
            change, upsert = each["u"], each.get("upsert", False)
            if next(iter(change), "").startswith("$"):
                function = collection.update_many if each.get("multi") else collection.update_one
            else:
                function = collection.replace_one
            try:
                result = function(each["q"], change, upsert=upsert)
            except errors.WriteError as error:
                reply.setdefault("writeErrors", []).append({"index": place, "code": error.code or 9, "errmsg": str(error)})
                break
            reply["n"] += result.matched_count + (1 if result.upserted_id is not None else 0)
            reply["nModified"] += result.modified_count or 0
            if result.upserted_id is not None:
                reply.setdefault("upserted", []).append({"index": place, "_id": result.upserted_id})
        return reply

    def do_delete(self, command):
        collection, count = self.collection(command), 0
        for each in command["deletes"]:
            function = collection.delete_one if each["limit"] == 1 else collection.delete_many
            count += function(each["q"]).deleted_count
        return {"n": count}

    def do_findAndModify(self, command):
        collection = self.collection(command)
        options = {"projection": command.get("fields"), "sort": list(command.get("sort", {}).items()) or None}
        if command.get("remove"):
            value = collection.find_one_and_delete(command["query"], **options)
        else:
            change = command["update"]
            function = (collection.find_one_and_update if next(iter(change), "").startswith("$")
                        else collection.find_one_and_replace)
            value = function(command["query"], change, upsert=command.get("upsert", False),
                             return_document=command.get("new", False), **options)
        return {"value": value, "lastErrorObject": {"n": 0 if value is None else 1}}

    def do_aggregate(self, command):
        stages = command["pipeline"]
        if stages and "$changeStream" in stages[0]:
            return self.watch(command, stages[0]["$changeStream"])
        documents = list(self.collection(command).aggregate(stages))
        return self.open(command, documents, command["cursor"].get("batchSize", 101))

    def do_distinct(self, command):
        return {"values": self.collection(command).distinct(command["key"], command.get("query"))}

    def do_count(self, command):
        options = {name: command[name] for name in ("skip", "limit") if name in command}
        return {"n": self.collection(command).count_documents(command.get("query", {}), **options)}

    def do_createIndexes(self, command):
        for index in command["indexes"]:
            self.collection(command).create_index(list(index["key"].items()), unique=index.get("unique", False))
        return {}

    def do_listIndexes(self, command):
        return self.open(command, [{"name": name} for name in self.collection(command).index_information()], 101)

    def do_listCollections(self, command):
        names = self.client[command["$db"]].list_collection_names()
        return {"cursor": {"firstBatch": [{"name": name} for name in names], "id": bson.Int64(0), "ns": ""}}

    def do_listDatabases(self, command):
        return {"databases": [{"name": name} for name in self.client.list_database_names()]}

    def do_drop(self, command):
        self.collection(command).drop()
        return {}

    def do_dropDatabase(self, command):
        self.client.drop_database(command["$db"])
        return {}

    # Changes as they happen.

    def event(self, command, kind, document):
        with self.changed:
            token = {"_data": f"{len(self.events):08d}"}
            self.moments.append(self.clock)
            self.events.append({"_id": token, "operationType": kind, "fullDocument": document,
                                "ns": {"db": command["$db"], "coll": next(iter(command.values()))},
                                "documentKey": {"_id": document.get("_id")}})
            self.changed.notify_all()

    def watch(self, command, stage):
        name = f"{command['$db']}.{next(iter(command.values()))}"
        after = stage.get("resumeAfter")
        since = stage.get("startAtOperationTime")
        if after:
            place = int(after["_data"]) + 1
        elif since:
            place = next((place for place, moment in enumerate(self.moments) if moment >= since.inc), len(self.events))
        else:
            place = len(self.events)
        number = secrets.randbelow(1 << 60) + 1
        self.cursors[number] = (name, place)
        return {"cursor": {"firstBatch": [], "id": bson.Int64(number), "ns": name}}

    def more_events(self, number, name, place, patience, server):
        def found():
            return [event for event in self.events[place:] if f"{event['ns']['db']}.{event['ns']['coll']}" == name]
        with server._unlock(), self.changed:
            self.changed.wait_for(found, patience / 1000)
            events, end = found(), len(self.events)
        self.cursors[number] = (name, end)
        return {"cursor": {"nextBatch": events, "id": bson.Int64(number), "ns": name}}


WRITES = {"insert", "update", "delete", "findAndModify", "createIndexes", "drop", "dropDatabase"}
USERS = {"weaver": ["SCRAM-SHA-1", "SCRAM-SHA-256"], "old": ["SCRAM-SHA-1"]}

EVERYTHING = {
    "double": 1.5, "string": "Grüße, 世界", "document": {"a": 1}, "array": [1, "two", None],
    "binary": bson.Binary(b"\0\1\2", 128), "uuid": bson.Binary.from_uuid(__import__("uuid").UUID(int=7)),
    "id": bson.ObjectId("0123456789abcdef01234567"), "yes": True, "no": False,
    "date": bson.datetime.datetime(2026, 11, 21, 19, 56, 42, 500000, bson.datetime.timezone.utc), "null": None,
    "regex": bson.Regex("^a.b$", "im"), "code": bson.Code("f()"), "scoped": bson.Code("f()", {"x": 1}),
    "int32": 42, "timestamp": bson.Timestamp(7, 8), "int64": bson.Int64(1 << 60),
    "decimal": bson.Decimal128("12.50"), "min": bson.MinKey(), "max": bson.MaxKey(),
}


def main():
    verb, *arguments = sys.argv[1:]
    if verb == "serve":
        Deployment(arguments)
        threading.Event().wait()
    client = pymongo.MongoClient(f"mongodb://127.0.0.1:{arguments[0]}/")
    if verb == "count":
        found = client["bench"]["posts"]
        found.find_one({"_id": 7})
        before = time.process_time()
        for _ in range(int(arguments[1])):
            assert found.find_one({"_id": 7})
        print(time.process_time() - before)
        return
    collection = client[arguments[1]].get_collection(arguments[2], codec_options=OPTIONS)
    if verb == "write":
        collection.insert_one({"_id": "pymongo", **EVERYTHING})
    elif verb == "read":
        options = json_util.CANONICAL_JSON_OPTIONS
        for document in collection.find(sort=[("_id", 1)]):
            print(json_util.dumps(document, json_options=options))


main()
