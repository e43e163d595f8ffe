// The trace context that hops pass on.

import SkeinCore
import SkeinWire

/// The position of a request in a trace (W3C Trace Context, level 1).
public struct TraceContext: Sendable, Hashable {
    /// The trace ID, 32 hexadecimal digits.
    public let traceID: String
    /// The span ID, 16 hexadecimal digits.
    public let spanID: String
    /// Whether the trace is recorded.
    public let isSampled: Bool
    /// Vendor data (`tracestate`).
    public let state: String?

    /// The context of the request that the current task handles.
    @TaskLocal public static var current: TraceContext?

    /// A new trace.
    public init(isSampled: Bool = true) {
        self.init(traceID: Self.random(16), spanID: Self.random(8), isSampled: isSampled, state: nil)
    }

    private init(traceID: String, spanID: String, isSampled: Bool, state: String?) {
        self.traceID = traceID
        self.spanID = spanID
        self.isSampled = isSampled
        self.state = state
    }

    /// Parses a request's `traceparent`; nil when it is malformed or all zeros (section 3.2.2).
    public init?(traceparent: String, state: String? = nil) {
        let parts = traceparent.splitBytes(separator: "-", omittingEmptySubsequences: false)
        func isHex(_ text: Substring, _ count: Int) -> Bool {
            text.utf8.count == count && text.utf8.allSatisfy { Bytes.hexValue($0) != nil && !($0 &- 0x41 < 6) }
        }
        guard parts.count >= 4, isHex(parts[0], 2), parts[0] != "ff", parts[0] != "00" || parts.count == 4,
            isHex(parts[1], 32), isHex(parts[2], 16), isHex(parts[3], 2), parts[1].contains(where: { $0 != "0" }),
            parts[2].contains(where: { $0 != "0" })
        else { return nil }
        self.init(
            traceID: String(parts[1]), spanID: String(parts[2]),
            isSampled: (UInt8(parts[3], radix: 16) ?? 0) & 1 == 1, state: state)
    }

    /// Another span of the trace.
    public var child: TraceContext {
        TraceContext(traceID: traceID, spanID: Self.random(8), isSampled: isSampled, state: state)
    }

    /// The value of the field `traceparent`.
    public var traceparent: String { "00-\(traceID)-\(spanID)-\(isSampled ? "01" : "00")" }

    private static func random(_ count: Int) -> String {
        Hex.random(count)
    }
}
