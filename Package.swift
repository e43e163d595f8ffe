// swift-tools-version: 6.2
import PackageDescription

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
]
let tls: [Target.Dependency] = [
    .product(name: "NIOSSL", package: "swift-nio-ssl"), .product(name: "NIOTLS", package: "swift-nio"),
]
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let collections = Target.Dependency.product(name: "DequeModule", package: "swift-collections")

let databases: [Target.Dependency] = ["SkeinPostgres", "SkeinSQLite", "SkeinRedis", "SkeinMongo", "SkeinAWS"]

let package = Package(
    name: "skein",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Skein", targets: ["Skein"]),
        .library(name: "SkeinHTTP", targets: ["SkeinHTTP"]),
        .library(name: "SkeinRPC", targets: ["SkeinRPC"]),
        .library(name: "SkeinPostgres", targets: ["SkeinPostgres"]),
        .library(name: "SkeinSQLite", targets: ["SkeinSQLite"]),
        .library(name: "SkeinRedis", targets: ["SkeinRedis"]),
        .library(name: "SkeinMongo", targets: ["SkeinMongo"]),
        .library(name: "SkeinAWS", targets: ["SkeinAWS"]),
        .library(name: "SkeinGRPC", targets: ["SkeinGRPC"]),
        .library(name: "SkeinEngine", targets: ["SkeinEngine"]),
        .library(name: "SkeinWork", targets: ["SkeinWork"]),
        .library(name: "SkeinPython", targets: ["SkeinPython"]),
        .library(name: "SkeinMail", targets: ["SkeinMail"]),
        .library(name: "SkeinSharedRedis", targets: ["SkeinSharedRedis"]),
        .library(name: "SkeinAncestors", targets: ["SkeinAncestors"]),
        .library(name: "SkeinEngineCommand", targets: ["SkeinEngineCommand"]),
        .library(name: "SkeinACME", targets: ["SkeinACME"]),
        .library(name: "SkeinConfiguration", targets: ["SkeinConfiguration"]),
        .library(name: "SkeinHummingbird", targets: ["SkeinHummingbird"]),
        .executable(name: "skein", targets: ["SkeinCommand"]),
    ],
    traits: [
        .trait(name: "Hummingbird", description: "Routers of Hummingbird as apps of an engine, by SkeinHummingbird.")
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.0"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.0"),
        .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.0"),
        .package(url: "https://github.com/grpc/grpc-swift-protobuf", from: "2.4.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(
            name: "CBrotli", pkgConfig: "libbrotlidec", providers: [.apt(["libbrotli-dev"]), .brew(["brotli"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"]), .brew(["zstd"])]),
        .target(name: "CSkeinWorkers"),
        .target(name: "CSkeinPython"),
        .target(name: "SkeinWorkers", dependencies: ["CSkeinWorkers", "SkeinCore", logging]),
        .target(name: "SkeinCore", dependencies: nio + [logging, collections]),
        .target(
            name: "SkeinWire",
            dependencies: [
                "SkeinCore", .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHPACK", package: "swift-nio-http2"),
                collections, "CZlib", "CBrotli", "CZstd",
            ]),
        .target(
            name: "SkeinTransport",
            dependencies: nio + [
                "SkeinCore", collections, .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "_CryptoExtras", package: "swift-crypto"),
            ] + tls),
        .target(
            name: "SkeinHTTP",
            dependencies: nio + [
                "SkeinCore", "SkeinWire", "SkeinTransport", logging, collections,
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "_CryptoExtras", package: "swift-crypto"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ]),
        .target(name: "SkeinRPC", dependencies: ["SkeinCore", "SkeinWire", "SkeinHTTP", logging] + nio),
        .target(name: "SkeinSQL", dependencies: nio + ["SkeinCore", logging]),
        .target(
            name: "SkeinPostgres",
            dependencies: nio + tls + [
                "SkeinHTTP", "SkeinSQL", "SkeinTransport", logging, collections,
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "_CryptoExtras", package: "swift-crypto"),
            ]),
        .target(
            name: "SkeinSQLite",
            dependencies: nio + [
                "SkeinHTTP", "SkeinSQL", "SkeinTransport", .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ]),
        .target(
            name: "SkeinRedis",
            dependencies: nio + [
                "SkeinHTTP", "SkeinCore", "SkeinTransport", logging, collections,
                .product(name: "Crypto", package: "swift-crypto"),
            ]),
        .target(
            name: "SkeinWork",
            dependencies: [
                "SkeinCore", "SkeinHTTP", "SkeinWorkers", "CSkeinWorkers", logging,
                .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        .target(
            name: "SkeinPython",
            dependencies: nio + [
                "CSkeinPython", "SkeinCore", "SkeinWire", "SkeinTransport", "SkeinHTTP", "SkeinEngine", "SkeinWorkers",
                "SkeinSQL", "SkeinPostgres", "SkeinSQLite", "SkeinRedis", "SkeinMail", logging, collections,
            ]),
        .target(
            name: "SkeinMail",
            dependencies: nio + [
                "SkeinCore", "SkeinTransport", "SkeinHTTP", "SkeinWorkers", logging, collections,
                .product(name: "HeapModule", package: "swift-collections"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "_CryptoExtras", package: "swift-crypto"),
                .product(name: "Mustache", package: "swift-mustache"),
            ]),
        .target(
            name: "SkeinSharedRedis",
            dependencies: nio + ["SkeinCore", "SkeinWorkers", "SkeinEngine", "SkeinRedis"]),
        .target(
            name: "SkeinMongo",
            dependencies: nio + tls + [
                "SkeinHTTP", "SkeinCore", "SkeinTransport", logging, collections, "CZlib", "CZstd",
                .product(name: "Crypto", package: "swift-crypto"),
            ]),
        .target(
            name: "SkeinAWS",
            dependencies: nio + [
                "SkeinCore", "SkeinWire", "SkeinTransport", "SkeinHTTP", logging,
                .product(name: "Crypto", package: "swift-crypto"),
            ]),
        .target(name: "SkeinAncestors", dependencies: ["SkeinCore", "SkeinSQL", "SkeinMongo"]),
        .target(name: "Skein", dependencies: ["SkeinCore", "SkeinWire", "SkeinTransport", "SkeinHTTP", "SkeinRPC"]),
        .target(
            name: "SkeinEngine",
            dependencies: nio + tls + [
                "Skein", "SkeinCore", "SkeinWire", "SkeinTransport", "SkeinHTTP", "SkeinWorkers", "CSkeinWorkers",
                logging, collections,
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "_CryptoExtras", package: "swift-crypto"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]),
        .target(
            name: "SkeinEngineCommand",
            dependencies: [
                "SkeinEngine", "SkeinWorkers", "SkeinTransport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .target(
            name: "SkeinACME",
            dependencies: [
                "SkeinCore", "SkeinHTTP", "SkeinTransport", "SkeinEngine", logging,
                .product(name: "NIOPosix", package: "swift-nio"), .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "X509", package: "swift-certificates"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
        .target(
            name: "SkeinConfiguration",
            dependencies: [
                "SkeinCore", "SkeinHTTP", "SkeinTransport", "SkeinEngine", "SkeinACME", "SkeinWorkers", "SkeinRedis",
                "SkeinSharedRedis", "SkeinPython",
            ]),
        .target(
            name: "SkeinGRPC",
            dependencies: nio + [
                "SkeinHTTP", "SkeinEngine", logging, collections, .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]),
        .target(
            name: "SkeinHummingbird",
            dependencies: [
                "SkeinEngine",
                .product(
                    name: "Hummingbird", package: "hummingbird", condition: .when(traits: ["Hummingbird"])),
            ]),
        .executableTarget(
            name: "SkeinCommand",
            dependencies: nio + databases + [
                "Skein", "SkeinEngine", "SkeinEngineCommand", "SkeinConfiguration", "SkeinACME", "SkeinGRPC",
                "SkeinTransport", "SkeinWorkers", "SkeinPython", "SkeinMail",
                logging,
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ]),
        // Programs to start from; nobody who uses the package builds them.
        .executableTarget(name: "example-fan-out", dependencies: ["Skein"], path: "examples/fan-out"),
        .executableTarget(name: "example-load-generator", dependencies: ["Skein"], path: "examples/load-generator"),
        .executableTarget(
            name: "example-blog",
            dependencies: [
                "SkeinEngine", "SkeinEngineCommand", "SkeinSQLite",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], path: "examples/blog"),
        .executableTarget(
            name: "example-chat",
            dependencies: [
                "SkeinEngine", "SkeinEngineCommand",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], path: "examples/chat"),
        .executableTarget(
            name: "example-file-server",
            dependencies: [
                "SkeinEngine", "SkeinEngineCommand",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], path: "examples/file-server"),
        .executableTarget(
            name: "example-grpc-service",
            dependencies: ["SkeinEngine", "SkeinGRPC", .product(name: "GRPCCore", package: "grpc-swift-2")],
            path: "examples/grpc-service"),
        .target(
            name: "PeerSupport", dependencies: nio + [.product(name: "NIOHPACK", package: "swift-nio-http2")],
            path: "Tests/PeerSupport"),
        .target(
            name: "SkeinSimulation",
            dependencies: nio + [
                "Skein", "SkeinEngine", "SkeinRedis", "SkeinHTTP", logging, "SkeinWire", "SkeinTransport",
                "PeerSupport",
                collections,
                .product(name: "HeapModule", package: "swift-collections"),
            ],
            path: "Tests/SkeinSimulation"),
        .executableTarget(
            name: "skein-simulate",
            dependencies: ["SkeinSimulation", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Tests/SimulationCommand"),
        // A program that can be made to crash, to hang and to leak.
        .executableTarget(
            name: "worker-probe",
            dependencies: [
                "SkeinEngine", "SkeinEngineCommand", "SkeinSharedRedis",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], path: "Tests/WorkerProbe"),
        // The code of README and docs, compiled.
        .executableTarget(name: "snippet-extractor", path: "Tests/Documentation/Extractor"),
        .plugin(
            name: "SnippetPlugin", capability: .buildTool(), dependencies: ["snippet-extractor"],
            path: "Tests/Documentation/Plugin"),
        .testTarget(
            name: "DocumentationSnippets",
            dependencies: nio + databases + [
                "Skein", "SkeinEngine", "SkeinEngineCommand", "SkeinGRPC", "SkeinMail", "SkeinPython", "SkeinWork",
                "SkeinAncestors", "SkeinHTTP", "SkeinRPC", "SkeinSQL", "SkeinTransport", "SkeinWire", logging,
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], path: "Tests/Documentation/Snippets", plugins: ["SnippetPlugin"]),
        .testTarget(
            name: "SkeinWorkersTests", dependencies: ["SkeinWorkers", "CSkeinWorkers", "SkeinCore", logging]),
        .testTarget(name: "SkeinPythonTests", dependencies: ["SkeinPython"]),
        .testTarget(name: "SkeinWorkTests", dependencies: ["SkeinWork"]),
        .testTarget(name: "SkeinMailTests", dependencies: nio + ["SkeinMail", "SkeinCore", "PeerSupport"]),
        .testTarget(name: "SimulationTests", dependencies: ["SkeinSimulation"]),
        .testTarget(name: "SkeinCoreTests", dependencies: nio + ["SkeinCore", "PeerSupport", logging]),
        .testTarget(name: "SkeinWireTests", dependencies: ["SkeinWire", "PeerSupport"]),
        .testTarget(
            name: "SkeinDatabaseTests",
            dependencies: [
                "SkeinSQL", "SkeinPostgres", "SkeinRedis", "SkeinMongo", "SkeinTransport", "SkeinAncestors",
                .product(name: "Crypto", package: "swift-crypto"),
            ]),
        .testTarget(name: "SkeinTransportTests", dependencies: ["SkeinTransport"]),
        .testTarget(name: "SkeinHTTPTests", dependencies: ["SkeinCore", "SkeinHTTP", "SkeinWire"]),
        .testTarget(name: "SkeinAWSTests", dependencies: ["SkeinCore", "SkeinHTTP", "SkeinAWS", "SkeinWire"]),
        .testTarget(name: "SkeinEngineTests", dependencies: ["SkeinEngine", "SkeinWire", "PeerSupport"]),
        .testTarget(name: "SkeinACMETests", dependencies: ["SkeinACME", "PeerSupport"]),
        .testTarget(
            name: "SkeinConfigurationTests", dependencies: ["SkeinConfiguration", "SkeinEngine", "PeerSupport"]),
        .testTarget(
            name: "PeerTests",
            dependencies: nio + tls + databases + [
                "Skein", "SkeinEngine", "SkeinEngineCommand", "SkeinConfiguration", "SkeinACME", "SkeinGRPC",
                "SkeinCommand",
                logging, "SkeinHummingbird",
                "worker-probe", "SkeinWorkers", "SkeinSharedRedis",
                "SkeinWork", "SkeinPython", "SkeinMail", "SkeinAncestors", "PeerSupport",
                .product(name: "MetricsTestKit", package: "swift-metrics"),
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
            ]),
    ]
)

// An asynchronous function stays where its caller is: no hop, and no question whether one is needed.
for target in package.targets where ["SkeinCore", "SkeinCommand", "SkeinMail"].contains(target.name) {
    target.swiftSettings = (target.swiftSettings ?? []) + [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]
}

// CI sets this; for users of the package a new compiler's warning must not break the build.
if Context.environment["SKEIN_WARNINGS_AS_ERRORS"] != nil {
    for target in package.targets where target.type != .system && target.type != .plugin {
        target.swiftSettings = (target.swiftSettings ?? []) + [.treatAllWarnings(as: .error)]
    }
}
