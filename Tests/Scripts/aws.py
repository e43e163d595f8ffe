"""Amazon's services by moto, behind a gate that checks signatures by botocore and fails when it is told to; boto3 as the other client.

gunicorn aws:app                          serves both services; the key AKTEST has the secret `secret`
aws.py send PORT QUEUE TEXT...            sends messages by boto3
aws.py receive PORT QUEUE                 prints a message as JSON, and deletes it
aws.py put PORT TABLE ITEM                puts an item of plain JSON
aws.py get PORT TABLE KEY                 prints an item as JSON
aws.py cpu PORT QUEUE TABLE COUNT         sends, puts and queries so often, and prints the seconds of CPU a call of each

/control/fail?operation=X&times=N&status=S&type=T    fails calls; with half=1, leaves half of a batch undone
/control/log                                         the operations so far, with what they said
/creds, /latest/...                                  hand out credentials, which expire with the next ones
"""

import datetime
import json
import sys
import time
from urllib.parse import parse_qs

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SECRETS = {"AKTEST": "secret"}
faults, log, handed = [], [], []


def expiring():
    handed.append(f"AKTEMP{len(handed)}")
    SECRETS[handed[-1]] = "temporary"
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    return {"AccessKeyId": handed[-1], "SecretAccessKey": "temporary", "Token": "token",
            "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ")}


def signature_problem(environ, body):
    fields = environ.get("HTTP_AUTHORIZATION", "")
    if not fields.startswith("AWS4-HMAC-SHA256 "):
        return "MissingAuthenticationTokenException"
    parts = dict(part.strip().split("=", 1) for part in fields.split(" ", 1)[1].split(","))
    key, day, region, service, _ = parts["Credential"].split("/")
    if key not in SECRETS:
        return "UnrecognizedClientException"
    if key in handed[:-1]:
        return "ExpiredTokenException"
    headers = {}
    for name in parts["SignedHeaders"].split(";"):
        variable = "CONTENT_TYPE" if name == "content-type" else "HTTP_" + name.upper().replace("-", "_")
        headers[name] = environ[variable]
    request = AWSRequest(environ["REQUEST_METHOD"], f"http://{environ['HTTP_HOST']}{environ['PATH_INFO']}", headers, body)
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials(key, SECRETS[key]), service, region)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return None if signer.signature(text, request) == parts["Signature"] else "InvalidSignatureException"


class Gate:
    def __init__(self):
        from moto.server import DomainDispatcherApplication, create_backend_app
        self.moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ, start):
        path, query = environ["PATH_INFO"], parse_qs(environ.get("QUERY_STRING", ""))

        def answer(status, content):
            body = json.dumps(content).encode()
            start(f"{status} X", [("Content-Type", "application/x-amz-json-1.0"), ("Content-Length", str(len(body)))])
            return [body]

        if path == "/control/fail":
            faults.append({name: values[0] for name, values in query.items()} | {"left": int(query["times"][0])})
            return answer(200, {})
        if path == "/control/log":
            return answer(200, log)
        if path == "/creds":
            if environ.get("HTTP_AUTHORIZATION") != "let me":
                return answer(401, {})
            return answer(200, expiring())
        if path == "/latest/api/token":
            start("200 X", [("Content-Length", "5")])
            return [b"token"] if environ["REQUEST_METHOD"] == "PUT" else [b"wrong"]
        if path.startswith("/latest/meta-data/iam/security-credentials/"):
            if environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN") != "token":
                return answer(401, {})
            if path.endswith("/"):
                start("200 X", [("Content-Length", "6")])
                return [b"weaver"]
            return answer(200, expiring())

        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        operation = environ.get("HTTP_X_AMZ_TARGET", "").split(".")[-1]
        log.append({"operation": operation, "input": json.loads(body or b"{}")})
        problem = signature_problem(environ, body)
        if problem:
            return answer(400 if "Expired" in problem else 403,
                          {"__type": f"com.amazon.coral.service#{problem}", "message": "by the gate"})
        fault = next((fault for fault in faults if fault["operation"] == operation and fault["left"] > 0), None)
        rest = None
        if fault:
            fault["left"] -= 1
            if "half" not in fault:
                return answer(int(fault["status"]), {"__type": f"com.amazonaws#{fault['type']}", "message": "by the fault"})
            content = json.loads(body)
            if operation == "BatchWriteItem":
                (table, items), = content["RequestItems"].items()
                content["RequestItems"][table] = items[: len(items) // 2]
                rest = ("UnprocessedItems", {table: items[len(items) // 2:]})
            elif operation == "BatchGetItem":
                (table, what), = content["RequestItems"].items()
                keys = what["Keys"]
                content["RequestItems"][table] = {**what, "Keys": keys[: len(keys) // 2]}
                rest = ("UnprocessedKeys", {table: {**what, "Keys": keys[len(keys) // 2:]}})
            else:
                entries = content["Entries"]
                content["Entries"] = entries[: len(entries) // 2]
                rest = ("Failed", [{"Id": entry["Id"], "Code": "InternalError", "SenderFault": False}
                                   for entry in entries[len(entries) // 2:]])
            body = json.dumps(content).encode()
            environ["CONTENT_LENGTH"] = str(len(body))
        import io
        environ["wsgi.input"] = io.BytesIO(body)
        if rest is None:
            return self.moto(environ, start)
        kept = []
        content = b"".join(self.moto(environ, lambda status, headers, *_: kept.append(status)))
        return answer(int(kept[0].split()[0]), {**json.loads(content), rest[0]: rest[1]})


def main():
    import boto3
    verb, port, *words = sys.argv[1:]
    where = dict(endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id="AKTEST",
                 aws_secret_access_key="secret")
    sqs, tables = boto3.client("sqs", **where), boto3.resource("dynamodb", **where)
    if verb == "send":
        url = sqs.get_queue_url(QueueName=words[0])["QueueUrl"]
        for text in words[1:]:
            sqs.send_message(QueueUrl=url, MessageBody=text, MessageAttributes={
                "n": {"DataType": "Number", "StringValue": "7"}, "b": {"DataType": "Binary", "BinaryValue": b"\0\xff"}})
    elif verb == "receive":
        url = sqs.get_queue_url(QueueName=words[0])["QueueUrl"]
        message = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"][0]
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        print(json.dumps({"body": message["Body"], "attributes": {
            name: value.get("StringValue") or value["BinaryValue"].hex()
            for name, value in message.get("MessageAttributes", {}).items()}}))
    elif verb == "put":
        from decimal import Decimal
        tables.Table(words[0]).put_item(Item=json.loads(words[1], parse_float=Decimal))
    elif verb == "get":
        print(json.dumps(tables.Table(words[0]).get_item(Key=json.loads(words[1]))["Item"], default=str, sort_keys=True))
    elif verb == "cpu":
        queue, table, count = words[0], words[1], int(words[2])
        url, db = sqs.get_queue_url(QueueName=queue)["QueueUrl"], boto3.client("dynamodb", **where)

        def timed(name, count, work):
            work(0)
            before = time.process_time()
            for number in range(count):
                work(number)
            print(name, (time.process_time() - before) / count)

        timed("send", count // 10, lambda number: sqs.send_message_batch(QueueUrl=url, Entries=[
            {"Id": str(place), "MessageBody": f"message {place}"} for place in range(10)]))
        timed("put", count, lambda number: db.put_item(TableName=table, Item={
            "id": {"S": "p"}, "n": {"N": str(number)}, "text": {"S": "x" * 100}}))
        timed("query", count, lambda number: db.query(
            TableName=table, KeyConditionExpression="#i = :i AND #n = :n", ExpressionAttributeNames={"#i": "id", "#n": "n"},
            ExpressionAttributeValues={":i": {"S": "p"}, ":n": {"N": "0"}}))


if __name__ == "__main__":
    main()
else:
    app = Gate()
