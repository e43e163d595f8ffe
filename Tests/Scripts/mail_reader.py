"""Reads messages as Python's email package and mail-parser see them, and checks signatures with dkimpy and opendkim.

python mail_reader.py FOLDER RECORDS: for each N.eml of the folder, compares it with N.json, which says what was put in, and prints what differs.
"""
import base64, email, email.policy, json, os, subprocess, sys, tempfile
import dkim, mailparser

folder, records = sys.argv[1], json.load(open(sys.argv[2]))
keys = {name.encode(): value.encode() for name, value in records.get("keys", {}).items()}
problems, signatures = [], 0


def lines(text):
    return text.replace("\r\n", "\n").rstrip("\n")


def addresses(field):
    return [[a.display_name, a.addr_spec] for a in field.addresses] if field is not None else []


for number, expected in enumerate(records["messages"]):
    raw = open(f"{folder}/{number}.eml", "rb").read()

    def differs(what, got, wanted):
        if got != wanted:
            problems.append(f"{number}: {what}: {got!r} instead of {wanted!r}")

    if any(len(line) > 998 for line in raw.split(b"\r\n")):
        problems.append(f"{number}: a line is too long")
    if raw.replace(b"\r\n", b"").find(b"\n") >= 0 or raw.replace(b"\r\n", b"").find(b"\r") >= 0:
        problems.append(f"{number}: a line ends with CR or LF alone")
    message = email.message_from_bytes(raw, policy=email.policy.default)
    for part in message.walk():
        if part.defects:
            problems.append(f"{number}: {part.defects}")
    differs("subject", str(message["subject"]), expected["subject"])
    for name in ["from", "to", "cc", "reply-to"]:
        got = [[n, a] for n, a in addresses(message[name])]
        differs(name, got, expected.get(name, []))
    for name, value in expected["headers"]:
        differs(name, str(message[name]), value)
    text = message.get_body(("plain",))
    differs("text", lines(text.get_content()) if text is not None else None, lines(expected["text"]) if expected["text"] is not None else None)
    html = message.get_body(("html", "related"))
    if html is not None and html.get_content_type() == "multipart/related":
        html = html.get_body(("html",))
    differs("html", lines(html.get_content()) if html is not None else None, lines(expected["html"]) if expected["html"] is not None else None)
    files = []
    for part in message.walk():
        if part.get_content_disposition() in ("attachment", "inline") and part.get_filename():
            content = part.get_payload(decode=True)
            files.append([part.get_filename(), (part["content-id"] or "").strip("<>"), base64.b64encode(content).decode()])
    differs("files", sorted(files), sorted(expected["files"]))
    parsed = mailparser.parse_from_bytes(raw)
    differs("mail-parser's subject", parsed.subject.replace("\r\n", "").strip(), expected["subject"].strip())
    differs("mail-parser's files", len(parsed.attachments), len(expected["files"]))
    # dkimpy checks the n-th signature by its index.
    count = sum(1 for name in message.keys() if name.lower() == "dkim-signature")
    for index in range(count):
        verifier = dkim.DKIM(raw)
        if not verifier.verify(idx=index, dnsfunc=lambda name, timeout=5: keys.get(name.rstrip(b"."))):
            problems.append(f"{number}: dkimpy does not verify signature {index}")
        signatures += 1
    differs("signatures", count, expected.get("signatures", 0))
    if len(problems) > 20:
        break

for problem in problems:
    print(problem)
print(f"{len(records['messages'])} messages, {signatures} signatures, {len(problems)} problems")
sys.exit(1 if problems else 0)
