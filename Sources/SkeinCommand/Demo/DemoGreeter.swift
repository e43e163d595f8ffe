// The gRPC service of the demo, on its own server because gRPC has its own transport.

import GRPCCore
import SkeinCore
import SkeinEngine
import SkeinGRPC

/// Greets the sender of a name; messages are text, so that no generated code is needed.
struct DemoGreeter: RegistrableRPCService {
    static let method = MethodDescriptor(fullyQualifiedService: "demo.Greeter", method: "Greet")

    /// Text as a message.
    struct Text: MessageSerializer, MessageDeserializer {
        func serialize<Bytes: GRPCContiguousBytes>(_ message: String) throws -> Bytes { Bytes(message.utf8) }

        func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> String {
            bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        }
    }

    func registerMethods(with router: inout RPCRouter<some ServerTransport>) {
        router.registerHandler(
            forMethod: Self.method, deserializer: Text(), serializer: Text()
        ) { request, _ in
            let name = try await request.messages.first { _ in true } ?? "nobody"
            return StreamingServerResponse { writer in
                try await writer.write("Hello, \(name).")
                return [:]
            }
        }
    }
}

extension DemoServer {
    /// Serves until the transport is told to stop.
    static func serveGRPC(on transport: SkeinServerTransport) async throws {
        try await GRPCServer(transport: transport, services: [DemoGreeter()]).serve()
    }
}
