// A gRPC service and a call of it, with text as messages, for which no code is generated: grpc-service [PORT]

import GRPCCore
import SkeinEngine
import SkeinGRPC

/// Text as a message.
struct Text: MessageSerializer, MessageDeserializer {
    func serialize<Bytes: GRPCContiguousBytes>(_ message: String) throws -> Bytes { Bytes(message.utf8) }

    func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> String {
        bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }
}

struct Greeter: RegistrableRPCService {
    static let greet = MethodDescriptor(fullyQualifiedService: "example.Greeter", method: "Greet")

    func registerMethods(with router: inout RPCRouter<some ServerTransport>) {
        router.registerHandler(forMethod: Self.greet, deserializer: Text(), serializer: Text()) { request, _ in
            StreamingServerResponse { writer in
                for try await name in request.messages { try await writer.write("Hello, \(name).") }
                return [:]
            }
        }
    }
}

@main struct GRPCService {
    static func main() async throws {
        let port = CommandLine.arguments.dropFirst().first.flatMap(Int.init) ?? 50051
        let server = SkeinServerTransport(ServerConfiguration(addresses: [.tcp("127.0.0.1", port: port)], threads: 1))
        print("listening on \(port)")
        try await GRPCServer(transport: server, services: [Greeter()]).serve()
    }
}
