// The result of a load, as a table for people and as JSON for scripts.

import Histogram
import Skein

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The result of a load.
struct LoadReport: Encodable {
    struct Latency: Encodable {
        let min, mean, p50, p90, p99, p999, max: Double
    }

    let requests: Int
    let requestsPerSecond: Double
    let seconds: Double
    let bytes: Int
    let connections: Int
    let latency: Latency
    let status: [Int: Int]
    let errors: [Int: Int]
    private let examples: [Int: String]
    private let isOpenLoop: Bool

    enum CodingKeys: String, CodingKey {
        case requests, bytes, connections, status, errors
        case requestsPerSecond = "requests_per_second"
        case seconds = "duration_s"
        case latency = "latency_ms"
    }

    init(_ recorders: [LoadRecorder], seconds: Double, connections: Int, plan: LoadPlan) {
        var all = recorders[0].latencies
        for recorder in recorders.dropFirst() {
            for value in recorder.latencies.recordedValues() { all.record(value.value, count: value.count) }
        }
        func milliseconds(_ microseconds: UInt64) -> Double { Double(microseconds) / 1000 }
        func percentile(_ value: Double) -> Double { milliseconds(all.valueAtPercentile(value)) }
        requests = recorders.reduce(0) { $0 + $1.requests }
        self.seconds = seconds.rounded(to: 6)
        requestsPerSecond = seconds > 0 ? (Double(requests) / seconds).rounded(to: 1) : 0
        bytes = recorders.reduce(0) { $0 + $1.bytes }
        self.connections = connections
        latency = Latency(
            min: milliseconds(requests > 0 ? all.min : 0), mean: (requests > 0 ? all.mean / 1000 : 0).rounded(to: 3),
            p50: percentile(50), p90: percentile(90), p99: percentile(99), p999: percentile(99.9),
            max: milliseconds(requests > 0 ? all.max : 0))
        status = recorders.reduce(into: [:]) { $0.merge($1.status, uniquingKeysWith: +) }
        errors = recorders.reduce(into: [:]) { $0.merge($1.errors, uniquingKeysWith: +) }
        examples = recorders.reduce(into: [:]) { $0.merge($1.examples) { first, _ in first } }
        isOpenLoop = plan.rate != nil
    }

    func encode(to encoder: any Encoder) throws {
        func named(_ counts: [Int: Int]) -> [String: Int] {
            Dictionary(uniqueKeysWithValues: counts.map { (String($0.key), $0.value) })
        }
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(requests, forKey: .requests)
        try container.encode(requestsPerSecond, forKey: .requestsPerSecond)
        try container.encode(seconds, forKey: .seconds)
        try container.encode(bytes, forKey: .bytes)
        try container.encode(connections, forKey: .connections)
        try container.encode(latency, forKey: .latency)
        try container.encode(named(status), forKey: .status)
        try container.encode(named(errors), forKey: .errors)
    }

    /// One JSON object.
    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }

    /// A table.
    var table: String {
        func row(_ name: String, _ text: String) -> String {
            "  " + name + String(repeating: " ", count: 13 - name.count) + text
        }
        func counts(_ table: [Int: Int]) -> String {
            table.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
        }
        let megabytes = (Double(bytes) / 1e6 / max(seconds, 1e-9)).rounded(to: 2)
        var lines = [
            "\(requests) requests in \(seconds.rounded(to: 3)) s over \(connections) connections",
            row("throughput", "\(Int(requestsPerSecond.rounded())) requests/s, \(megabytes) MB/s of content"),
            row(
                "latency",
                "min \(latency.min)  mean \(latency.mean)  max \(latency.max) ms"
                    + (isOpenLoop ? "  (from the scheduled time)" : "")),
            row("percentiles", "50% \(latency.p50)  90% \(latency.p90)  99% \(latency.p99)  99.9% \(latency.p999) ms"),
        ]
        if !status.isEmpty { lines.append(row("status", counts(status))) }
        if !errors.isEmpty { lines.append(row("errors", counts(errors))) }
        for (_, example) in examples.sorted(by: { $0.key < $1.key }) { lines.append(row("", example)) }
        return lines.joined(separator: "\n")
    }
}
