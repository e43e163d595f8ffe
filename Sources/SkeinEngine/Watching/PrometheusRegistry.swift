// Metrics of swift-metrics and of the server in Prometheus' text format.

import SkeinCore
import CoreMetrics
import SkeinWire
import Synchronization

/// A swift-metrics backend that stores metrics for a Prometheus page.
///
///     let metrics = PrometheusRegistry()
///     MetricsSystem.bootstrap(metrics)
///     engine.mount("/metrics", .metrics(metrics))
public final class PrometheusRegistry: MetricsFactory {
    /// The upper bounds of the histogram buckets for durations, in seconds.
    static let bounds = ShardStatistics.bounds.map { Double($0) / 1000 }

    private struct Key: Hashable {
        let name: String
        let labels: [String]
    }

    private let maximum: Int
    private let series = Mutex<[Key: Series]>([:])

    /// An empty registry.
    /// - Parameter maximum: the maximum number of series, names with their labels; further ones are counted as
    ///   `skein_metrics_left_out`. Default: 10 000.
    public init(maximum: Int = 10_000) { self.maximum = maximum }

    private func series(_ name: String, _ dimensions: [(String, String)], _ kind: Series.Kind) -> Series {
        let labels = dimensions.map { "\(PrometheusText.name($0.0))=\"\(PrometheusText.escape($0.1))\"" }
        return series.withLock { all in
            let key = Key(name: PrometheusText.name(name), labels: labels)
            if let known = all[key] { return known }
            let made = Series(kind)
            guard all.count < maximum else {
                // Labels with unbounded values would exhaust the memory.
                all[Key(name: "skein_metrics_left_out_total", labels: []), default: Series(.counter)].increment(by: 1.0)
                return made
            }
            all[key] = made
            return made
        }
    }

    /// A counter of a name.
    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        series(Self.counterName(label), dimensions, .counter)
    }

    /// The name of a counter, which ends in `_total`.
    private static func counterName(_ label: String) -> String {
        label.hasByteSuffix("_total") ? label : label + "_total"
    }

    /// A counter of fractions.
    public func makeFloatingPointCounter(label: String, dimensions: [(String, String)])
        -> any FloatingPointCounterHandler
    {
        series(Self.counterName(label), dimensions, .counter)
    }

    /// A gauge, or a histogram of values.
    public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        series(label, dimensions, aggregate ? .histogram : .gauge)
    }

    /// A gauge that goes up and down.
    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        series(label, dimensions, .gauge)
    }

    /// A histogram of durations, in seconds.
    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        series(label, dimensions, .histogram)
    }

    /// Values are retained, as Prometheus expects.
    public func destroyCounter(_ handler: any CounterHandler) {}
    /// Values are retained, as Prometheus expects.
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    /// Values are retained, as Prometheus expects.
    public func destroyRecorder(_ handler: any RecorderHandler) {}
    /// Values are retained, as Prometheus expects.
    public func destroyMeter(_ handler: any MeterHandler) {}
    /// Values are retained, as Prometheus expects.
    public func destroyTimer(_ handler: any TimerHandler) {}

    /// All metrics in Prometheus' text format, version 0.0.4.
    public var text: String {
        var text = PrometheusText()
        let all = series.withLock { $0 }.sorted {
            ($0.key.name, $0.key.labels.joined()) < ($1.key.name, $1.key.labels.joined())
        }
        for (key, series) in all { series.write(key.name, key.labels, to: &text) }
        return text.text
    }
}

/// One series: a name with its labels.
private final class Series: CounterHandler, FloatingPointCounterHandler, RecorderHandler, MeterHandler, TimerHandler {
    enum Kind: String {
        case counter, gauge, histogram
    }

    private struct Values {
        var value = 0.0
        var buckets = [Int](repeating: 0, count: PrometheusRegistry.bounds.count + 1)
        var count = 0
    }

    private let kind: Kind
    private let values = Mutex(Values())

    init(_ kind: Kind) { self.kind = kind }

    func increment(by amount: Int64) { increment(by: Double(amount)) }
    func increment(by amount: Double) { values.withLock { $0.value += amount } }
    func decrement(by amount: Double) { increment(by: -amount) }
    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { values.withLock { $0.value = value } }
    func reset() { values.withLock { $0 = Values() } }
    func record(_ value: Int64) { record(Double(value)) }
    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    func record(_ value: Double) {
        guard kind == .histogram else { return set(value) }
        values.withLock { values in
            values.value += value
            values.count += 1
            values.buckets[PrometheusRegistry.bounds.firstIndex { value <= $0 } ?? PrometheusRegistry.bounds.count] += 1
        }
    }

    func write(_ name: String, _ labels: [String], to text: inout PrometheusText) {
        let now = values.withLock { $0 }
        switch kind {
        case .counter: text.add(name, kind.rawValue, labels: labels, now.value)
        case .gauge: text.add(name, kind.rawValue, labels: labels, now.value)
        case .histogram:
            text.histogram(name, labels, bounds: PrometheusRegistry.bounds, counts: now.buckets, sum: now.value)
        }
    }
}

/// Prometheus' text format.
struct PrometheusText {
    private(set) var text = ""
    private var described: Set<String> = []

    init() {}

    /// A name with invalid characters replaced.
    static func name(_ text: String) -> String {
        let name = text.utf8.map { byte in
            Bytes.isDigit(byte) || Bytes.lowercased(byte) &- 0x61 < 26 ? byte : UInt8(ascii: "_")
        }
        return (name.first.map(Bytes.isDigit) ?? true ? "_" : "") + String(decoding: name, as: UTF8.self)
    }

    static func escape(_ text: String) -> String {
        text.replacingBytes("\\", with: "\\\\").replacingBytes("\"", with: "\\\"").replacingBytes("\n", with: "\\n")
    }

    private mutating func describe(_ name: String, _ kind: String) {
        if described.insert(name).inserted { text += "# TYPE \(name) \(kind)\n" }
    }

    mutating func add(_ name: String, _ kind: String, labels: [String] = [], _ value: Double) {
        describe(name, kind)
        text += "\(name)\(Self.braces(labels)) \(Self.number(value))\n"
    }

    mutating func histogram(_ name: String, _ labels: [String] = [], bounds: [Double], counts: [Int], sum: Double) {
        describe(name, "histogram")
        var total = 0
        for (index, count) in counts.enumerated() {
            total += count
            let bound = index < bounds.count ? Self.number(bounds[index]) : "+Inf"
            text += "\(name)_bucket\(Self.braces(labels + ["le=\"\(bound)\""])) \(total)\n"
        }
        text += "\(name)_sum\(Self.braces(labels)) \(Self.number(sum))\n\(name)_count\(Self.braces(labels)) \(total)\n"
    }

    private static func braces(_ labels: [String]) -> String {
        labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}"
    }

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : String(value)
    }
}
