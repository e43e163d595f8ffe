import Foundation
import GRPCCore
import GRPCProtobuf
import PeerSupport
import Skein
import SkeinGRPC
import SkeinHTTP
import Testing

import struct SkeinEngine.ServerConfiguration
import struct SkeinEngine.ServerTLSConfiguration

/// Generated code on Skein's transports, with grpcio at the other end.
@Suite("gRPC", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct GRPCTests {
    private static func peer(_ flags: [String]) -> Task<String, any Error> {
        Task {
            let process = try PeerProcess(
                Peers.python(), ["\(Peers.scripts)/route_guide.py", "serve"] + flags,
                log: TestFolder.path("route_guide\(flags.joined()).log"))
            return "http://127.0.0.1:\(try await process.untilPrinted("listening "))"
        }
    }

    private static let plain = peer([])
    private static let compressing = peer(["gzip"])

    /// The address of grpcio's server.
    static func url() async throws -> String { try await plain.value }

    private func calling<T: Sendable>(
        _ url: String, skein: SkeinClient = SkeinClient(), config: ServiceConfig = ServiceConfig(),
        _ work: @Sendable @escaping (Routeguide_RouteGuide.Client<SkeinClientTransport>) async throws -> T
    ) async throws -> T {
        let transport = try SkeinClientTransport(url, skein: skein, serviceConfig: config)
        return try await withGRPCClient(transport: transport) { client in
            try await work(Routeguide_RouteGuide.Client(wrapping: client))
        }
    }

    private func point(_ latitude: Int32, _ longitude: Int32 = 0) -> Routeguide_Point {
        .with {
            $0.latitude = latitude
            $0.longitude = longitude
        }
    }

    @Test("calls go to the members of an alias")
    func alias() async throws {
        let skein = SkeinClient()
        let members = [try await Self.plain.value, try await Self.compressing.value, "http://127.0.0.1:1"]
        try skein.alias("@guide", Alias(.http, members))
        try await calling("@guide", skein: skein) { guide in
            for number in Int32(0)..<20 {
                let feature = try await guide.getFeature(point(number))
                #expect(feature.name == "place \(number)")
            }
        }
        let answered = try skein.members(of: "@guide").map { $0.requests - $0.failures }
        #expect(answered[0] > 0 && answered[1] > 0 && answered[2] == 0, "\(answered)")
        await skein.shutdown()
    }

    @Test("the client: four kinds of call to grpcio, compressed and not, over one connection")
    func kinds() async throws {
        for (url, compression) in [
            (try await Self.plain.value, CompressionAlgorithm.none), (try await Self.compressing.value, .gzip),
        ] {
            var options = CallOptions.defaults
            options.compression = compression
            let chosen = options
            let skein = SkeinClient()
            try await calling(url, skein: skein) { guide in
                #expect(try await guide.getFeature(point(7), options: chosen).name == "place 7")
                let area = Routeguide_Rectangle.with { $0.hi = point(2000) }
                let names = try await guide.listFeatures(area, options: chosen) { response in
                    try await response.messages.reduce(into: []) { $0.append($1.name) }
                }
                #expect(names == (0..<2000).map { "place \($0)" })
                let summary = try await guide.recordRoute(options: chosen) { writer in
                    for number in 0..<2000 { try await writer.write(point(Int32(number))) }
                }
                #expect(summary.pointCount == 2000 && summary.distance == 1_999_000)
                let heard = try await guide.routeChat(options: chosen) { writer in
                    for number in 0..<500 { try await writer.write(.with { $0.message = "\(number)" }) }
                } onResponse: { response in
                    try await response.messages.reduce(into: []) { $0.append($1.message) }
                }
                #expect(heard == (0..<500).map { "heard \($0)" })
                let large = try await guide.getFeature(point(-3, 4_000_000), options: chosen)
                #expect(large.name.utf8.count == 4_000_000)
                let note = Routeguide_RouteNote.with { $0.message = String(repeating: "y", count: 4_000_000) }
                let sizes = try await guide.routeChat(options: chosen) { writer in
                    for _ in 0..<2 { try await writer.write(note) }
                } onResponse: { response in
                    try await response.messages.reduce(into: []) { $0.append($1.message.utf8.count) }
                }
                #expect(sizes == [4_000_006, 4_000_006])
                // Many at a time.
                try await withThrowingTaskGroup(of: String.self) { group in
                    for number in 1...200 {
                        group.addTask { try await guide.getFeature(point(Int32(number)), options: chosen).name }
                    }
                    var seen = Set<String>()
                    for try await name in group { seen.insert(name) }
                    #expect(seen.count == 200)
                }
            }
            #expect(skein.connectCount == 1)
        }
    }

    @Test("the client: errors with their metadata, deadlines, sizes, cancellation")
    func errors() async throws {
        let skein = SkeinClient()
        try await calling(try await Self.plain.value, skein: skein) { guide in
            let missing = await #expect(throws: RPCError.self) { try await guide.getFeature(point(-1)) }
            #expect(missing?.code == .notFound && missing?.message == "nothing at 100% of the places, für immer")
            #expect(missing.map { Array($0.metadata[binaryValues: "wool-bin"]) } == [[0, 1, 0xFF]])
            #expect(missing.map { Array($0.metadata[stringValues: "thread"]) } == ["red"])
            var options = CallOptions.defaults
            options.timeout = .milliseconds(300)
            let hurried = options
            let start = ContinuousClock.now
            let late = await #expect(throws: RPCError.self) { try await guide.getFeature(point(-2), options: hurried) }
            #expect(late?.code == .deadlineExceeded && ContinuousClock.now - start < .seconds(2))
            let broken = await #expect(throws: RPCError.self) { try await guide.getFeature(point(-6)) }
            #expect(broken?.code == .unknown)
            let large = await #expect(throws: RPCError.self) { try await guide.getFeature(point(-3, 5_000_000)) }
            #expect(large?.code == .resourceExhausted)
            options = .defaults
            options.maxResponseMessageBytes = 6_000_000
            let roomy = options
            #expect(try await guide.getFeature(point(-3, 5_000_000), options: roomy).name.utf8.count == 5_000_000)
            let seen = try await guide.getFeature(
                point(-4), metadata: ["weaver": "anna", "wool-bin": .binary([0, 1, 0xFF])]
            ) { response in
                #expect(Array(response.metadata[stringValues: "thread"]) == ["blue"])
                #expect(Array(response.metadata[binaryValues: "wool-bin"]) == [[0, 2]])
                return try response.message.name
            }
            #expect(seen.contains(#"["weaver", "anna"]"#) && seen.contains(#"["wool-bin", "0001ff"]"#), "\(seen)")
            let chat = Task {
                try await guide.routeChat { writer in
                    while true {
                        try await writer.write(.with { $0.message = "more" })
                        try await Task.sleep(for: .milliseconds(10))
                    }
                } onResponse: { response in
                    for try await _ in response.messages { withUnsafeCurrentTask { $0?.cancel() } }
                }
            }
            chat.cancel()
            _ = await chat.result
            #expect(try await guide.getFeature(point(8)).name == "place 8")
        }
        #expect(skein.connectCount == 1)
    }

    @Test("the client: retries by the service config; a server that starts late; a server without gRPC")
    func availability() async throws {
        var method = MethodConfig(names: [.init(service: "routeguide.RouteGuide")])
        method.executionPolicy = .retry(
            RetryPolicy(
                maxAttempts: 5, initialBackoff: .milliseconds(10), maxBackoff: .milliseconds(50), backoffMultiplier: 1,
                retryableStatusCodes: [.unavailable]))
        let key = Int32.random(in: 1 ... .max)
        let tried = try await calling(
            try await Self.plain.value, config: ServiceConfig(methodConfig: [method])
        ) { guide in try await guide.getFeature(point(-5, key)).name }
        #expect(tried == "attempt 3")
        let free = "http://127.0.0.1:\(try await Ports.free())"
        let refused = await #expect(throws: RPCError.self) {
            try await calling(free) { guide in try await guide.getFeature(point(1)) }
        }
        #expect(refused?.code == .unavailable)
        let nginx = try await Peers.shared.nginxHTTP2Ports().many
        let other = await #expect(throws: RPCError.self) {
            try await calling("http://127.0.0.1:\(nginx)") { guide in try await guide.getFeature(point(1)) }
        }
        #expect(other?.code == .unimplemented, "\(String(describing: other))")  // its 404

        let port = try await Ports.free()
        var options = CallOptions.defaults
        options.waitForReady = true
        let patient = options
        let call = Task {
            try await calling("http://127.0.0.1:\(port)") { guide in
                try await guide.getFeature(point(9), options: patient).name
            }
        }
        try await Shard.standard.sleep(until: .after(.milliseconds(300)))
        try await serving(ServerConfiguration(addresses: [.tcp("127.0.0.1", port: port)], threads: 1)) {
            _ async throws in
            #expect(try await call.value == "place 9")
        }
    }

    private func serving(
        _ configuration: ServerConfiguration = ServerConfiguration(
            addresses: [.tcp("127.0.0.1", port: 0)], threads: 2),
        _ test: @Sendable @escaping (Int) async throws -> Void
    ) async throws {
        var configuration = configuration
        configuration.logger = .silent
        let transport = SkeinServerTransport(configuration)
        try await withGRPCServer(transport: transport, services: [Guide()]) { _ in
            switch try await transport.listeningAddresses.first {
            case .tcp(_, let port)?, .tls(_, let port)?: try await test(port)
            default: throw PeerError("no port")
            }
        }
    }

    @Test("the server: grpcio's client with all kinds of calls, compressed and not", arguments: [[], ["gzip"]])
    func server(flags: [String]) async throws {
        try await serving { port in
            let run = try await runToEnd(
                Peers.python(), ["\(Peers.scripts)/route_guide.py", "try", "\(port)"] + flags)
            #expect(run.code == 0, "\(run.errors)")
            let found = try JSONDecoder().decode(JSONValue.self, from: Data(run.output.utf8))
            #expect(found["unary"]?.string == "place 7", "\(run.errors)")
            #expect(found["server"]?.string == "place 1999")
            #expect(found["client"] == .array([.integer(2000), .integer(1_999_000)]))
            #expect(found["both"] == .array([.integer(500), .string("heard 499")]))
            #expect(found["large"]?.integer == 4_000_000)
            #expect(found["large both"] == .array([.integer(4_000_006), .integer(4_000_006)]))
            #expect(found["not found"]?[0]?.string == "NOT_FOUND")
            #expect(found["not found"]?[1]?.string == "nothing at 100% of the places, für immer")
            let trailers = found["not found"]?[2].map { "\($0)" } ?? ""
            #expect(trailers.contains("0001ff") && trailers.contains("red"), "\(trailers)")
            #expect(found["late"]?[0]?.string == "DEADLINE_EXCEEDED")
            #expect(found["broken"]?[0]?.string == "UNKNOWN")
            #expect(found["too large"]?[0]?.string == "RESOURCE_EXHAUSTED")
            #expect(found["no method"]?[0]?.string == "UNIMPLEMENTED")
            let metadata = found["metadata"].map { "\($0)" } ?? ""
            #expect(metadata.contains("anna") && metadata.contains("0001ff"), "\(metadata)")
            #expect(found["initial"].map { "\($0)" }?.contains("blue") ?? false, "\(found)")
            #expect(found["first"]?.string == "heard one" && found["after"]?.string == "place 8")
        }
    }

    @Test("the stub: a method by its name, with the common response interface")
    func shortForm() async throws {
        let skein = SkeinClient()
        let guide = try skein.grpc(try await Self.plain.value, "routeguide.RouteGuide")
        let feature = try await guide.call("GetFeature", point(7), as: Routeguide_Feature.self).fetch()
        #expect(feature.name == "place 7")
        let missing = await guide.call("GetFeature", point(-1), as: Routeguide_Feature.self, meta: ["k": 1]).dispatch()
        #expect(missing.statusCode == 404 && missing.outcome == .requestFailed && missing.meta["k"] as? Int == 1)
        #expect(Array(missing.trailers[stringValues: "thread"]) == ["red"])
        #expect(await guide.call("None", point(1), as: Routeguide_Feature.self).dispatch().statusCode == 501)
        let late = guide.call("GetFeature", point(-2), as: Routeguide_Feature.self)
        #expect(await late.dispatch(timeout: .milliseconds(200)).statusCode == 702)
        let refused = try skein.grpc("http://127.0.0.1:\(try await Ports.free())", "routeguide.RouteGuide")
        #expect(await refused.call("GetFeature", point(1), as: Routeguide_Feature.self).dispatch().statusCode == 714)
        await skein.fetchAll()
        #expect(skein.connectCount == 1)
    }

    @Test("both ends: over TLS; calls in flight complete when the server stops")
    func bothEnds() async throws {
        let folder = try await Certificates.shared.folder()
        var configuration = ServerConfiguration(addresses: [.tls("127.0.0.1", port: 0)], threads: 1)
        configuration.tls = ServerTLSConfiguration(certificates: [
            .init(certificateFile: "\(folder)/good.pem", keyFile: "\(folder)/good.pem")
        ])
        var settings = SkeinClient.Configuration()
        settings.http.tls.roots = .file("\(folder)/ca.pem")
        let skein = SkeinClient(settings)
        try await serving(configuration) { port in
            try await calling("https://localhost:\(port)", skein: skein) { guide async throws in
                #expect(try await guide.getFeature(point(3)).name == "place 3")
            }
        }
        let transport = SkeinServerTransport(
            ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 1))
        try await withGRPCServer(transport: transport, services: [Guide()]) { server in
            guard case .tcp(_, let port)? = try await transport.listeningAddresses.first else {
                throw PeerError("no port")
            }
            let heard = try await calling("http://127.0.0.1:\(port)") { guide in
                try await guide.routeChat { writer in
                    try await writer.write(.with { $0.message = "before" })
                    try await Shard.standard.sleep(until: .after(.milliseconds(100)))
                    server.beginGracefulShutdown()
                    try await Shard.standard.sleep(until: .after(.milliseconds(100)))
                    try await writer.write(.with { $0.message = "after" })
                } onResponse: { response in
                    try await response.messages.reduce(into: []) { $0.append($1.message) }
                }
            }
            #expect(heard == ["heard before", "heard after"])
        }
    }
}
