// Server metrics for Prometheus.

import SkeinCore
import SkeinHTTP
import SkeinWorkers

/// Metrics of the server, and optionally of swift-metrics, for Prometheus.
public struct MetricsApp: App {
    private let registry: PrometheusRegistry?
    private let watchers: Watchers

    /// Metrics for the given clients.
    public init(_ registry: PrometheusRegistry? = nil, for watchers: Watchers = .local) {
        self.registry = registry
        self.watchers = watchers
    }

    /// Responds with the current values.
    public func respond(to request: ServerRequest) async throws -> ServerResponse {
        try watchers.require(request)
        guard request.method == .get || request.method == .head else {
            throw ServerError(.methodNotAllowed, headers: ["Allow": "GET, HEAD"])
        }
        let numbers = ServerStatistics(request.scope.owner.context)
        var text = PrometheusText()
        text.add("skein_uptime_seconds", "gauge", numbers.uptime / .seconds(1))
        text.add("skein_open_connections", "gauge", Double(numbers.openConnections))
        text.add("skein_connections_total", "counter", Double(numbers.connections))
        text.add("skein_refused_requests_total", "counter", Double(numbers.refused))
        for (index, count) in numbers.statuses.enumerated() {
            text.add("skein_requests_total", "counter", labels: ["status=\"\(index + 1)xx\""], Double(count))
        }
        text.histogram(
            "skein_request_duration_seconds", bounds: PrometheusRegistry.bounds,
            counts: numbers.durations, sum: numbers.seconds)
        text.add("skein_received_bytes_total", "counter", Double(numbers.bytesReceived))
        text.add("skein_sent_bytes_total", "counter", Double(numbers.bytesSent))
        if let page = request.scope.owner.context.worker?.page { addWorkers(of: page, to: &text) }
        addAliases(of: request.scope.owner.skein, to: &text)
        for (mount, cache) in request.scope.owner.context.caches {
            let counts = cache.statistics
            for (use, count) in [
                ("hit", counts.hits), ("revalidated", counts.revalidated), ("stale", counts.stale),
                ("miss", counts.misses),
            ] {
                let labels = ["mount=\"\(PrometheusText.escape(mount))\"", "use=\"\(use)\""]
                text.add("skein_cache_responses_total", "counter", labels: labels, Double(count))
            }
        }
        let apps = request.scope.owner.context.work?.metrics ?? []
        // The samples of one metric must be adjacent.
        for metric in apps.sorted(by: { $0.name < $1.name }) {
            text.add(metric.name, metric.kind, labels: metric.labels, metric.value)
        }
        if let memory = ProcessMemory.resident { text.add("process_resident_memory_bytes", "gauge", Double(memory)) }
        return ServerResponse(
            headers: ["Cache-Control": "no-store"],
            body: .text(text.text + (registry?.text ?? ""), contentType: "text/plain; version=0.0.4; charset=utf-8"))
    }
}

extension MetricsApp {
    /// The master's data about its workers.
    private func addWorkers(of page: SharedPage, to text: inout PrometheusText) {
        let status = ServerStatusReport(page)
        let phases: [SupervisorMachine.Phase] = [.starting, .ready, .draining, .killed]
        for phase in phases {
            let count = status.workers.filter { $0.state.equalsBytes("\(phase)") }.count
            text.add("skein_workers", "gauge", labels: ["state=\"\(phase)\""], Double(count))
        }
        text.add("skein_worker_crashes_total", "counter", Double(status.crashes))
        text.add("skein_worker_replacements_total", "counter", Double(status.replacements))
        text.add("skein_reloads_total", "counter", Double(status.reloads))
        for worker in status.workers {
            let labels = ["worker=\"\(worker.worker)\"", "process=\"\(worker.process)\""]
            text.add("skein_worker_resident_memory_bytes", "gauge", labels: labels, Double(worker.memory))
        }
    }

    /// The state of alias members. The samples of one metric must be adjacent for Prometheus.
    private func addAliases(of client: SkeinClient, to text: inout PrometheusText) {
        let members = client.aliasNames.flatMap { name in
            ((try? client.members(of: name)) ?? []).map { member in
                (
                    labels: [
                        "alias=\"\(PrometheusText.escape(name))\"", "member=\"\(PrometheusText.escape(member.url))\"",
                    ],
                    member: member
                )
            }
        }
        let metrics: [(name: String, kind: String, value: (AliasMemberStatus) -> Double)] = [
            ("skein_alias_requests_total", "counter", { Double($0.requests) }),
            ("skein_alias_failures_total", "counter", { Double($0.failures) }),
            ("skein_alias_requests_in_flight", "gauge", { Double($0.inFlight) }),
            ("skein_alias_member_available", "gauge", { $0.isAvailable ? 1 : 0 }),
            ("skein_alias_latency_seconds", "gauge", { $0.latency / 1000 }),
        ]
        for metric in metrics {
            for (labels, member) in members { text.add(metric.name, metric.kind, labels: labels, metric.value(member)) }
        }
    }
}

extension App where Self == MetricsApp {
    /// Metrics of the server for Prometheus.
    /// - Parameters:
    ///   - registry: metrics that swift-metrics collects. Default: none.
    ///   - watchers: the allowed clients. Default: clients on the same machine.
    public static func metrics(_ registry: PrometheusRegistry? = nil, for watchers: Watchers = .local) -> MetricsApp {
        MetricsApp(registry, for: watchers)
    }
}
