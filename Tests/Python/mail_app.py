"""An app that sends mail as apps of the ancestor do."""
import json
from skein import was


def app(environ, start_response):
    query = dict(part.split("=", 1) for part in environ.get("QUERY_STRING", "").split("&") if part)
    mail = was.email("Größe {}".format(query["n"]), "Shop <shop@example.org>", query["to"])
    if "smtp" in query:
        mail.set_smtp(query["smtp"])
    mail.add_content("Hello World<div><img src='cid:ID_A'></div>", "text/html")
    mail.add_attachment(b"\x89PNG", name="001.png", cid="ID_A")
    mail.add_attachment(__file__)
    response = mail.send(key=query["n"]).dispatch()
    start_response("200 OK" if response.status_code == 200 else "400 Bad Request", [("Content-Type", "application/json")])
    return [json.dumps([response.status_code, response.data if response.status_code == 200 else response.reason]).encode()]
