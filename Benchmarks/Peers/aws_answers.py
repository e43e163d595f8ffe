"""SQS and DynamoDB that always say the same, so that their clients are what is measured. Prints "listening PORT"."""

import asyncio
import hashlib
import json

SENT = [{"Id": str(n), "MessageId": str(n), "MD5OfMessageBody": hashlib.md5(f"message {n}".encode()).hexdigest()} for n in range(10)]
ANSWERS = {
    b"CreateQueue": {"QueueUrl": "http://127.0.0.1/1/bench"}, b"GetQueueUrl": {"QueueUrl": "http://127.0.0.1/1/bench"},
    b"SendMessageBatch": {"Successful": SENT, "Failed": []}, b"CreateTable": {}, b"PutItem": {},
    b"Query": {"Count": 1, "ScannedCount": 1, "Items": [{"id": {"S": "p"}, "n": {"N": "0"}, "text": {"S": "x" * 100}}]},
}


def answer(content):
    body = json.dumps(content).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


WHOLE = {name: answer(content) for name, content in ANSWERS.items()}


class Answers(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.rest = transport, b""

    def data_received(self, data):
        data = self.rest + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            fields = dict(line.lower().split(b": ", 1) for line in data[:end].split(b"\r\n")[1:])
            whole = end + 4 + int(fields.get(b"content-length", 0))
            if len(data) < whole:
                break
            place = data[:end].lower().index(b"x-amz-target: ")
            operation = data[place:end].split(b"\r\n", 1)[0].split(b".")[-1]
            self.transport.write(WHOLE[operation])
            data = data[whole:]
        self.rest = data


async def main():
    server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", 0)
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
