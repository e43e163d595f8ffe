// The response to an HTTP request.

import Logging
import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The response to an HTTP request, or a failure with a code from 700.
public struct HTTPResponse: Response {
    private let answer: HTTPAnswer

    init(_ answer: HTTPAnswer) { self.answer = answer }

    /// The bytes of the content, and 1 KiB for the head.
    public var contentSize: Int { answer.body.readableBytes + 1024 }

    /// Redirects are no success: 300 and above throws.
    public static var highestSuccess: Int { 299 }

    /// The request's metadata, with `req_id`, `req_method` and `req_callback`.
    public var meta: RequestMetadata { answer.request.meta }
    /// The status code; 700 to 722 when the exchange failed.
    public var statusCode: Int { failure?.code.rawValue ?? answer.head?.status.code ?? 0 }
    /// The reason phrase; the name of the code when the exchange failed.
    public var reason: String { failure?.code.name ?? answer.head?.reason ?? "" }
    /// The request's method.
    public var method: String { answer.request.method.rawValue }
    /// The failure below HTTP, if there was one.
    public var failure: SkeinError? { answer.failure }
    /// The session's logger.
    public var logger: Logger { answer.context.session.logger }
    /// The origin of the request.
    public var peer: String { answer.request.url.origin.description }

    /// The requested URL; after redirects, the last one.
    public var url: HTTPURL { answer.request.url }
    /// The responses that redirected here, oldest first; empty without redirects.
    public var history: [HTTPHop] { answer.history }
    /// When the request left the client's queue.
    package var began: NIODeadline { answer.began }
    /// The version that carried the answer; HTTP/1.1 when there was none.
    public var version: HTTPVersion { answer.head?.version ?? .http1_1 }
    /// The header section of the response.
    public var headers: Headers { answer.head?.headers ?? Headers() }
    /// The framing of the content, by its head.
    package var bodyLength: BodyLength { answer.head?.bodyLength ?? .none }
    /// The trailer section, if the response has one; for a streamed response, use the stream's `ending`.
    public var trailers: Headers? { answer.trailers }
    /// The TLS parameters of the connection: its version, and the server's certificate; nil for a response in clear
    /// text.
    public var tls: TLSInfo? { answer.tls }
    /// Its timings, when the session records them.
    public var timings: HTTPTimings? { answer.timings }
    /// The source by a cache; nil without a cache.
    public var cacheUse: CacheUse? { answer.cacheUse }
    /// Sets the source, before the response is delivered.
    func note(_ use: CacheUse) { answer.cacheUse = use }

    /// The request as it was sent, with its headers and content.
    public var request: HTTPRequest { answer.request }
    /// The body; empty for a streamed response.
    public var content: ByteBuffer { answer.body }
    /// The body as it arrives, when the request is streamed. It can be consumed once.
    public var stream: BodyStream? { answer.stream }

    /// The body as a reader: a number of bytes, a line, the rest. A streamed body can be read once.
    public var raw: BodyReader { BodyReader(stream, content) }

    /// The first value of a header field, or a default.
    public func header(_ name: String, default: String? = nil) -> String? { headers[name] ?? `default` }

    /// A header field's value and its attributes: `text/html; charset=utf-8` gives `text/html` and `["charset": "utf-8"]`.
    public func headerWithAttributes(_ name: String) -> (value: String, attributes: [String: String])? {
        headers[name].map(MediaType.split)
    }

    /// The cookies that the response sets and that its origin may set, in order, with or without a jar.
    public var cookies: [Cookie] {
        CookieJar.fields(headers).compactMap { CookieJar.anybodys.accept($0, from: url, .now) }
    }

    /// The value of a cookie that the response sets, else of one in the session's jar for its URL.
    public func cookie(_ name: String) -> String? {
        (cookies.last { $0.name.equalsBytes(name) } ?? jar?.cookies(for: url).first { $0.name.equalsBytes(name) })?
            .value
    }

    /// Puts a cookie for the response's host into the session's jar, if it has one.
    /// - Parameters:
    ///   - domain: for a domain and all hosts below it, instead of the host.
    ///   - path: the path it is for.
    public func setCookie(_ name: String, _ value: String, domain: String? = nil, path: String = "/") {
        jar?.set(
            Cookie(
                name, value, domain: domain ?? url.origin.endpoint.host, isHostOnly: domain == nil, path: path))
    }

    private var jar: CookieJar? { answer.context.configuration.cookies }

    /// The charset that the content type names, in lower case.
    public var encoding: String? { headerWithAttributes("Content-Type")?.attributes["charset"]?.lowercased() }

    /// The body as text.
    ///
    /// It is decoded by the charset of the content type; without one, as UTF-8 if it is valid UTF-8, and else as
    /// ISO-8859-1 for `text/*`.
    /// - Throws: the failure of the request; code 709 when the content is binary, the charset is unknown, or the bytes
    ///   are invalid in it.
    public func text() throws(SkeinError) -> String {
        if let failure { throw failure }
        return try MediaType.text(content, contentType: headers["Content-Type"], peer: peer)
    }

    /// The body as a JSON tree.
    /// - Throws: code 709 when it is not JSON.
    public func json() throws -> JSONValue { try decode(JSONValue.self) }

    /// The body as an XML tree, by the charset of its byte order mark, of the content type, or of its own declaration.
    /// - Throws: code 709 when it is not well-formed, or declares a document type.
    public func xml() throws(SkeinError) -> XMLValue {
        if let failure { throw failure }
        return try XMLValue(content, contentType: headers["Content-Type"])
    }

    /// The body as a JSON tree if the content type is JSON, else nil.
    public var data: JSONValue? {
        guard let type = headerWithAttributes("Content-Type")?.value, MediaType.isJSON(type) else { return nil }
        return try? json()
    }

    /// The body decoded from JSON.
    /// - Throws: code 709 when it does not decode.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T {
        if let failure { throw failure }
        do {
            return try JSON.decode(type, from: content.readableBytesView)
        } catch {
            throw SkeinError(
                .invalidContent, peer: peer, because: "the body is not the JSON of \(type): \(error)", cause: error)
        }
    }

    /// The body decoded from a JSON array; a single object counts as an array of one.
    public func decodeRecords<T: Decodable>(_ type: T.Type) throws -> [T] {
        let first = content.readableBytesView.first { $0 > 0x20 }
        return first == UInt8(ascii: "[") ? try decode([T].self) : [try decode(type)]
    }

    /// A changed copy, for a layer between the server and the caller.
    func with(_ change: (HTTPAnswer) -> Void) -> HTTPResponse {
        let copy = answer.snapshot
        copy.stream = answer.stream
        copy.failure = answer.failure
        change(copy)
        return HTTPResponse(copy)
    }

    /// For a streamed request: the content in memory as a stream.
    var streamedIfAsked: HTTPResponse {
        guard request.isStreamed, stream == nil, failure == nil else { return self }
        let copy = answer.snapshot
        let stream = BodyStream(source: nil)
        if content.readableBytes > 0 { stream.push(content) }
        stream.finish(trailers)
        copy.body = ByteBuffer()
        copy.stream = stream
        return HTTPResponse(copy)
    }

    /// The line for reports: `REQID 3635. HTTP/1.1 200 OK 4210 bytes received`, or the failure in one sentence.
    public var reportLine: String {
        if let failure { return "REQID \(meta.requestID). \(failure)" }
        return "REQID \(meta.requestID). \(version) \(statusCode) \(reason) \(content.readableBytes) bytes received"
    }
}
