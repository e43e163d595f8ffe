"""From a full spool to smtp-sink: Skein's agent and Debian's postfix, in turn."""
import hashlib, json, os, re, shutil, subprocess, time

BODY = b"".join(b"This is line %d of a message of ordinary length.\r\n" % number for number in range(40))
MASTER = """127.0.0.1:PORT inet n - n - 100 smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
showq unix n - n - - showq
smtp unix - - n - 100 smtp
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


def fill(spool, count):
    """Writes a spool as `docs/Mail.md` describes it, with so many messages."""
    for name in ("new", "queue", "hold", "failed", "tmp", "keys", "reports"):
        os.makedirs(f"{spool}/{name}", mode=0o700)
    now = int(time.time() * 1000)
    for number in range(count):
        content = b"From: a@example.org\r\nTo: b%d@example.org\r\nSubject: s\r\nMessage-ID: <%d@x>\r\n\r\n" % (number, number) + BODY
        envelope = json.dumps({
            "from": "a@example.org", "to": [f"b{number}@example.org"], "created": now, "notBefore": now, "expires": now + 432_000_000,
            "priority": 1}, separators=(",", ":")).encode()
        checksum = hashlib.sha256(content + envelope).hexdigest().encode()
        with open(f"{spool}/new/{now:012x}{number:012x}", "wb") as file:
            file.write(b"SkeinMail1 %016d %010d %s\n" % (len(content), len(envelope), checksum) + content + envelope + b"\n%06d %013d -\n" % (0, now))


def files(*folders):
    return sum(len(names) for folder in folders for _, _, names in os.walk(folder))


def until(isOver, limit=300):
    """Seconds until something is so."""
    began = time.time()
    while not isOver():
        if time.time() - began > limit:
            raise RuntimeError("the queue does not become empty")
        time.sleep(0.02)
    return time.time() - began


def skein(program, port, folder, count, memory):
    spool = os.path.join(folder, "spool")
    shutil.rmtree(spool, ignore_errors=True)
    fill(spool, count)
    agent = subprocess.Popen(
        [program, "mail", "agent", "run", "--spool", spool, "--relay", f"smtp://127.0.0.1:{port}?tls=none"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        seconds = until(lambda: not os.listdir(f"{spool}/new") and not os.listdir(f"{spool}/queue"))
        memory.append(int(re.search(r"RssAnon:\s+(\d+)", open(f"/proc/{agent.pid}/status").read())[1]))
        return count / seconds
    finally:
        agent.terminate()
        agent.wait()


def postfix(port, own, folder, count):
    root = os.path.join(folder, "postfix")
    shutil.rmtree(root, ignore_errors=True)
    for name in ("etc", "queue", "data"):
        os.makedirs(f"{root}/{name}")
    os.chmod(folder, 0o755)
    shutil.chown(f"{root}/data", "postfix")
    with open(f"{root}/etc/main.cf", "w") as file:
        file.write(f"""compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/queue/log
maillog_file_prefixes = {root}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
mynetworks = 127.0.0.0/8
myhostname = bench.test
relayhost = [127.0.0.1]:{port}
smtp_tls_security_level = none
alias_maps =
alias_database =
defer_transports = smtp
""")
    with open(f"{root}/etc/master.cf", "w") as file:
        file.write(MASTER.replace("PORT", str(own)))
    here = ["-c", f"{root}/etc"]
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run(["postfix", *here, "check"], **quiet)
    master = subprocess.Popen(["/usr/lib/postfix/sbin/master", *here, "-d"], **quiet)
    try:
        time.sleep(1)
        subprocess.run(["smtp-source", "-m", str(count), "-s", "20", "-l", str(len(BODY)), f"127.0.0.1:{own}"], check=True)
        queue = [f"{root}/queue/{name}" for name in ("incoming", "active", "deferred")]
        until(lambda: files(*queue[:2]) == 0 and files(queue[2]) >= count)
        subprocess.run(["postconf", *here, "-e", "defer_transports="])
        subprocess.run(["postfix", *here, "reload"], **quiet)
        time.sleep(0.5)
        subprocess.run(["postqueue", *here, "-f"])
        return count / until(lambda: files(*queue) == 0)
    finally:
        master.terminate()
        master.wait()


def measure(options, folder, results, program, free_port, median, table, ratio_row):
    count = 10_000
    port = free_port()
    sink = subprocess.Popen(["smtp-sink", *(["-u", "nobody"] if os.getuid() == 0 else []), f"127.0.0.1:{port}", "1000"])
    memory = []
    try:
        time.sleep(0.5)
        ours, theirs = [], []
        for _ in range(options.rounds):
            ours.append(skein(program, port, folder, count, memory))
            theirs.append(postfix(port, free_port(), folder, count))
    finally:
        sink.terminate()
        sink.wait()
    table(
        f"Mail: {count} messages of 2 KB from the queue to smtp-sink, messages/s",
        [("skein", f"{median(ours):.0f} ({min(ours):.0f} to {max(ours):.0f}), {max(memory)} KiB of its own"),
         ("postfix", f"{median(theirs):.0f} ({min(theirs):.0f} to {max(theirs):.0f})")])
    ratio_row(results, "mail: messages/s, skein / postfix", median(ours) / median(theirs), 1.0)
