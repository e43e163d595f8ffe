import Foundation
import PeerSupport
import Testing

/// A program that imports one product of the package builds nothing that belongs to another product.
@Suite("Products")
struct ProductTests {
    /// The targets and external products that a target needs, read from the manifest as SwiftPM reads it.
    private static let needs = Task { () async throws -> [String: Set<String>] in
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let result = try await runToEnd(
            "swift",
            ["package", "--package-path", root.path, "--scratch-path", TestFolder.path("products"), "dump-package"])
        let manifest = try #require(
            try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
        var direct: [String: Set<String>] = [:]
        for target in manifest["targets"] as? [[String: Any]] ?? [] {
            guard let name = target["name"] as? String else { continue }
            let names = (target["dependencies"] as? [[String: Any]] ?? []).compactMap { dependency in
                (dependency.values.first as? [Any])?.first as? String
            }
            direct[name] = Set(names)
        }
        return direct
    }

    private func closure(_ target: String) async throws -> Set<String> {
        let needs = try await Self.needs.value
        #expect(needs[target] != nil, "there is no target \(target)")
        var found: Set<String> = []
        var open = [target]
        while let next = open.popLast() {
            for name in needs[next] ?? [] where found.insert(name).inserted { open.append(name) }
        }
        return found
    }

    private static let backEnds: Set = [
        "SkeinPostgres", "SkeinSQLite", "SkeinSQL", "SkeinRedis", "SkeinMongo", "SkeinAWS", "SkeinRPC", "SkeinGRPC",
    ]
    private static let heavy: Set = [
        "GRDB", "GRDBSQLite", "GRPCCore", "GRPCProtobuf", "SwiftProtobuf", "ArgumentParser",
    ]

    @Test(
        "a back end brings no other one",
        arguments: [
            ("SkeinHTTP", []), ("Skein", ["SkeinRPC"]), ("SkeinRedis", []), ("SkeinPostgres", ["SkeinSQL"]),
            ("SkeinMongo", []), ("SkeinAWS", []), ("SkeinMail", []), ("SkeinRPC", []), ("SkeinEngine", ["SkeinRPC"]),
        ])
    func backEnd(target: String, allowed: [String]) async throws {
        let needed = try await closure(target)
        #expect(needed.isDisjoint(with: Self.heavy), "\(needed.intersection(Self.heavy))")
        #expect(needed.intersection(Self.backEnds).subtracting(allowed).isEmpty)
        #expect(needed.contains("NIOCore"))
    }

    @Test("`import Skein` adds at most 80 names, without overly general ones")
    func names() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appending(path: "Sources/Skein/Exports.swift"), encoding: .utf8)
        let names = text.split(separator: "\n").filter { $0.hasPrefix("@_exported") }
            .compactMap { $0.split(separator: ".").last.map(String.init) }
        #expect(!names.isEmpty && names.count <= 80, "\(names.count)")
        let general: Set = ["Row", "Document", "Query", "Q", "Origin", "Meta", "Summary", "mask"]
        #expect(general.isDisjoint(with: names))
        #expect(!names.contains("Skein"), "a module and a type of one name cannot be told apart")
    }
}
