"""The route guide by grpcio: a server, and a client that tries a server.

route_guide.py serve [gzip]          prints "listening PORT"
route_guide.py try PORT [gzip]       prints what it found, as JSON

A latitude below zero asks for something out of the ordinary; see `get`.
"""

import json
import os
import sys
import time
from concurrent import futures

import grpc

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
protos, services = grpc.protos_and_services("route_guide.proto")
attempts = {}


class Guide(services.RouteGuideServicer):
    def GetFeature(self, point, context):
        if point.latitude == -1:
            context.set_trailing_metadata((("wool-bin", b"\0\1\xff"), ("thread", "red")))
            context.abort(grpc.StatusCode.NOT_FOUND, "nothing at 100% of the places, für immer")
        if point.latitude == -2:
            time.sleep(3)
        if point.latitude == -3:
            return protos.Feature(name="x" * point.longitude)
        if point.latitude == -4:
            context.send_initial_metadata((("thread", "blue"), ("wool-bin", b"\0\2")))
            return protos.Feature(name=json.dumps(sorted(
                [key, value.hex() if isinstance(value, bytes) else value] for key, value in context.invocation_metadata())))
        if point.latitude == -5:
            attempts[point.longitude] = attempts.get(point.longitude, 0) + 1
            if attempts[point.longitude] < 3:
                context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
            return protos.Feature(name=f"attempt {attempts[point.longitude]}")
        if point.latitude == -6:
            raise ValueError("broken")
        return protos.Feature(name=f"place {point.latitude}", location=point)

    def ListFeatures(self, rectangle, context):
        for latitude in range(rectangle.lo.latitude, rectangle.hi.latitude):
            yield protos.Feature(name=f"place {latitude}", location=protos.Point(latitude=latitude))

    def RecordRoute(self, points, context):
        count = distance = 0
        for point in points:
            count, distance = count + 1, distance + point.latitude
        return protos.RouteSummary(point_count=count, distance=distance)

    def RouteChat(self, notes, context):
        for note in notes:
            yield protos.RouteNote(location=note.location, message=f"heard {note.message}")


LIMITS = [("grpc.max_receive_message_length", 16 << 20), ("grpc.max_send_message_length", 16 << 20)]


def serve(flags):
    compression = grpc.Compression.Gzip if "gzip" in flags else grpc.Compression.NoCompression
    server = grpc.server(futures.ThreadPoolExecutor(8), compression=compression, options=LIMITS)
    services.add_RouteGuideServicer_to_server(Guide(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print("listening", port, flush=True)
    server.wait_for_termination()


def attempt(port, flags):
    compression = grpc.Compression.Gzip if "gzip" in flags else grpc.Compression.NoCompression
    found = {}

    def refused(name, call):
        try:
            call()
            found[name] = "answered"
        except grpc.RpcError as error:
            found[name] = [error.code().name, error.details(), [
                [key, value.hex() if isinstance(value, bytes) else value] for key, value in error.trailing_metadata() or ()]]

    with grpc.insecure_channel(f"127.0.0.1:{port}", compression=compression, options=LIMITS) as channel:
        stub = services.RouteGuideStub(channel)
        found["unary"] = stub.GetFeature(protos.Point(latitude=7)).name
        found["server"] = [feature.name for feature in stub.ListFeatures(
            protos.Rectangle(lo=protos.Point(latitude=0), hi=protos.Point(latitude=2000)))][-1]
        summary = stub.RecordRoute(protos.Point(latitude=n) for n in range(2000))
        found["client"] = [summary.point_count, summary.distance]
        heard = list(stub.RouteChat(protos.RouteNote(message=str(n)) for n in range(500)))
        found["both"] = [len(heard), heard[-1].message]
        found["large"] = len(stub.GetFeature(protos.Point(latitude=-3, longitude=4_000_000)).name)
        note = protos.RouteNote(message="y" * 4_000_000)
        found["large both"] = [len(n.message) for n in stub.RouteChat(iter([note, note]))]
        refused("not found", lambda: stub.GetFeature(protos.Point(latitude=-1)))
        refused("late", lambda: stub.GetFeature(protos.Point(latitude=-2), timeout=0.3))
        refused("broken", lambda: stub.GetFeature(protos.Point(latitude=-6)))
        refused("too large", lambda: list(stub.RouteChat(iter([protos.RouteNote(message="z" * 5_000_000)]))))
        refused("no method", lambda: channel.unary_unary("/routeguide.RouteGuide/None")(b""))
        call = stub.GetFeature.with_call(
            protos.Point(latitude=-4), metadata=(("weaver", "anna"), ("wool-bin", b"\0\1\xff")))
        found["metadata"] = json.loads(call[0].name)
        found["initial"] = [[key, value.hex() if isinstance(value, bytes) else value]
                            for key, value in call[1].initial_metadata() if key in ("thread", "wool-bin")]
        chat = stub.RouteChat(iter_forever())
        found["first"] = next(chat).message
        chat.cancel()
        found["after"] = stub.GetFeature(protos.Point(latitude=8)).name
    print(json.dumps(found))


def iter_forever():
    yield protos.RouteNote(message="one")
    while True:
        time.sleep(0.05)
        yield protos.RouteNote(message="more")


if __name__ == "__main__":
    serve(sys.argv[2:]) if sys.argv[1] == "serve" else attempt(sys.argv[2], sys.argv[3:])
