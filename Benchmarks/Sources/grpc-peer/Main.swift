// Unary calls of 64 bytes by grpc-swift, over Skein's transport or grpc-swift's own.
//
//   grpc-peer serve skein|nio PORT           one thread
//   grpc-peer load skein|nio PORT COUNT      64 calls under way on one connection; prints calls a second

import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2
import NIOPosix
import Skein
import SkeinEngine
import SkeinGRPC
import Synchronization

@main
enum Main {
    static let descriptor = MethodDescriptor(fullyQualifiedService: "bench.Echo", method: "Echo")

    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 4, let port = Int(arguments[3]) else {
            fatalError("usage: grpc-peer serve skein|nio PORT, or load skein|nio PORT COUNT")
        }
        switch (arguments[1], arguments[2]) {
        case ("serve", "skein"):
            let configuration = ServerConfiguration(addresses: [.tcp("127.0.0.1", port: port)], threads: 1)
            try await serve(SkeinServerTransport(configuration))
        case ("serve", _):
            try await serve(
                .http2NIOPosix(
                    address: .ipv4(host: "127.0.0.1", port: port), transportSecurity: .plaintext,
                    eventLoopGroup: MultiThreadedEventLoopGroup(numberOfThreads: 1)))
        case ("load", "skein"):
            var configuration = SkeinClient.Configuration()
            configuration.threads = 1
            let skein = SkeinClient(configuration)
            try await load(
                SkeinClientTransport("http://127.0.0.1:\(port)", skein: skein), Int(arguments[4]) ?? 10_000,
                on: skein.shards[0].executor)
        default:
            try await load(
                .http2NIOPosix(
                    target: .ipv4(address: "127.0.0.1", port: port), transportSecurity: .plaintext,
                    eventLoopGroup: MultiThreadedEventLoopGroup(numberOfThreads: 1)),
                Int(arguments[4]) ?? 10_000, on: nil)
        }
    }

    static func serve(_ transport: some ServerTransport) async throws {
        try await GRPCServer(transport: transport, services: [Echo()]).serve()
    }

    static func load(_ transport: some ClientTransport, _ count: Int, on executor: (any TaskExecutor)?) async throws {
        let left = Countdown(count)
        try await withGRPCClient(transport: transport) { client in
            try await call(client)
            let start = ContinuousClock.now
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<64 {
                    group.addTask(executorPreference: executor) { while left.take() { try await call(client) } }
                }
                try await group.waitForAll()
            }
            print(Double(count) / ((ContinuousClock.now - start) / .seconds(1)))
        }
    }

    static func call(_ client: GRPCClient<some ClientTransport>) async throws {
        let answer = try await client.unary(
            request: ClientRequest(message: [UInt8](repeating: 7, count: 64)), descriptor: descriptor,
            serializer: Bytes(), deserializer: Bytes(), options: .defaults
        ) { try $0.message }
        precondition(answer.count == 64)
    }
}

/// How many calls are left, for callers on any thread.
final class Countdown: Sendable {
    private let left: Atomic<Int>

    init(_ count: Int) { left = Atomic(count) }

    func take() -> Bool { left.wrappingSubtract(1, ordering: .relaxed).oldValue > 0 }
}

/// A message is its bytes.
struct Bytes: MessageSerializer, MessageDeserializer {
    func serialize<Target: GRPCContiguousBytes>(_ message: [UInt8]) throws -> Target { Target(message) }

    func deserialize<Source: GRPCContiguousBytes>(_ bytes: Source) throws -> [UInt8] {
        bytes.withUnsafeBytes { Array($0) }
    }
}

/// Sends each message back.
struct Echo: RegistrableRPCService {
    func registerMethods(with router: inout RPCRouter<some ServerTransport>) {
        router.registerHandler(
            forMethod: Main.descriptor, deserializer: Bytes(), serializer: Bytes()
        ) { request, _ in
            let message = try await request.messages.first { _ in true } ?? []
            return StreamingServerResponse { writer in
                try await writer.write(message)
                return [:]
            }
        }
    }
}
