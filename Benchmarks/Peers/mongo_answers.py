"""A server of MongoDB's wire that always says the same, so that its clients are what is measured. Prints "listening PORT"."""

import asyncio
import struct

import bson

HELLO = bson.encode({
    "ok": 1.0, "helloOk": True, "isWritablePrimary": True, "ismaster": True, "maxBsonObjectSize": 16777216,
    "maxMessageSizeBytes": 48000000, "maxWriteBatchSize": 100000, "minWireVersion": 0, "maxWireVersion": 17})
FOUND = bson.encode({"cursor": {"firstBatch": [
    {"_id": 7, "author": "Ada", "title": "On looms", "hits": 42, "tags": ["yarn", "wool"], "score": 1.5}],
    "id": bson.Int64(0), "ns": "bench.posts"}, "ok": 1.0})


class Answers(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.rest = transport, b""

    def data_received(self, data):
        data, out = self.rest + data, []
        while len(data) >= 16:
            length, request, _, opcode = struct.unpack_from("<iiii", data)
            if len(data) < length:
                break
            body = FOUND if opcode == 2013 and data[26:31] == b"find\0" else HELLO
            if opcode == 2013:
                out.append(struct.pack("<iiiiIB", 21 + len(body), 1, request, 2013, 0, 0) + body)
            else:
                out.append(struct.pack("<iiiiIqii", 36 + len(body), 1, request, 1, 8, 0, 0, 1) + body)
            data = data[length:]
        self.rest = data
        if out:
            self.transport.write(b"".join(out))


async def main():
    server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", 0)
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
