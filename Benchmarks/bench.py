#!/usr/bin/env python3
"""Runs Skein and its peers in turn against the same servers, some rounds each, and prints medians and ratios.

A figure means something only beside its peer's of the same run; the machine's own are not comparable with any other's.
Called by scripts/bench, which builds what is measured.
"""

import argparse
import json
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SKEIN = os.path.join(ROOT, ".build/release/skein")
PEERS = os.path.join(ROOT, "Benchmarks/.build/release")
PYTHON = os.path.join(ROOT, ".build/peers/bin/python")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A process that listens, ended by its process id."""

    def __init__(self, command, port):
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{port}/hello"
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{command[0]} does not listen on port {port}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def nginx(folder, version="", tls=""):
    port = free_port()
    paths = " ".join(f"{n}_temp_path {folder}/{n};" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    path = os.path.join(folder, "nginx.conf")
    with open(path, "w") as file:
        file.write(
            f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;"
            "events { worker_connections 16384; }"
            f"http {{ access_log off; keepalive_requests 1000000000; {paths}"
            f"server {{ listen 127.0.0.1:{port} {version} backlog=4096; {tls}"
            'location = /hello { default_type text/plain; return 200 "hello world"; } } }'
        )
    return Server(["nginx", "-c", path, "-p", folder, "-e", f"{folder}/error.log"], port)


def skein_server(*flags):
    port = free_port()
    return Server([SKEIN, "respond", "hello world", "--listen", f"127.0.0.1:{port}", "--threads", "1", *flags], port)


def hummingbird():
    port = free_port()
    return Server([os.path.join(PEERS, "hummingbird-hello"), str(port), "1"], port)


def run(command):
    """Runs a command; returns its output and the CPU seconds it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    finished = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if finished.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{finished.stdout}")
    return finished.stdout, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def number(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise SystemExit(f"no figure like {pattern} in:\n{text}")
    return float(found.group(1))


def client_skein(url, n):
    text, cpu = run([SKEIN, "load", "-n", str(n), "-c", "64", "--threads", "1", "--http1", "--json", url])
    report = json.loads(text)
    assert report["status"] == {"200": n} and not report["errors"], report
    return report["requests_per_second"], cpu / n


def client_h2load(url, n):
    text, cpu = run(["h2load", "--h1", "-t1", "-c64", "-n", str(n), url])
    return number(r"finished in .*?, ([\d.]+) req/s", text), cpu / n


def client_wrk(url, _):
    text, _ = run(["wrk", "-t1", "-c64", "-d3s", url])
    return number(r"Requests/sec:\s+([\d.]+)", text), None


def client_hey(url, n):
    text, cpu = run(["hey", "-n", str(n), "-c", "64", "-cpus", "1", url])
    return number(r"Requests/sec:\s+([\d.]+)", text), cpu / n


def client_ahc(url, n):
    n //= 4
    text, cpu = run([os.path.join(PEERS, "async-http-client-load"), url, str(n), "64", "1"])
    return number(r"([\d.]+)", text), cpu / n


def client_skein_http2(url, n):
    command = [SKEIN, "load", "-n", str(n), "-c", "4", "-m", "32", "--threads", "1", "--http2", "--json", url]
    text, cpu = run(command)
    report = json.loads(text)
    assert report["status"] == {"200": n} and report["connections"] == 4, report
    return report["requests_per_second"], cpu / n


def client_h2load_http2(url, n):
    text, cpu = run(["h2load", "-t1", "-c4", "-m32", "-n", str(n), url])
    assert f"{n} succeeded" in text, text
    return number(r"finished in .*?, ([\d.]+) req/s", text), cpu / n


def client_nio_http2(url, n):
    port = url.split(":")[2].split("/")[0]
    text, cpu = run([os.path.join(PEERS, "nio-http2-load"), port, str(n), "4", "32"])
    return number(r"([\d.]+)", text), cpu / n


def rounds(count, measures):
    """Measures each in turn, so that a slow spell of the machine does not fall on one of them alone."""
    taken = {name: [] for name in measures}
    for turn in range(count):
        for name, measure in measures.items():
            print(f"  round {turn + 1} of {count}: {name}        ", end="\r", file=sys.stderr)
            taken[name].append(measure())
    print(" " * 60, end="\r", file=sys.stderr)
    return taken


def median(values):
    return statistics.median(values)


def table(title, rows):
    print(f"\n{title}")
    for name, text in rows:
        print(f"  {name:<44} {text}")


def ratio_row(results, what, value, bar, at_most=False):
    met = value <= bar if at_most else value >= bar
    results.append({"what": what, "ratio": round(value, 3), "bar": bar, "met": met})


def http1(options, folder, results):
    server = nginx(folder)
    clients = {
        "skein load": client_skein, "h2load --h1": client_h2load, "wrk": client_wrk, "hey": client_hey,
        "AsyncHTTPClient": client_ahc,
    }
    taken = rounds(
        options.rounds, {name: (lambda client=client: client(server.url, options.requests)) for name, client in clients.items()})
    server.stop()
    rate = {name: median([r for r, _ in values]) for name, values in taken.items()}
    cpu = {name: median([c for _, c in values]) for name, values in taken.items() if values[0][1] is not None}
    table(
        "HTTP/1.1 clients, 64 connections, one thread, against nginx with one worker",
        [(n, f"{rate[n]:>10.0f} requests/s" + (f"  {cpu[n] * 1e6:>7.2f} µs CPU each" if n in cpu else "")) for n in clients])
    ratio_row(results, "client requests/s, skein / h2load", rate["skein load"] / rate["h2load --h1"], 0.70)
    ratio_row(results, "client CPU a request, AsyncHTTPClient / skein", cpu["AsyncHTTPClient"] / cpu["skein load"], 5)

    servers = {
        "nginx": nginx(folder), "skein, async handler": skein_server(), "skein, immediate handler": skein_server("--immediate"),
        "Hummingbird": hummingbird(),
    }
    taken = rounds(
        options.rounds, {name: (lambda server=server: client_wrk(server.url, 0)[0]) for name, server in servers.items()})
    for server in servers.values():
        server.stop()
    rate = {name: median(values) for name, values in taken.items()}
    table("HTTP/1.1 servers, one thread, under wrk -t1 -c64", [(n, f"{rate[n]:>10.0f} requests/s") for n in servers])
    ratio_row(results, "server requests/s, async / nginx", rate["skein, async handler"] / rate["nginx"], 0.60)
    ratio_row(results, "server requests/s, immediate / nginx", rate["skein, immediate handler"] / rate["nginx"], 0.75)
    ratio_row(results, "server requests/s, async / Hummingbird", rate["skein, async handler"] / rate["Hummingbird"], 2)


def http2(options, folder, results):
    clients = {"skein load": client_skein_http2, "h2load": client_h2load_http2, "NIOHTTP2": client_nio_http2}
    rates = {}
    # nginx is slower than the clients are; a faster server shows what they can do.
    for title, server in (("nginx with one worker", nginx(folder, "http2")), ("skein respond", skein_server("--immediate"))):
        taken = rounds(
            options.rounds,
            {name: (lambda client=client: client(server.url, options.requests)) for name, client in clients.items()})
        server.stop()
        rate = {name: median([r for r, _ in values]) for name, values in taken.items()}
        cpu = {name: median([c for _, c in values]) for name, values in taken.items()}
        table(
            f"HTTP/2 clients, 4 connections of 32 streams, one thread, against {title}",
            [(n, f"{rate[n]:>10.0f} requests/s  {cpu[n] * 1e6:>7.2f} µs CPU each") for n in clients])
        rates[title] = (rate, cpu)
    rate, cpu = rates["nginx with one worker"]
    ratio_row(results, "HTTP/2 client requests/s, skein / h2load", rate["skein load"] / rate["h2load"], 0.60)
    ratio_row(results, "HTTP/2 client requests/s, skein / NIOHTTP2", rate["skein load"] / rate["NIOHTTP2"], 2)
    ratio_row(results, "HTTP/2 client CPU a request, NIOHTTP2 / skein", cpu["NIOHTTP2"] / cpu["skein load"], 2)
    rate, _ = rates["skein respond"]
    ratio_row(
        results, "HTTP/2 client requests/s, skein / NIOHTTP2, against skein", rate["skein load"] / rate["NIOHTTP2"], 2)
    ratio_row(results, "HTTP/2 client requests/s, skein / h2load, against skein", rate["skein load"] / rate["h2load"], 0.60)

    servers = {"nginx": nginx(folder, "http2"), "skein, async handler": skein_server(), "skein, immediate handler": skein_server("--immediate")}
    taken = rounds(
        options.rounds,
        {name: (lambda server=server: client_h2load_http2(server.url, options.requests)[0]) for name, server in servers.items()})
    for server in servers.values():
        server.stop()
    rate = {name: median(values) for name, values in taken.items()}
    table("HTTP/2 servers, one thread, under h2load -t1 -c4 -m32", [(n, f"{rate[n]:>10.0f} requests/s") for n in servers])
    ratio_row(results, "HTTP/2 server requests/s, async / nginx", rate["skein, async handler"] / rate["nginx"], 0.70)


def run_watched(command):
    """Runs a command; returns its seconds and its largest memory in bytes."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{text}")
    return time.monotonic() - start, usage.ru_maxrss * 1024


def bodies(options, folder, results):
    size = options.gigabytes << 30
    os.chmod(folder, 0o777)
    for name in ("files", "sink"):
        os.mkdir(os.path.join(folder, name))
        os.chmod(os.path.join(folder, name), 0o777)
    source = os.path.join(folder, "files", "large")
    with open(source, "wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 10) * 1024)
    server = nginx(folder, "", f"root {folder}/files; client_max_body_size 0; location /sink {{ dav_methods PUT; root {folder}; }}")
    base = server.url.removesuffix("/hello")
    target = os.path.join(folder, "target")
    measures = {
        "download, skein": [SKEIN, "get", f"{base}/large", "--timeout", "600", "-o", target],
        "download, curl": ["curl", "-sS", f"{base}/large", "-o", target],
        "upload, skein": [SKEIN, "put", f"{base}/sink/a", "--timeout", "600", "--data", f"@{source}"],
        "upload, curl": ["curl", "-sS", "-H", "Expect:", "-T", source, f"{base}/sink/b"],
    }

    def measure(command):
        # What the run before has written is neither replaced nor still on its way to the disk.
        for path in (target, os.path.join(folder, "sink", "a"), os.path.join(folder, "sink", "b")):
            if os.path.exists(path):
                os.remove(path)
        os.sync()
        return run_watched(command)

    taken = rounds(options.rounds, {name: (lambda command=command: measure(command)) for name, command in measures.items()})
    server.stop()
    seconds = {name: median([s for s, _ in values]) for name, values in taken.items()}
    peak = {name: max(m for _, m in values) for name, values in taken.items()}
    table(
        f"{options.gigabytes} GiB from and to nginx, files at both ends",
        [(n, f"{size / seconds[n] / 2**20:>8.0f} MiB/s  {peak[n] / 2**20:>6.1f} MiB at most") for n in measures])
    for way in ("download", "upload"):
        ratio_row(results, f"{way}, MiB/s, skein / curl", seconds[f"{way}, curl"] / seconds[f"{way}, skein"], 0.7)
        ratio_row(results, f"{way}, peak memory, MiB", peak[f"{way}, skein"] / 2**20, 32, at_most=True)


def certificate(folder):
    path = os.path.join(folder, "certificate.pem")
    key = os.path.join(folder, "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", path],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path, key


def nginx_tls(folder):
    cert, key = certificate(folder)
    server = nginx(folder, "ssl", f"ssl_certificate {cert}; ssl_certificate_key {key}; ssl_session_cache shared:a:10m;")
    server.url = server.url.replace("http://", "https://")
    return server


def tls(options, folder, results):
    server = nginx_tls(folder)

    def skein(n, *flags):
        command = [SKEIN, "load", "-n", str(n), "-c", "64", "--threads", "1", "--http1", "--cacert", f"{folder}/certificate.pem", "--json", *flags, server.url]
        text, cpu = run(command)
        report = json.loads(text)
        assert report["status"] == {"200": n}, report
        return report["requests_per_second"], cpu / n

    def h2load(n):
        text, cpu = run(["h2load", "--h1", "-t1", "-c64", "-n", str(n), server.url])
        return number(r"finished in .*?, ([\d.]+) req/s", text), cpu / n

    def h2load_reconnecting(n):
        # As many clients as requests, 64 at a time would be the same work; h2load opens them all.
        text, cpu = run(["h2load", "--h1", "-t1", f"-c{n}", "-n", str(n), server.url])
        return number(r"finished in .*?, ([\d.]+) req/s", text), cpu / n

    taken = rounds(
        options.rounds,
        {"skein": lambda: skein(options.requests), "h2load": lambda: h2load(options.requests),
         "skein, reconnecting": lambda: skein(2000, "--no-keep-alive"), "h2load, reconnecting": lambda: h2load_reconnecting(2000)})
    server.stop()
    rate = {name: median([r for r, _ in values]) for name, values in taken.items()}
    cpu = {name: median([c for _, c in values]) for name, values in taken.items()}
    table(
        "HTTPS clients, 64 connections, one thread, against nginx with one worker",
        [(n, f"{rate[n]:>10.0f} requests/s  {cpu[n] * 1e6:>7.2f} µs CPU each") for n in rate])
    ratio_row(results, "HTTPS requests/s, skein / h2load --h1", rate["skein"] / rate["h2load"], 0.70)
    ratio_row(results, "HTTPS handshakes/s, skein / h2load", rate["skein, reconnecting"] / rate["h2load, reconnecting"], 0.5)


def dns(options, folder, results):
    port = free_port()
    server = Server(
        ["dnsmasq", "--no-daemon", f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv",
         "--no-hosts", "--conf-file=/dev/null", "--pid-file", "--user=root", "--address=/bench.test/192.0.2.1",
         "--dns-forward-max=10000"], port)
    names = [f"n{number}.bench.test" for number in range(10_000)]
    with open(os.path.join(folder, "names"), "w") as file:
        file.write("\n".join(names) + "\n")
    with open(os.path.join(folder, "queries"), "w") as file:
        file.write("".join(f"{name} A\n" for name in names))

    def skein():
        text, _ = run(
            [SKEIN, "resolve", f"@{folder}/names", "--server", f"127.0.0.1:{port}", "--type", "A", "--json", "-c", "1000"])
        sums = json.loads(text.splitlines()[-1])
        assert sums["found"] == 10_000, sums
        return sums["names"] / sums["seconds"], sums["questions"], sums["sockets"]

    def dnsperf():
        text, _ = run(["dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", f"{folder}/queries", "-n", "1", "-q", "100", "-c", "8"])
        return number(r"Queries per second:\s+([\d.]+)", text)

    taken = rounds(options.rounds, {"skein": skein, "dnsperf": dnsperf})
    server.stop()
    rate = {"skein": median([r for r, _, _ in taken["skein"]]), "dnsperf": median(taken["dnsperf"])}
    table("10 000 names against dnsmasq, 100 questions under way", [(n, f"{r:>10.0f} names/s") for n, r in rate.items()])
    ratio_row(results, "names/s, skein / dnsperf", rate["skein"] / rate["dnsperf"], 0.5)
    ratio_row(results, "questions a name", max(q for _, q, _ in taken["skein"]) / 10_000, 1, at_most=True)
    ratio_row(results, "sockets for 10 000 names", max(s for _, _, s in taken["skein"]), 64, at_most=True)


DUGONG = """
import sys, threading, time
from dugong import HTTPConnection
port, n = int(sys.argv[1]), int(sys.argv[2])
c = HTTPConnection("127.0.0.1", port=port)
start = time.monotonic()
def send():
    for _ in range(n): c.send_request("GET", "/hello")
t = threading.Thread(target=send); t.start()
for _ in range(n):
    while not c.response_pending(): time.sleep(0)
    c.read_response(); c.readall()
t.join()
print(n / (time.monotonic() - start))
"""


def pipelining(options, folder, results):
    server = nginx(folder)
    port = server.url.split(":")[2].split("/")[0]
    taken = rounds(
        options.rounds,
        {
            "skein": lambda: json.loads(run([os.path.join(PEERS, "skein-probe"), "pipeline", server.url, "10000"])[0])[
                "requests_per_second"],
            "dugong": lambda: number(r"([\d.]+)", run([PYTHON, "-c", DUGONG, port, "10000"])[0]),
        })
    server.stop()
    rate = {name: median(values) for name, values in taken.items()}
    table("10 000 pipelined requests on one connection driven by hand", [(n, f"{r:>10.0f} requests/s") for n, r in rate.items()])
    ratio_row(results, "pipelined requests/s, skein / dugong", rate["skein"] / rate["dugong"], 10)


ECHO = """
import asyncio, sys
from websockets.asyncio.server import serve
async def echo(socket):
    async for message in socket: await socket.send(message)
async def main():
    async with serve(echo, "127.0.0.1", int(sys.argv[1]), compression=None): await asyncio.get_running_loop().create_future()
asyncio.run(main())
"""


def echo_servers():
    """The servers that send back what they hear, one thread each."""
    port = free_port()
    yield "skein, channel", skein_server("--websocket", "--no-deflate")
    yield "skein, handler", skein_server("--websocket", "--no-deflate", "--immediate")
    yield "NIOWebSocket", Server([os.path.join(PEERS, "nio-websocket-echo"), str(port)], port)
    port = free_port()
    yield "Python websockets", Server([PYTHON, "-c", ECHO, str(port)], port)


def open_socket(port):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    assert b" 101 " in head, head
    return connection


def echo_rate(port, count, window):
    """Messages a second of 64 bytes over one connection. The client sends frames made before, so that the server is what is
    measured: at first as many as the window has, then one for each that came back."""
    connection = open_socket(port)
    frame = b"\x82\xc0" + b"abcd" + bytes(64)
    size = 66  # of a frame without a mask
    sent = received = 0
    start = time.monotonic()
    while received < count * size:
        more = min(count, received // size + window) - sent
        if more > 0:
            connection.sendall(frame * more)
            sent += more
        received += len(connection.recv(1 << 18))
    rate = count / (time.monotonic() - start)
    connection.close()
    return rate


def websocket(options, folder, results):
    taken = {}
    for _ in range(options.rounds):
        for name, server in echo_servers():
            port = int(server.url.split(":")[2].split("/")[0])
            for window, count in ((1, 20_000), (256, 1_000_000)):
                count = count // 8 if "Python" in name else count
                taken.setdefault((name, window), []).append(echo_rate(port, count, window))
            server.stop()
    rate = {key: median(values) for key, values in taken.items()}
    for window in (1, 256):
        table(
            f"Messages of 64 bytes over one connection, {window} under way",
            [(name, f"{r:>10.0f} messages/s") for (name, w), r in rate.items() if w == window])
    # With one message under way, it is the kernel that is measured, waking one process and then the other.
    for form in ("channel", "handler"):
        for peer, bar in (("Python websockets", 3), ("NIOWebSocket", 1.5)):
            ratio_row(results, f"messages/s, {form}, skein / {peer}", rate[f"skein, {form}", 256] / rate[peer, 256], bar)

    def idle():
        probe = subprocess.Popen(
            [os.path.join(PEERS, "skein-probe"), "idle", str(options.idle)], stdout=subprocess.PIPE, text=True)
        port = int(probe.stdout.readline())
        sockets = [open_socket(port) for _ in range(options.idle)]
        report = json.loads(probe.stdout.readline())
        probe.wait()
        for connection in sockets:
            connection.close()
        return report["bytes_each"] / 1024

    each = idle()
    table(f"{options.idle} idle WebSockets", [("memory each", f"{each:.1f} KiB")])
    ratio_row(results, "idle WebSocket on the server, KiB", each, 8, at_most=True)


GRPCIO_SERVER = """
import sys, grpc
from concurrent import futures
server = grpc.server(futures.ThreadPoolExecutor(1))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {
    "Echo": grpc.unary_unary_rpc_method_handler(lambda message, context: message)}),))
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
server.wait_for_termination()
"""

GRPCIO_CLIENT = """
import asyncio, sys, time, grpc
async def main(port, count):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        echo = channel.unary_unary("/bench.Echo/Echo")
        await echo(bytes(64))
        left = count
        async def caller():
            nonlocal left
            while left > 0:
                left -= 1
                await echo(bytes(64))
        start = time.monotonic()
        await asyncio.gather(*(caller() for _ in range(64)))
        print(count / (time.monotonic() - start))
asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
"""


def grpc(options, folder, results):
    peer = os.path.join(PEERS, "grpc-peer")

    def server(name):
        port = free_port()
        command = [PYTHON, "-c", GRPCIO_SERVER, str(port)] if name == "grpcio" else [peer, "serve", name, str(port)]
        return Server(command, port), port

    def load(name, port, count):
        if name == "grpcio":
            return number(r"([\d.]+)", run([PYTHON, "-c", GRPCIO_CLIENT, str(port), str(count)])[0])
        return number(r"([\d.]+)", run([peer, "load", name, str(port), str(count)])[0])

    def count(name):
        return 6_000 if name == "grpcio" else 60_000

    pairs, clients, servers = {}, {}, {}
    for _ in range(options.rounds):
        for name in ("skein", "nio", "grpcio"):
            running, port = server(name)
            pairs.setdefault(name, []).append(load(name, port, count(name)))
            servers.setdefault(name, []).append(load("skein", port, count(name)))
            running.stop()
            running, port = server("skein")
            clients.setdefault(name, []).append(load(name, port, count(name)))
            running.stop()
    for title, taken in (("both ends", pairs), ("client, the server is skein", clients), ("server, the client is skein", servers)):
        rate = {name: median(values) for name, values in taken.items()}
        table(f"Unary calls of 64 bytes, 64 under way on one connection: {title}", [(n, f"{r:>10.0f} calls/s") for n, r in rate.items()])
        ratio_row(results, f"calls/s, {title}, skein / grpc-swift-nio-transport", rate["skein"] / rate["nio"], 1.5)
        if title == "both ends":
            ratio_row(results, f"calls/s, {title}, skein / grpcio", rate["skein"] / rate["grpcio"], 3)


def engine(options, folder, results):
    """The engine as a small service has it, with a log of requests, beside nginx, Hummingbird and gunicorn with theirs."""
    files = os.path.join(folder, "files")
    os.makedirs(files)
    for name, size in (("small.bin", 4 << 10), ("large.bin", 10 << 20)):
        with open(os.path.join(files, name), "wb") as file:
            file.write(os.urandom(size))
    os.chmod(folder, 0o755)
    cert, key = certificate(folder)

    def nginx_engine(tls):
        port = free_port()
        home = tempfile.mkdtemp(dir=folder)
        paths = " ".join(f"{n}_temp_path {home}/{n};" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        path = os.path.join(home, "nginx.conf")
        secure = f"ssl_certificate {cert}; ssl_certificate_key {key};" if tls else ""
        with open(path, "w") as file:
            file.write(
                f"user root; daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log;"
                "events { worker_connections 16384; }"
                f"http {{ access_log {home}/access.log combined; sendfile on; tcp_nopush on; keepalive_requests 1000000000; {paths}"
                f"server {{ listen 127.0.0.1:{port} {'ssl' if tls else ''} backlog=4096; {secure}"
                f"location /files/ {{ alias {files}/; }}"
                'location ~ ^/hello/(?<name>[^/]+)$ { default_type text/plain; return 200 "hello $name"; } } }'
            )
        return Server(["nginx", "-c", path, "-p", home, "-e", f"{home}/error.log"], port)

    def skein_engine(tls):
        port = free_port()
        log = os.path.join(tempfile.mkdtemp(dir=folder), "requests.log")
        command = [os.path.join(PEERS, "skein-probe"), "engine", str(port), files, log]
        return Server(command + ([cert, key] if tls else []), port)

    def hummingbird_engine(_):
        port = free_port()
        return Server([os.path.join(PEERS, "hummingbird-hello"), str(port), "1", os.path.join(folder, "hummingbird.log")], port)

    def gunicorn(_):
        port = free_port()
        with open(os.path.join(folder, "hello_app.py"), "w") as file:
            file.write(
                "def app(environ, start):\n"
                "    text = b'hello ' + environ['PATH_INFO'].rsplit('/', 1)[1].encode()\n"
                "    start('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', str(len(text)))])\n"
                "    return [text]\n")
        return Server(
            [PYTHON, "-m", "gunicorn", "-w", "1", "-k", "gthread", "--threads", "4", "--keep-alive", "75", "-b", f"127.0.0.1:{port}",
             "--chdir", folder, "--access-logfile", os.path.join(folder, "gunicorn.log"), "hello_app:app"], port)

    def rate(server, path, seconds=3):
        url = server.url.replace("/hello", path)
        text, _ = run(["wrk", "-t1", "-c64", f"-d{seconds}s", url])
        if "Non-2xx" in text:
            raise SystemExit(f"{url}:\n{text}")
        return number(r"Requests/sec:\s+([\d.]+)", text)

    def measure(title, path, servers, tls=False):
        taken = {name: [] for name in servers}
        for _ in range(options.rounds):
            for name, start in servers.items():
                server = start(tls)
                if tls:
                    server.url = server.url.replace("http:", "https:")
                taken[name].append(rate(server, path))
                server.stop()
        rates = {name: median(values) for name, values in taken.items()}
        table(title, [(name, f"{value:>10.0f} requests/s") for name, value in rates.items()])
        return rates

    everybody = {"skein": skein_engine, "nginx": nginx_engine, "hummingbird": hummingbird_engine, "gunicorn": gunicorn}
    two = {"skein": skein_engine, "nginx": nginx_engine}
    rates = measure("A router's parameter, with a log, wrk -t1 -c64", "/hello/world", everybody)
    ratio_row(results, "hello with a log, skein / nginx", rates["skein"] / rates["nginx"], 0.60)
    ratio_row(results, "hello with a log, skein / hummingbird", rates["skein"] / rates["hummingbird"], 2.5)
    ratio_row(results, "hello with a log, skein / gunicorn", rates["skein"] / rates["gunicorn"], 10)
    for title, path in (("A file of 4 KiB", "/files/small.bin"), ("A file of 10 MiB", "/files/large.bin")):
        rates = measure(title, path, two)
        ratio_row(results, f"{title}, skein / nginx", rates["skein"] / rates["nginx"], 0.7)
    rates = measure("Over TLS: a router's parameter", "/hello/world", two, tls=True)
    ratio_row(results, "hello over TLS, skein / nginx", rates["skein"] / rates["nginx"], 0.7)
    rates = measure("Over TLS: a file of 4 KiB", "/files/small.bin", two, tls=True)
    ratio_row(results, "4 KiB over TLS, skein / nginx", rates["skein"] / rates["nginx"], 0.7)

    # Latency under half of what each can do, by clients that ask at their own pace; h2load logs each request's microseconds.
    def p99(server, rate, name):
        log = os.path.join(folder, f"latency-{name}.log")
        run(["h2load", "--h1", "-t1", "-c32", "-D4", "--warm-up-time=1", f"--rps={max(1, int(rate / 32))}",
             f"--log-file={log}", server.url + "/world"])
        with open(log) as file:
            times = sorted(int(line.split()[2]) for line in file)
        os.unlink(log)
        return times[len(times) * 99 // 100]

    latencies = {name: [] for name in ("skein", "nginx", "skein with 200 slow clients")}
    for _ in range(options.rounds):
        for name, start in two.items():
            server = start(False)
            half = rate(server, "/hello/world", seconds=2) / 2
            latencies[name].append(p99(server, half, name))
            if name == "skein":
                slow = subprocess.Popen([sys.executable, "-c", SLOW_CLIENTS, server.url.split(":")[2].split("/")[0]])
                time.sleep(1)
                latencies["skein with 200 slow clients"].append(p99(server, half, name))
                slow.kill()
                slow.wait()
            server.stop()
    delay = {name: median(values) for name, values in latencies.items()}
    table("p99 under half load", [(name, f"{value:>8.0f} µs") for name, value in delay.items()])
    ratio_row(results, "p99 under half load, skein / nginx", delay["skein"] / delay["nginx"], 2, at_most=True)
    ratio_row(results, "p99 with 200 slow clients / without", delay["skein with 200 slow clients"] / delay["skein"], 1.5, at_most=True)


SLOW_CLIENTS = """
import socket, sys, time
sockets = []
while True:
    while len(sockets) < 200:
        s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        s.sendall(b"GET /hello/slow HTTP/1.1\\r\\nHost: a\\r\\n")
        sockets.append(s)
    for s in list(sockets):
        try:
            s.sendall(b"X")
        except OSError:
            sockets.remove(s)
    time.sleep(0.5)
"""


def cpu_seconds(process):
    """The CPU that a process and its children have taken so far."""
    total = 0
    children = f"/proc/{process}/task/{process}/children"
    ids = [process] + [int(word) for word in open(children).read().split()]
    for id in ids:
        fields = open(f"/proc/{id}/stat").read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def nginx_with(folder, text, name):
    """nginx with one worker and a configuration of its own."""
    port = free_port()
    own = os.path.join(folder, f"{name}-{port}")
    os.makedirs(own)
    paths = " ".join(f"{n}_temp_path {own}/{n};" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    path = os.path.join(own, "nginx.conf")
    with open(path, "w") as file:
        file.write(
            f"user root; daemon off; worker_processes 1; pid {own}/pid; error_log {own}/error.log;"
            "events { worker_connections 16384; }"
            f"http {{ access_log off; sendfile on; keepalive_requests 1000000000; {paths} {text.replace('PORT', str(port)).replace('OWN', own)} }}")
    return Server(["nginx", "-c", path, "-p", own, "-e", f"{own}/error.log"], port)


def measure_cpu(options, title, path, fronts, wrk=(), seconds=3):
    """Rate, and microseconds of CPU a request, of servers in turn."""
    taken = {name: [] for name in fronts}
    for _ in range(options.rounds):
        for name, start in fronts.items():
            server = start()
            url = server.url.replace("/hello", path)
            run(["curl", "-sS", "-o", "/dev/null", url])
            before = cpu_seconds(server.process.pid)
            text, _ = run(["wrk", "-t1", "-c64", f"-d{seconds}s", url, *wrk])
            cpu = cpu_seconds(server.process.pid) - before
            server.stop()
            if "Non-2xx" in text:
                raise SystemExit(f"{name} {url}:\n{text}")
            count = number(r"(\d+) requests in", text)
            taken[name].append((number(r"Requests/sec:\s+([\d.]+)", text), cpu / count * 1e6))
    middle = {name: (median([r for r, _ in figures]), median([c for _, c in figures])) for name, figures in taken.items()}
    table(title, [(name, f"{rate:>9,.0f}/s   {cpu:>8.1f} us of CPU a request") for name, (rate, cpu) in middle.items()])
    return middle


def proxy(options, folder, results):
    """Reverse proxies with one thread in front of one nginx: CPU of the proxy a request, by /proc."""
    home = os.path.join(folder, "proxy-files")
    os.makedirs(home)
    for name, size in (("small.bin", 4 << 10), ("large.bin", 10 << 20)):
        with open(os.path.join(home, name), "wb") as file:
            file.write(os.urandom(size))
    os.chmod(folder, 0o755)

    back = nginx_with(
        folder, f"server {{ listen 127.0.0.1:PORT backlog=4096; root {home}; add_header Cache-Control max-age=3600;"
        'location = /hello { default_type text/plain; return 200 "hello world"; } }', "back")
    address = back.url.split("/")[2]

    def skein_proxy(*flags):
        port = free_port()
        return Server([SKEIN, "proxy", "--threads", "1", "--listen", f"127.0.0.1:{port}", "--mount", f"/=http://{address}", *flags], port)

    def nginx_proxy(cache=""):
        return nginx_with(
            folder, f"upstream back {{ server {address}; keepalive 128; keepalive_requests 1000000000; }}"
            + ("proxy_cache_path OWN/cache keys_zone=z:10m max_size=1g use_temp_path=off;" if cache else "")
            + f"server {{ listen 127.0.0.1:PORT backlog=4096; location / {{ proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection ''; {cache} }} }}",
            "front")

    def haproxy():
        port = free_port()
        path = os.path.join(folder, "haproxy.cfg")
        with open(path, "w") as file:
            file.write(
                "global\n nbthread 1\n maxconn 4000\ndefaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"
                f"frontend f\n bind 127.0.0.1:{port}\n option forwardfor\n default_backend b\nbackend b\n http-reuse always\n server s {address}\n")
        return Server(["haproxy", "-db", "-f", path], port)

    fronts = {"skein proxy": skein_proxy, "nginx": nginx_proxy}
    if shutil.which("haproxy"):
        fronts["haproxy"] = haproxy
    plain = measure_cpu(options, "Reverse proxy, 11 bytes, keep-alive on both sides", "/hello", fronts)
    ratio_row(results, "proxy: CPU a request against nginx", plain["skein proxy"][1] / plain["nginx"][1], 1.0, at_most=True)
    if "haproxy" in plain:
        ratio_row(results, "proxy: CPU a request against haproxy", plain["skein proxy"][1] / plain["haproxy"][1], 1.5, at_most=True)
    large = measure_cpu(options, "Reverse proxy, 10 MiB", "/large.bin", {"skein proxy": skein_proxy, "nginx": nginx_proxy})
    ratio_row(results, "proxy: 10 MiB, rate against nginx", large["skein proxy"][0] / large["nginx"][0], 0.8)
    cached = measure_cpu(
        options, "Cache hit, 4 KiB", "/small.bin",
        {"skein proxy": lambda: skein_proxy("--cache-memory", "64M"), "nginx": lambda: nginx_proxy("proxy_cache z;")})
    ratio_row(results, "proxy: cache hit of 4 KiB, rate against nginx", cached["skein proxy"][0] / cached["nginx"][0], 1.0)
    back.stop()


def gateway(options, folder, results):
    """skein run with credentials and limits, beside skein run without, in front of one nginx."""
    back = nginx_with(
        folder, 'server { listen 127.0.0.1:PORT backlog=4096; location = /hello { default_type text/plain; return 200 "hello world"; } }', "back")
    address = back.url.split("/")[2]
    own = os.path.join(folder, "gateway")
    os.makedirs(own)
    tokens = run([os.path.join(ROOT, ".build/peers/bin/python"), "-c", f"""
import jwt, time
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives import serialization as s
key = ec.generate_private_key(ec.SECP256R1())
open("{own}/public.pem", "wb").write(key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo))
open("{own}/secret.txt", "w").write("s" * 32)
for name, secret in (("ES256", key), ("HS256", "s" * 32)):
    with open("{own}/" + name, "w") as file:
        for number in range(20_000): file.write(jwt.encode(dict(sub=str(number), exp=int(time.time()) + 36000), secret, name) + "\\n")
"""])
    for name in ("ES256", "HS256"):
        with open(os.path.join(own, f"{name}.lua"), "w") as file:
            file.write(
                f'local tokens = {{}} for line in io.lines("{own}/{name}") do tokens[#tokens + 1] = "Bearer " .. line end local n = 0 '
                'request = function() n = n % #tokens + 1 wrk.headers["Authorization"] = tokens[n] return wrk.format() end')

    def skein(text, mount=""):
        port = free_port()
        path = os.path.join(own, f"{port}.toml")
        with open(path, "w") as file:
            file.write(f'[server]\nthreads = 1\n[[listen]]\naddress = "127.0.0.1:{port}"\n{text}\n[[mount]]\npath = "/"\nupstream = "http://{address}"\n{mount}\n')
        return Server([SKEIN, "run", path], port)

    def token(key, more=""):
        return lambda: skein(f"[gateway]\n[gateway.token]\n{key}\n[limit.all]\nrate = \"1000000000/second\"", 'access = { authenticated = true }\nlimits = ["all"]\n' + more)

    one = open(os.path.join(own, "ES256")).readline().strip()
    # A token that is forwarded costs the back end its parser, too: the plain proxy carries the same field.
    field = ("-H", f"Authorization: Bearer {one}")
    remembered = measure_cpu(
        options, "Gateway: ES256, the token remembered, and a limit", "/hello",
        {"plain": lambda: skein(""), "gateway": token(f'keys = ["{own}/public.pem"]')}, field)
    ratio_row(results, "gateway: ES256 remembered and a limit, rate against the plain proxy", remembered["gateway"][0] / remembered["plain"][0], 0.8)
    for name, key, bar in (("ES256", f'keys = ["{own}/public.pem"]', 0.8), ("HS256", f'secret = "file:{own}/secret.txt"', 0.8)):
        script = ("-s", os.path.join(own, f"{name}.lua"))
        fresh = measure_cpu(
            options, f"Gateway: {name}, 20 000 tokens, and a limit", "/hello",
            {"plain": lambda: skein(""), "gateway": token(key)}, script)
        ratio_row(results, f"gateway: {name}, 20 000 tokens, rate against the plain proxy", fresh["gateway"][0] / fresh["plain"][0], bar)
    back.stop()


PYTHON_APPS = """
import time

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello world"]

def sleeping(environ, start_response):
    time.sleep(0.01)
    return wsgi(environ, start_response)

async def asgi(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError("no lifespan")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hello world"})
"""


def python(options, folder, results):
    """Apps in Python, one worker of each server; the server alone on one core, the load on the others."""
    with open(os.path.join(folder, "bench_app.py"), "w") as file:
        file.write(PYTHON_APPS)
    binaries = os.path.join(ROOT, ".build/peers/bin")
    sources = os.path.join(ROOT, "Tests/Python")

    def server(words, where=folder):
        def start():
            port = free_port()
            command = ["taskset", "-c", "0"] if (os.cpu_count() or 1) > 1 else []
            os.chdir(where)
            return Server(command + [word.replace("PORT", str(port)) for word in words], port)
        return start

    def skein(app, where=folder, *more):
        return server([SKEIN, "python", app, "--environment", os.path.join(ROOT, ".build/peers"), "--listen", "127.0.0.1:PORT", *more], where)

    def granian(app, interface, *more):
        return server([os.path.join(binaries, "granian"), "--interface", interface, "--no-ws", "--port", "PORT", "--log-level", "error", *more, app])

    def gunicorn(app, where=folder):
        return server([os.path.join(binaries, "gunicorn"), "-b", "127.0.0.1:PORT", app], where)

    def compare(title, servers, bars, path="/", wrk=()):
        taken = measure_cpu(options, title, path, servers, wrk)
        for other, rate_bar, cpu_bar in bars:
            if rate_bar is not None:
                ratio_row(results, f"{title}: requests/s, skein / {other}", taken["skein"][0] / taken[other][0], rate_bar)
            if cpu_bar is not None:
                ratio_row(results, f"{title}: CPU, skein / {other}", taken["skein"][1] / taken[other][1], cpu_bar, at_most=True)

    compare(
        "WSGI hello", {
            "skein": skein("bench_app:wsgi"), "granian": granian("bench_app:wsgi", "wsgi", "--blocking-threads", "1"),
            "gunicorn": gunicorn("bench_app:wsgi")}, [("granian", 1.0, 1.0), ("gunicorn", 6.0, None)])
    compare(
        "WSGI, 10 ms of sleep, 256 clients", {
            "skein": skein("bench_app:sleeping", folder, "--app-threads", "256"),
            "granian": granian("bench_app:sleeping", "wsgi", "--blocking-threads", "256", "--backpressure", "512")},
        [("granian", 1.0, None)], wrk=("-c", "256"))
    compare(
        "ASGI hello", {
            "skein": skein("bench_app:asgi"), "granian": granian("bench_app:asgi", "asgi"),
            "uvicorn": server([os.path.join(binaries, "uvicorn"), "--port", "PORT", "--log-level", "error", "bench_app:asgi"])},
        [("granian", None, 1.0), ("uvicorn", None, 0.7)])
    compare(
        "A page of Django with a template", {
            "skein": skein("django_app:application", sources), "gunicorn": gunicorn("django_app:application", sources)},
        [("gunicorn", 1.3, None)], path="/page")
    os.chdir(ROOT)


def mail(options, folder, results):
    import mail as bench

    bench.measure(options, folder, results, SKEIN, free_port, median, table, ratio_row)


def memory(options, folder, results):
    server = nginx(folder)
    report = json.loads(run([os.path.join(PEERS, "skein-probe"), "million", server.url, str(options.million)])[0])
    server.stop()
    tenths = report["resident_bytes_each_tenth"]
    mebibytes = [round(t / 2**20, 1) for t in tenths]
    table(
        f"{report['requests']} requests in callbacks through 100 workers",
        [("rate", f"{report['requests_per_second']:.0f} requests/s, {report['failed']} failed"),
         ("peak memory", f"{report['peak_bytes'] / 2**20:.1f} MiB"), ("at each tenth", f"{mebibytes} MiB")])
    ratio_row(results, "peak memory, MiB", report["peak_bytes"] / 2**20, 64, at_most=True)
    ratio_row(results, "memory at the end / after the first tenth", tenths[-1] / tenths[1], 1.1, at_most=True)

    probe = subprocess.Popen(
        [os.path.join(PEERS, "skein-probe"), "idle", str(options.idle)], stdout=subprocess.PIPE, text=True)
    port = int(probe.stdout.readline())
    sockets = []
    for _ in range(options.idle):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        sockets.append(connection)
        connection.recv(1024)
    report = json.loads(probe.stdout.readline())
    probe.wait()
    table(f"{report['connections']} idle keep-alive connections", [("memory each", f"{report['bytes_each'] / 1024:.1f} KiB")])
    ratio_row(results, "idle connection on the server, KiB", report["bytes_each"] / 1024, 8, at_most=True)


ASYNCPG_SELECT = """
import asyncio, sys, time, asyncpg
async def main(url, count):
    db = await asyncpg.connect(url)
    statement = await db.prepare("SELECT 1")
    start = time.monotonic()
    for _ in range(count):
        await statement.fetchval()
    print(count / (time.monotonic() - start))
asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""

ASYNCPG_ROWS = """
import asyncio, sys, time, asyncpg
QUERY = '''SELECT i AS id, (i % 100)::int2 AS small, i::int8 * 1000000 AS large, i / 3.0::float8 AS ratio, i % 2 = 0 AS flag,
    'word ' || i AS word, repeat('x', 40) AS text, 'ü' || i AS other, i::float8 AS score, (i * 7)::int4 AS count
    FROM generate_series(1, $1) AS i'''
async def main(url, count, rounds):
    db = await asyncpg.connect(url)
    best = 0
    for _ in range(rounds):
        start = time.monotonic()
        rows = await db.fetch(QUERY, count)
        assert len(rows) == count and rows[-1]["word"] == f"word {count}"
        best = max(best, count / (time.monotonic() - start))
    print(best)
asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""

REDIS_PY = """
import asyncio, sys, time, redis.asyncio
async def main(port, count):
    client = redis.asyncio.Redis(port=port, max_connections=64)
    left = count
    async def caller():
        nonlocal left
        while left > 0:
            left -= 1
            await client.get("k")
    start = time.monotonic()
    await asyncio.gather(*(caller() for _ in range(64)))
    print(count / (time.monotonic() - start))
asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
"""


def unprivileged(command):
    """PostgreSQL refuses to be run by root."""
    if os.getuid() != 0:
        return command
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] + command


def postgres(folder):
    data = os.path.join(folder, "pg")
    os.chmod(folder, 0o777)
    newest = sorted(os.listdir("/usr/lib/postgresql"), key=int)[-1]
    programs = f"/usr/lib/postgresql/{newest}/bin"
    run(unprivileged([f"{programs}/initdb", "-D", data, "-U", "bench", "-A", "trust", "--no-sync"]))
    port = free_port()
    server = Server(unprivileged([f"{programs}/postgres", "-D", data, "-p", str(port), "-k", folder, "-c", "fsync=off"]), port)
    server.url = f"postgres://bench@127.0.0.1:{port}/postgres"
    for _ in range(100):
        if subprocess.run(["psql", server.url, "-c", "SELECT 1"], capture_output=True).returncode == 0:
            return server
        time.sleep(0.05)
    raise SystemExit("PostgreSQL does not answer")


def load_rate(url, count):
    report = json.loads(run([SKEIN, "load", "-n", str(count), "-c", "64", "--threads", "1", "--json", url])[0])
    assert report["status"] == {"200": count} and not report["errors"], report
    return report["requests_per_second"]


def python_rate(script, *arguments):
    return number(r"([\d.]+)", run([PYTHON, "-c", script, *map(str, arguments)])[0])


def databases(options, folder, results):
    server = postgres(folder)
    program = os.path.join(folder, "libpq_pipeline")
    include = run(["pg_config", "--includedir"])[0].strip()
    run(["cc", "-O2", "-o", program, os.path.join(ROOT, "Benchmarks/Peers/libpq_pipeline.c"), f"-I{include}", "-lpq"])
    plain = f"{server.url}?sslmode=disable"
    count, rows = options.requests, 100_000

    def libpq(sync):
        return number(r"([\d.]+)", run([program, plain, str(count), "64", sync])[0])

    def probe():
        report = json.loads(run([os.path.join(PEERS, "skein-probe"), "rows", plain, str(rows), "3"])[0])
        codable.append(report["rows_per_second_codable"])
        return report["rows_per_second"]

    codable = []

    taken = rounds(options.rounds, {
        "skein": lambda: load_rate(f"{plain}&query=SELECT%201&pool_size=1", count),
        "libpq, a Sync each": lambda: libpq("each"),
        "libpq, a Sync for 64": lambda: libpq("window"),
        "asyncpg": lambda: python_rate(ASYNCPG_SELECT, plain, count // 20),
        "rows, skein": probe,
        "rows, asyncpg": lambda: python_rate(ASYNCPG_ROWS, plain, rows, 3),
    })
    server.stop()
    rate = {name: median(values) for name, values in taken.items()}
    table(
        "SELECT 1, prepared, one connection, 64 under way",
        [(name, f"{value:>10.0f} statements/s") for name, value in rate.items() if "rows" not in name])
    table(
        f"{rows} rows of ten columns, skein into structs, asyncpg into records",
        [(name[6:], f"{value:>10.0f} rows/s") for name, value in rate.items() if "rows" in name]
        + [("skein, Codable", f"{median(codable):>10.0f} rows/s")])
    ratio_row(results, "SELECT 1, skein / libpq with a Sync each", rate["skein"] / rate["libpq, a Sync each"], 0.7)
    ratio_row(results, "SELECT 1, skein / asyncpg", rate["skein"] / rate["asyncpg"], 5)
    ratio_row(results, "rows/s, RowDecodable, skein / asyncpg", rate["rows, skein"] / rate["rows, asyncpg"], 1)
    ratio_row(results, "rows/s, Codable, skein / asyncpg", median(codable) / rate["rows, asyncpg"], 1)

    port = free_port()
    store = Server(["redis-server", "--port", str(port), "--save", "", "--dir", folder], port)
    run(["redis-cli", "-p", str(port), "set", "k", "hello"])

    def benchmark(*flags):
        text = run(["redis-benchmark", "-p", str(port), "-n", str(count * 3), "--csv", *flags, "get", "k"])[0]
        return float(text.strip().splitlines()[-1].split(",")[1].strip('"'))

    url = f"redis://127.0.0.1:{port}/0?command=GET%20k&pool_size=1"
    taken = rounds(options.rounds, {
        "skein, one connection": lambda: load_rate(url, count * 3),
        "redis-benchmark -c 64": lambda: benchmark("-c", "64"),
        "redis-benchmark -c 1 -P 64": lambda: benchmark("-c", "1", "-P", "64"),
        "redis-py with hiredis, asyncio": lambda: python_rate(REDIS_PY, port, count // 10),
    })
    store.stop()
    rate = {name: median(values) for name, values in taken.items()}
    table("GET, 64 callers", [(name, f"{value:>10.0f} commands/s") for name, value in rate.items()])
    mine = rate["skein, one connection"]
    ratio_row(results, "GET, skein / redis-benchmark -c 64", mine / rate["redis-benchmark -c 64"], 2)
    ratio_row(results, "GET, skein / redis-benchmark -c 1 -P 64", mine / rate["redis-benchmark -c 1 -P 64"], 0.2)
    ratio_row(results, "GET, skein / redis-py", mine / rate["redis-py with hiredis, asyncio"], 10)


def documents(options, folder, results):
    """CPU a call of MongoDB, SQS and DynamoDB: their test servers are slower than the clients."""
    program = os.path.join(folder, "libmongoc_find")
    flags = run(["pkg-config", "--cflags", "--libs", "libmongoc-1.0"])[0].split()
    run(["cc", "-O2", "-o", program, os.path.join(ROOT, "Benchmarks/Peers/libmongoc_find.c"), *flags])
    server = subprocess.Popen(
        [PYTHON, os.path.join(ROOT, "Benchmarks/Peers/mongo_answers.py")], stdout=subprocess.PIPE, text=True)
    port = server.stdout.readline().split()[1]
    uri, count = f"mongodb://127.0.0.1:{port}/", options.requests // 4
    scripts = os.path.join(ROOT, "Tests/Scripts")
    probe = os.path.join(PEERS, "skein-probe")
    rates = []

    def skein():
        report = json.loads(run([probe, "find", uri, str(count)])[0])
        assert report["connections"] == 1, report
        rates.append(report["calls_per_second"])
        return report["microseconds"]

    taken = rounds(options.rounds, {
        "skein, 64 callers, one connection": skein,
        "libmongoc": lambda: number(r"([\d.]+)", run([program, uri, str(count)])[0]),
        "pymongo": lambda: 1e6 / (count // 10) * number(
            r"([\d.]+)", run([PYTHON, os.path.join(scripts, "mongo.py"), "count", port, str(count // 10)])[0]),
    })
    server.terminate()
    server.wait()
    cost = {name: median(values) for name, values in taken.items()}
    table("find by id", [(name, f"{value:>8.1f} us of CPU a call") for name, value in cost.items()])
    mine = cost["skein, 64 callers, one connection"]
    ratio_row(results, "CPU of a find by id, pymongo / skein", cost["pymongo"] / mine, 5)
    ratio_row(results, "CPU of a find by id, skein / libmongoc", mine / cost["libmongoc"], 1.5, at_most=True)

    server = subprocess.Popen(
        [PYTHON, os.path.join(ROOT, "Benchmarks/Peers/aws_answers.py")], stdout=subprocess.PIPE, text=True)
    port = server.stdout.readline().split()[1]

    def boto3():
        lines = run([PYTHON, os.path.join(scripts, "aws.py"), "cpu", port, "bench", "bench", "900"])[0].splitlines()
        return {name: float(seconds) for name, seconds in map(str.split, lines)}

    taken = rounds(options.rounds, {
        "skein": lambda: json.loads(run([probe, "amazon", f"http://127.0.0.1:{port}", "bench", "bench", "900"])[0]),
        "boto3": boto3,
    })
    server.terminate()
    server.wait()
    mine, theirs = ({name: median([one[name] for one in taken[who]]) for name in ("send", "put", "query")} for who in ("skein", "boto3"))

    port = free_port()
    environment = {**os.environ, "PYTHONPATH": scripts, "PYTHONDONTWRITEBYTECODE": "1"}
    amazon = subprocess.Popen(
        [os.path.join(os.path.dirname(PYTHON), "gunicorn"), "-b", f"127.0.0.1:{port}", "-k", "gthread", "--threads", "8",
         "--keep-alive", "60", "aws:app"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.05)
    whole = json.loads(run([probe, "amazon", f"http://127.0.0.1:{port}", "bench", "bench", "1000"])[0])
    assert whole["found"] == 10_000, whole
    amazon.terminate()
    amazon.wait()
    table("SQS and DynamoDB", [
        (name, f"skein {mine[name] * 1e6:>8.1f}, boto3 {theirs[name] * 1e6:>8.1f} us of CPU a call")
        for name in ("send", "put", "query")])
    for name in ("send", "put", "query"):
        ratio_row(results, f"CPU of a call, {name}, boto3 / skein", theirs[name] / mine[name], 10)
    ratio_row(results, "connections at the end of 10 000 messages and items", whole["connections"], 1, at_most=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", default="all", choices=["http1", "http2", "bodies", "tls", "dns", "pipelining", "websocket", "grpc", "databases", "documents", "engine", "proxy", "gateway", "python", "mail", "memory", "all"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--million", type=int, default=1_000_000)
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--gigabytes", type=int, default=2, help="size of the file for bodies")
    parser.add_argument("--json", help="also write the results to this file")
    options = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    results = []
    folder = tempfile.mkdtemp(prefix="skein-bench-")
    try:
        for name, measure in (("http1", http1), ("http2", http2), ("bodies", bodies), ("tls", tls), ("dns", dns), ("pipelining", pipelining), ("websocket", websocket), ("grpc", grpc), ("databases", databases), ("documents", documents), ("engine", engine), ("proxy", proxy), ("gateway", gateway), ("python", python), ("mail", mail), ("memory", memory)):
            if options.what in (name, "all"):
                measure(options, folder, results)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    table(
        "Ratios",
        [(r["what"], f"{r['ratio']:>8.2f}   bar {r['bar']:<5} {'met' if r['met'] else 'NOT MET'}") for r in results])
    print("\n" + json.dumps(results))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=2)


if __name__ == "__main__":
    main()
