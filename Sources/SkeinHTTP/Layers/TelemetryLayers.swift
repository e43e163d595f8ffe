// Layers for deadlines, logs, metrics and traces.

import Instrumentation
import Logging
import Metrics
import SkeinCore
import SkeinWire
import Tracing

/// Sends the remaining time until the caller's deadline, so that the server can stop work that is too late.
public struct DeadlineLayer: HTTPLayer {
    private let field: String

    /// - Parameter field: the field, whose value is milliseconds. There is no standard; agree on it with the server.
    public init(field: String = "X-Request-Timeout-Ms") { self.field = field }

    /// Adds the field, when there is a deadline: the task's (`withDeadline`) or the request's timeout.
    public func send(_ request: HTTPRequest, next: HTTPService) async -> HTTPResponse {
        let left = [Deadline.current?.remaining, request.timeout].compactMap(\.self).min()
        guard let left else { return await next.send(request) }
        var request = request
        request.headers[field] = String(max(0, Int(left / .milliseconds(1))))
        return await next.send(request)
    }
}

/// A line in the log for each request, with secrets left out.
public struct LoggingLayer: HTTPLayer {
    private static let secrets: Set<String> = [
        "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-amz-security-token",
    ]

    private let logger: Logger
    private let level: Logger.Level

    /// A log.
    /// - Parameters:
    ///   - logger: where lines go.
    ///   - level: the level of the lines; at trace, header sections are logged. Default: info.
    public init(_ logger: Logger, level: Logger.Level = .info) {
        self.logger = logger
        self.level = level
    }

    /// Sends the request and logs its result.
    public func send(_ request: HTTPRequest, next: HTTPService) async -> HTTPResponse {
        let start = ContinuousClock.now
        let response = await next.send(request)
        let time = ContinuousClock.now - start
        var metadata: Logger.Metadata = [
            "method": "\(request.method.rawValue)", "url": "\(Self.withoutSecrets(request.url))",
            "status": "\(response.statusCode)", "milliseconds": "\(Int(time / .milliseconds(1)))",
        ]
        if logger.logLevel <= .trace {
            metadata["request"] = .dictionary(Self.fields(response.request.headers))
            metadata["response"] = .dictionary(Self.fields(response.headers))
        }
        logger.log(level: level, "\(response.failure?.description ?? response.reason)", metadata: metadata)
        return response
    }

    /// A URL without the query, which may hold passwords and tokens.
    private static func withoutSecrets(_ url: HTTPURL) -> String {
        url.target.containsBytes("?") ? "\(url.origin)\(url.target.prefix(before: "?"))?…" : "\(url)"
    }

    private static func fields(_ headers: Headers) -> Logger.Metadata {
        Dictionary(
            headers.map { ($0.name, secrets.contains($0.name.lowercased()) ? "…" : .string($0.value)) },
            uniquingKeysWith: { "\($0), \($1)" })
    }
}

/// Durations and counts, named by OpenTelemetry's conventions for HTTP clients, for the backend of swift-metrics.
public struct MetricsLayer: HTTPLayer {
    private let factory: any MetricsFactory

    /// Metrics.
    /// - Parameter factory: makes the metrics. Default: the factory that swift-metrics was set up with.
    public init(_ factory: any MetricsFactory = MetricsSystem.factory) { self.factory = factory }

    /// Sends the request and records `http.client.request.duration`, with method, server and status.
    public func send(_ request: HTTPRequest, next: HTTPService) async -> HTTPResponse {
        let start = ContinuousClock.now
        let response = await next.send(request)
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        let dimensions = [
            ("http.request.method", request.method.rawValue), ("server.address", request.url.origin.authority),
            ("http.response.status_code", String(response.statusCode)),
        ]
        Metrics.Timer(label: "http.client.request.duration", dimensions: dimensions, factory: factory)
            .recordNanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
        return response
    }
}

/// A span for each request, and the trace context for the next hop (W3C Trace Context).
///
/// The span goes to the tracer of swift-distributed-tracing, which also writes the field. Without a tracer the field is
/// written nevertheless, so that the next hops belong to one trace.
public struct TracingLayer: HTTPLayer {
    /// Tracing.
    public init() {}

    /// Sends the request in a span of its own.
    public func send(_ request: HTTPRequest, next: HTTPService) async -> HTTPResponse {
        await withSpan(request.method.rawValue, ofKind: .client) { span in
            var request = request
            span.attributes["http.request.method"] = request.method.rawValue
            span.attributes["server.address"] = request.url.origin.authority
            InstrumentationSystem.instrument.inject(span.context, into: &request.headers, using: HeaderInjector())
            if !request.headers.contains("traceparent") {
                let context = TraceContext.current.map(\.child) ?? TraceContext()
                request.headers["traceparent"] = context.traceparent
                if let state = context.state { request.headers["tracestate"] = state }
            }
            let response = await next.send(request)
            span.attributes["http.response.status_code"] = response.statusCode
            if response.failure != nil || response.statusCode >= 400 { span.setStatus(SpanStatus(code: .error)) }
            return response
        }
    }

    private struct HeaderInjector: Injector {
        func inject(_ value: String, forKey key: String, into headers: inout Headers) { headers[key] = value }
    }
}
