// swift-tools-version: 6.2
// The peers that Skein is compared with, and probes of Skein itself. A package of its own, so that nobody who uses
// Skein builds them.
import PackageDescription

let package = Package(
    name: "benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "skein", path: ".."),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
        .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.0"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.0"),
    ],
    targets: [
        .executableTarget(
            name: "async-http-client-load",
            dependencies: [.product(name: "AsyncHTTPClient", package: "async-http-client")]),
        .executableTarget(
            name: "hummingbird-hello", dependencies: [.product(name: "Hummingbird", package: "hummingbird")]),
        .executableTarget(
            name: "nio-http2-load",
            dependencies: [
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
            ]),
        .executableTarget(
            name: "grpc-peer",
            dependencies: [
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2", package: "grpc-swift-nio-transport"),
                .product(name: "SkeinGRPC", package: "skein"), .product(name: "SkeinEngine", package: "skein"),
                .product(name: "Skein", package: "skein"), .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        .executableTarget(
            name: "nio-websocket-echo",
            dependencies: [
                .product(name: "NIOPosix", package: "swift-nio"), .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOWebSocket", package: "swift-nio"),
            ]),
        .executableTarget(
            name: "skein-probe",
            dependencies: [
                .product(name: "Skein", package: "skein"), .product(name: "SkeinEngine", package: "skein"),
                .product(name: "SkeinHTTP", package: "skein"), .product(name: "SkeinAWS", package: "skein"),
                .product(name: "SkeinMongo", package: "skein"), .product(name: "SkeinPostgres", package: "skein"),
                .product(name: "SkeinRedis", package: "skein"), .product(name: "SkeinSQLite", package: "skein"),
                .product(name: "NIOCore", package: "swift-nio"),
            ]),
    ]
)
