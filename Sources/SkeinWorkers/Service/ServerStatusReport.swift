// The status of a running server, read from its shared page.

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The state of a master and its workers.
package struct ServerStatusReport: Encodable, Sendable {
    /// A worker.
    package struct Worker: Encodable, Sendable {
        /// Its number among the workers.
        package let worker: Int
        /// The process.
        package let process: Int
        /// `starting`, `ready`, `draining` or `killed`.
        package let state: String
        /// Seconds since its start.
        package let uptime: Int
        /// Connections open now.
        package let connections: Int
        /// Requests that it has answered.
        package let requests: Int
        /// Resident bytes.
        package let memory: Int
        /// Percent of a core in the last second.
        package let cpu: Double
    }

    /// The master's process.
    package let process: Int
    /// Seconds since the master's start.
    package let uptime: Int
    /// Whether all wanted workers serve.
    package let serving: Bool
    /// Workers that are wanted.
    package let wanted: Int
    /// Workers that have crashed, or ended with an exit code other than 0.
    package let crashes: Int
    /// Workers that were started in place of others.
    package let replacements: Int
    /// Reloads.
    package let reloads: Int
    /// Reloads and replacements that were abandoned because a new worker did not serve.
    package let failedReloads: Int
    /// Requests that all workers have answered, including those that have ended.
    package let requests: Int
    /// The values of the shared states.
    package let states: [String: Int]
    /// The workers.
    package let workers: [Worker]

    /// The status in a shared page.
    package init(_ page: SharedPage) {
        let now = time(nil)
        process = page[.processID]
        uptime = max(0, now &- page[.started])
        serving = page[.isServing] != 0
        wanted = page[.slots]
        crashes = page[.crashes]
        replacements = page[.replacements]
        reloads = page[.reloads]
        failedReloads = page[.failedReloads]
        requests = page.sums(5).reduce(0, &+)
        states = Dictionary(
            page.states.filter { !$0.name.hasBytePrefix("changed:") }.map { ($0.name, $0.value) },
            uniquingKeysWith: { $1 })
        workers = page.records.filter { $0.processID > 0 }.map { record in
            Worker(
                worker: record.slot, process: record.processID, state: record.phase.map { "\($0)" } ?? "ended",
                uptime: max(0, now &- record.started), connections: record.openConnections,
                requests: (0..<5).reduce(0) { $0 &+ record.sum($1) }, memory: record.memory,
                cpu: Double(record.cpu) / 10)
        }.sorted { ($0.worker, $0.process) < ($1.worker, $1.process) }
    }

    /// Reads the status of a master, whose memory only its own user can read.
    /// - Throws: code 701 when it cannot be read.
    package init(master: Int32) throws(SkeinError) {
        let folder = "/proc/\(master)/fd"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for name in names {
            let path = "\(folder)/\(name)"
            guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: path),
                target.hasBytePrefix("/memfd:skein-page")
            else { continue }
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            self.init(try SharedPage(descriptor: descriptor, isWritable: false))
            return
        }
        throw SkeinError(
            .exception,
            because:
                "process \(master) does not report its status; does it belong to another user, or is it not a master?")
    }

    /// The report as text for people.
    package var text: String {
        var lines = [
            "process \(process), up for \(Self.span(uptime)): \(serving ? "serving" : "not serving yet"), \(requests) requests, \(crashes) crashes, \(replacements) replacements, \(reloads) reloads"
        ]
        for worker in workers {
            lines.append(
                "worker #\(worker.worker)  process \(worker.process)  \(worker.state)  up for \(Self.span(worker.uptime))  \(worker.connections) connections  \(worker.requests) requests  \(worker.memory >> 20) MiB  \(worker.cpu) % CPU"
            )
        }
        return lines.joined(separator: "\n")
    }

    private static func span(_ seconds: Int) -> String {
        switch seconds {
        case ..<120: "\(seconds) s"
        case ..<7200: "\(seconds / 60) min"
        case ..<172_800: "\(seconds / 3600) h"
        default: "\(seconds / 86400) d"
        }
    }
}
