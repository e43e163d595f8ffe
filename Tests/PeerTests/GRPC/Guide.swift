import Foundation
import GRPCCore
import GRPCProtobuf

/// The route guide as the tests serve it; `Tests/Scripts/route_guide.py` describes the effect of a negative latitude.
struct Guide: Routeguide_RouteGuide.ServiceProtocol {
    func getFeature(
        request: ServerRequest<Routeguide_Point>, context: ServerContext
    ) async throws -> ServerResponse<Routeguide_Feature> {
        var feature = Routeguide_Feature()
        var metadata: Metadata = [:]
        switch request.message.latitude {
        case -1:
            throw RPCError(
                code: .notFound, message: "nothing at 100% of the places, für immer",
                metadata: ["wool-bin": .binary([0, 1, 0xFF]), "thread": "red"])
        case -2: try await Task.sleep(for: .seconds(3))
        case -3: feature.name = String(repeating: "x", count: Int(request.message.longitude))
        case -4:
            let seen = request.metadata.map { pair in
                pair.key.hasSuffix("-bin")
                    ? [pair.key, request.metadata[binaryValues: pair.key].joined().map { Hex.digits($0) }.joined()]
                    : [pair.key, pair.value.encoded()]
            }
            feature.name = String(decoding: try JSONEncoder().encode(seen), as: UTF8.self)
            metadata = ["thread": "blue", "wool-bin": .binary([0, 2])]
        case -6: throw CocoaError(.fileNoSuchFile)
        default:
            feature.name = "place \(request.message.latitude)"
            feature.location = request.message
        }
        return ServerResponse(message: feature, metadata: metadata)
    }

    func listFeatures(
        request: ServerRequest<Routeguide_Rectangle>, context: ServerContext
    ) async throws -> StreamingServerResponse<Routeguide_Feature> {
        let (low, high) = (request.message.lo.latitude, request.message.hi.latitude)
        return StreamingServerResponse { writer in
            for latitude in low..<high { try await writer.write(.with { $0.name = "place \(latitude)" }) }
            return [:]
        }
    }

    func recordRoute(
        request: StreamingServerRequest<Routeguide_Point>, context: ServerContext
    ) async throws -> ServerResponse<Routeguide_RouteSummary> {
        var summary = Routeguide_RouteSummary()
        for try await point in request.messages {
            summary.pointCount += 1
            summary.distance += point.latitude
        }
        return ServerResponse(message: summary)
    }

    func routeChat(
        request: StreamingServerRequest<Routeguide_RouteNote>, context: ServerContext
    ) async throws -> StreamingServerResponse<Routeguide_RouteNote> {
        StreamingServerResponse { writer in
            for try await note in request.messages {
                try await writer.write(.with { $0.message = "heard \(note.message)" })
            }
            return [:]
        }
    }

    private enum Hex {
        static func digits(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }
    }
}
