// The server's state as an HTML page without external resources.

import SkeinCore
import SkeinHTTP
import SkeinWorkers

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A status page of the server in HTML, and in JSON for programs.
public struct StatusApp: App {
    private let watchers: Watchers

    /// A page for the given clients.
    public init(for watchers: Watchers = .local) { self.watchers = watchers }

    /// Responds with the current state.
    public func respond(to request: ServerRequest) async throws -> ServerResponse {
        try watchers.require(request)
        guard request.method == .get || request.method == .head else {
            throw ServerError(.methodNotAllowed, headers: ["Allow": "GET, HEAD"])
        }
        let status = ServerStatus(request.scope.owner.context, request.scope.owner.skein)
        var response = request.prefersHTML ? ServerResponse.html(status.page) : ServerResponse.json(status)
        response.headers = [
            "Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
            "Refresh": "5",
        ]
        return response
    }
}

extension App where Self == StatusApp {
    /// A status page: `engine.mount("/.status", .status())`.
    /// - Parameter watchers: the allowed clients. Default: clients on the same machine.
    public static func status(for watchers: Watchers = .local) -> StatusApp { StatusApp(for: watchers) }
}

/// The data of the page.
struct ServerStatus: Encodable {
    struct Row: Encodable {
        let name: String
        let value: String
    }

    struct Share: Encodable {
        let name: String
        let count: Int
        let percent: Int
    }

    let process: [Row]
    let workers: [ServerStatusReport.Worker]
    let traffic: [Row]
    let statuses: [Share]
    let durations: [Share]
    let mounts: [Row]
    let aliases: [AliasRows]
    let caches: [CacheRow]

    /// The members of an alias.
    struct AliasRows: Encodable {
        let name: String
        let members: [AliasMemberStatus]
    }

    struct CacheRow: Encodable {
        let mount: String
        let counts: CacheStatistics
    }

    init(_ context: ServerContext, _ client: SkeinClient) {
        aliases = client.aliasNames.map { AliasRows(name: $0, members: (try? client.members(of: $0)) ?? []) }
        caches = context.caches.map { CacheRow(mount: $0.name, counts: $0.cache.statistics) }

        let numbers = ServerStatistics(context)
        let seconds = max(numbers.uptime / .seconds(1), 0.001)
        func bytes(_ count: Int) -> String {
            count < 10 << 10 ? "\(count) B" : count < 10 << 20 ? "\(count >> 10) KiB" : "\(count >> 20) MiB"
        }
        workers = context.worker.map { ServerStatusReport($0.page).workers } ?? []
        process = [
            Row(name: "Process", value: "\(ProcessInfo.processInfo.processIdentifier)"),
            Row(name: "Up for", value: Self.text(numbers.uptime)),
            Row(name: "Loops", value: "\(context.statistics.count)"),
            Row(name: "Memory", value: ProcessMemory.resident.map(bytes) ?? "–"),
            Row(name: "Peak memory", value: ProcessMemory.peak.map(bytes) ?? "–"),
        ]
        traffic = [
            Row(name: "Connections now", value: "\(numbers.openConnections)"),
            Row(name: "Connections", value: "\(numbers.connections)"),
            Row(name: "Requests", value: "\(numbers.requests)"),
            Row(name: "Requests a second", value: String((Double(numbers.requests) / seconds * 10).rounded() / 10)),
            Row(name: "Refused", value: "\(numbers.refused)"),
            Row(name: "Received", value: bytes(numbers.bytesReceived)),
            Row(name: "Sent", value: bytes(numbers.bytesSent)),
            Row(name: "p50", value: numbers.quantile(50)),
            Row(name: "p99", value: numbers.quantile(99)),
        ]
        func shares(_ names: [String], _ counts: [Int]) -> [Share] {
            let most = max(1, counts.max() ?? 1)
            return zip(names, counts).map { Share(name: $0, count: $1, percent: $1 * 100 / most) }
        }
        statuses = shares((1...5).map { "\($0)xx" }, numbers.statuses)
        durations = shares(ShardStatistics.bounds.map { "< \($0) ms" } + ["more"], numbers.durations)
        mounts = context.mounts.map { Row(name: $0.host ?? "any host", value: $0.path.isEmpty ? "/" : $0.path) }
    }

    private static func text(_ time: Duration) -> String {
        let seconds = time.components.seconds
        let clock = "\(seconds / 3600 % 24) h \(seconds / 60 % 60) min \(seconds % 60) s"
        return seconds < 86400 ? clock : "\(seconds / 86400) d \(clock)"
    }

    /// The page, without external resources.
    var page: String {
        """
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8"><title>Skein</title><meta name="viewport" content="width=device-width">
        <style>
        :root { color-scheme: light dark }
        body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 62em; padding: 0 1em }
        h1 { font-size: 1.4em } h2 { font-size: 1em; margin: 0 0 .4em; opacity: .7 }
        main { display: grid; grid-template-columns: repeat(auto-fit, minmax(17em, 1fr)); gap: 1.2em }
        section { border: 1px solid #8883; border-radius: .6em; padding: 1em }
        table { border-collapse: collapse; width: 100% } td { padding: .1em 0; vertical-align: top }
        td:last-child { text-align: right; font-variant-numeric: tabular-nums }
        .bar { width: 45%; padding: .1em .6em } .bar div { background: #3a7bd5; border-radius: .2em; height: .8em; min-width: 1px }
        </style></head><body><h1>Skein</h1><main>
        \(Self.section("Process", process))
        \(workers.isEmpty ? "" : Self.section("Workers", workers.map(Self.row)))
        \(Self.section("Traffic", traffic))
        \(Self.section("Responses by status", statuses))
        \(Self.section("Responses by duration", durations))
        \(aliases.map { Self.section($0.name, $0.members.map(Self.row)) }.joined())
        \(caches.map { Self.section("Cache of \($0.mount)", Self.rows($0.counts)) }.joined())
        \(Self.section("Mounts", mounts.map { Row(name: $0.value, value: $0.name) }))
        </main></body></html>

        """
    }

    private static func row(_ member: AliasMemberStatus) -> Row {
        let state = member.isAvailable ? "" : "ejected, "
        let latency = (member.latency * 10).rounded() / 10
        return Row(
            name: member.url,
            value:
                "\(state)\(member.requests) requests, \(member.failures) failed, \(latency) ms, \(member.inFlight) now")
    }

    private static func row(_ worker: ServerStatusReport.Worker) -> Row {
        Row(
            name: "#\(worker.worker), process \(worker.process)",
            value:
                "\(worker.state), \(worker.connections) connections, \(worker.requests) requests, \(worker.memory >> 20) MiB, \(worker.cpu) % CPU"
        )
    }

    private static func rows(_ counts: CacheStatistics) -> [Row] {
        [
            Row(name: "Fresh", value: "\(counts.hits)"), Row(name: "Confirmed", value: "\(counts.revalidated)"),
            Row(name: "Stale", value: "\(counts.stale)"), Row(name: "From back ends", value: "\(counts.misses)"),
        ]
    }

    private static func section(_ title: String, _ rows: [Row]) -> String {
        section(title, lines: rows.map { "<td>\(Markup.escape($0.name))</td><td>\(Markup.escape($0.value))</td>" })
    }

    private static func section(_ title: String, _ shares: [Share]) -> String {
        section(
            title,
            lines: shares.map {
                "<td>\(Markup.escape($0.name))</td><td class=\"bar\"><div style=\"width: \($0.percent)%\"></div></td><td>\($0.count)</td>"
            })
    }

    private static func section(_ title: String, lines: [String]) -> String {
        "<section><h2>\(Markup.escape(title))</h2><table>\(lines.map { "<tr>\($0)</tr>" }.joined())</table></section>"
    }
}
