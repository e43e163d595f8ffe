// skein resolve: looks up the addresses of names in the same way as a session.

import ArgumentParser
import NIOCore
import Skein
import SkeinTransport
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct ResolveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resolve",
        abstract: "Resolve host names.",
        discussion: """
            Names are resolved as for a request: the hosts file, the search domains, the DNS servers of the system or those \
            of --server, over UDP, and over TCP if a response does not fit.

              skein resolve localhost example.org
              skein resolve @names.txt --server 127.0.0.1:5353 --type AAAA --json
            """)

    @Argument(help: ArgumentHelp("Names, or @FILE with one on each line (@- reads standard input).", valueName: "name"))
    var names: [String]

    @Option(help: ArgumentHelp("Use this DNS server; may be repeated.", valueName: "address[:port]"))
    var server: [String] = []

    @Option(help: "A, AAAA, or both with ANY.")
    var type: String = "ANY"

    @Option(name: [.short, .long], help: "Maximum number of concurrent lookups.")
    var concurrency: Int = 200

    @Option(help: ArgumentHelp("Seconds to wait for a server.", valueName: "seconds"))
    var timeout: Double?

    @Flag(help: "Print a JSON record for each name, and one with totals.")
    var json = false

    /// Distributes the names among the tasks.
    private final class Turns: Sendable {
        private let taken = Atomic<Int>(0)

        func next() -> Int { taken.wrappingAdd(1, ordering: .relaxed).oldValue }
    }

    private struct Record: Encodable {
        let name: String
        let addresses: [String]
        let error: String?
    }

    private struct Sums: Encodable {
        let names, found, questions, sockets: Int
        let seconds: Double
    }

    func validate() throws {
        guard !names.isEmpty else { throw ValidationError("Name at least one host.") }
        guard ["A", "AAAA", "ANY"].contains(type.uppercased()) else {
            throw ValidationError("--type must be A, AAAA or ANY.")
        }
        guard concurrency > 0, timeout ?? 1 > 0, timeout ?? 1 < 1e9 else {
            throw ValidationError("--concurrency and --timeout must be more than 0.")
        }
    }

    func run() async throws {
        let all = try InputFile.lists(names)
        var configuration = DNSConfiguration()
        if !server.isEmpty { configuration.servers = server }
        if let timeout { configuration.timeout = .seconds(timeout) }
        let shard = Shard.standard
        let resolver = DNSResolver(configuration, eventLoop: shard.eventLoop)
        let types: [DNSRecordType] =
            switch type.uppercased() {
            case "A": [.a]
            case "AAAA": [.aaaa]
            default: [.a, .aaaa]
            }
        let start = NIODeadline.now()
        let position = Turns()
        let found = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<min(concurrency, all.count) {
                group.addTask(executorPreference: shard.executor) {
                    var found = 0
                    while case let index = position.next(), index < all.count {
                        if await self.resolve(all[index], types, resolver, shard) { found += 1 }
                    }
                    return found
                }
            }
            return await group.reduce(0, +)
        }
        let seconds = Double((NIODeadline.now() - start).nanoseconds) / 1e9
        let (questions, sockets) = await resolver.statistics
        await resolver.close()
        if json {
            Terminal.say(
                Self.line(
                    Sums(names: all.count, found: found, questions: questions, sockets: sockets, seconds: seconds)))
        }
        if found < all.count { throw ExitCode(1) }
    }

    private func resolve(
        _ name: String, _ types: [DNSRecordType], _ resolver: DNSResolver, _ shard: Shard
    ) async -> Bool {
        var addresses: [String] = []
        var problem: String?
        // If the server fails for one kind of address, the other kind is sufficient, as it is for a connection.
        for answer in types.map({ resolver.resolve(name, $0, on: shard.eventLoop) }) {
            do {
                addresses += try await answer.get().compactMap { IPAddress.text($0) }
            } catch {
                problem = "\(error)"
            }
        }
        if !addresses.isEmpty { problem = nil }
        if addresses.isEmpty, problem == nil { problem = "704 DNS not found (\(name)): the name has no such address" }
        if json {
            Terminal.say(Self.line(Record(name: name, addresses: addresses, error: problem)))
        } else {
            Terminal.say("\(name) \(problem ?? addresses.joined(separator: " "))")
        }
        return !addresses.isEmpty
    }

    private static let encoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }()

    private static func line(_ value: some Encodable) -> String {
        (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }
}
