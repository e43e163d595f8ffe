"""Does what the cases on standard input say with a client that is not ours: `differential.py requests|curl`.

Prints a JSON object: the last status of each case, or the error. What was really asked for, the server has in its log.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile

import requests
from requests.auth import HTTPDigestAuth

# Every name is this machine.
find = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: find("127.0.0.1", *rest, **more)


def with_requests(case):
    session = requests.Session()
    session.trust_env = False
    session.max_redirects = 10
    status = 0
    for step in case["steps"]:
        auth = step.get("auth") and tuple(step["auth"])
        if step.get("digest"):
            auth = HTTPDigestAuth(*step["digest"])
        body = step.get("body")
        answer = session.request(
            step["method"],
            step["url"],
            data=body.encode() if body else None,
            headers={"Content-Type": "text/plain"} if body else {},
            auth=auth,
            cookies=step.get("cookies") or None,
            allow_redirects=True,
            timeout=10,
        )
        status = answer.status_code
    return status


def with_curl(case):
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        jar = os.path.join(folder, "jar")
        for step in case["steps"]:
            command = ["curl", "-q", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-L", "--max-redirs", "10"]
            command += ["--resolve", "*:%d:127.0.0.1" % case["port"], "-b", jar, "-c", jar, "-m", "10"]
            body, method = step.get("body"), step["method"]
            if body:
                command += ["-H", "Content-Type: text/plain"]
            if method == "POST":
                command += ["--data", body or ""]
            elif method == "PUT":
                path = os.path.join(folder, "body")
                with open(path, "w") as file:
                    file.write(body or "")
                command += ["-T", path, "-H", "Expect:"]
            elif method == "HEAD":
                command += ["-I"]
            elif method != "GET":
                command += ["-X", method] + (["--data", body] if body else [])
            if step.get("auth"):
                command += ["-u", ":".join(step["auth"])]
            if step.get("digest"):
                command += ["--digest", "-u", ":".join(step["digest"])]
            if step.get("cookies"):
                command += ["-H", "Cookie: " + "; ".join(f"{k}={v}" for k, v in step["cookies"].items())]
            status = int(subprocess.run(command + [step["url"]], capture_output=True, text=True).stdout[-3:] or 0)
    return status


clients = {"requests": with_requests, "curl": with_curl}
results = {}
for case in json.load(sys.stdin):
    try:
        results[case["id"]] = clients[sys.argv[1]](case)
    except Exception as error:
        results[case["id"]] = f"{type(error).__name__}: {error}"
json.dump(results, sys.stdout)
