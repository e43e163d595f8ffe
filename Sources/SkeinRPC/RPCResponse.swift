// The response to a remote call, for all protocols.

import Logging
import NIOCore
import SkeinCore
import SkeinHTTP
import Synchronization

/// A server's error for a call.
public struct RPCFault: Error, Sendable, Equatable, CustomStringConvertible {
    /// The error code.
    public let code: Int
    /// The error message.
    public let message: String

    /// A fault, to be thrown by a function of a service.
    public init(_ code: Int, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The code and the message.
    public var description: String { "fault \(code): \(message)" }
}

/// A value of an RPC protocol.
public protocol RPCValue: Sendable {
    /// The empty value.
    static var none: Self { get }
    /// The value, decoded as a type.
    func decoded<T: Decodable>(as type: T.Type) throws -> T
    /// The elements, if it is a list.
    var elements: [Self]? { get }
}

/// The response to a remote call, or a failure. A fault has the status 500.
public struct RPCResponse<Value: RPCValue>: Response {
    /// The HTTP response.
    public let http: HTTPResponse
    /// The result; the empty value if there is none.
    public let content: Value
    /// The server's error.
    public let fault: RPCFault?
    /// The name of the function.
    public let method: String
    /// The failure, if any.
    public let failure: SkeinError?

    init(_ http: HTTPResponse, method: String, decode: (HTTPResponse) throws -> Result<Value, RPCFault>) {
        self.http = http
        self.method = method
        var content = Value.none
        var fault: RPCFault?
        var failure = http.failure
        if failure == nil, http.statusCode < 300 || http.content.readableBytes > 0 {
            do {
                switch try decode(http) {
                case .success(let value): content = value
                case .failure(let said): fault = said
                }
            } catch {
                // An error page is not a response to the call; its status is more useful than its content.
                if http.statusCode < 300 { failure = Self.malformed(error, http) }
            }
        }
        self.content = content
        self.fault = fault
        self.failure = failure
    }

    private static func malformed(_ error: any Error, _ http: HTTPResponse) -> SkeinError {
        let why = (error as? SkeinError)?.message ?? "\(error)"
        return SkeinError(.invalidContent, peer: http.peer, because: why, cause: error)
    }

    /// The caller's metadata.
    public var meta: RequestMetadata { http.meta }
    /// The status of the HTTP response; 500 for a fault, 700 to 722 for a failure.
    public var statusCode: Int { failure?.code.rawValue ?? (fault == nil ? http.statusCode : 500) }
    /// The message of the fault, or the reason phrase.
    public var reason: String { failure?.code.name ?? fault?.description ?? http.reason }
    /// The session's logger.
    public var logger: Logger { http.logger }
    /// The origin of the server.
    public var peer: String { http.peer }
    /// 300 and above throws.
    public static var highestSuccess: Int { 299 }

    /// The result, decoded as a type.
    /// - Throws: code 709 when it cannot be decoded.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T {
        do {
            return try content.decoded(as: type)
        } catch {
            throw SkeinError(
                .invalidContent, peer: peer, because: "the result of \(method) is not a \(type): \(error)", cause: error
            )
        }
    }

    /// The result as a list; a single value is a list of one.
    public func decodeRecords<T: Decodable>(_ type: T.Type) throws -> [T] {
        content.elements == nil ? [try decode(type)] : try decode([T].self)
    }
}

extension Corequest {
    /// A corequest that converts an HTTP response.
    static func relay(
        _ request: HTTPRequest, over send: RPCSender, _ read: @escaping @Sendable (HTTPResponse) -> Result
    )
        -> Corequest<Result>
    {
        let box = CorequestBox<Result>()
        let inner = send(request) { response in box.finish(read(response)) }
        return box.open(on: inner)
    }
}

/// Holds the outer corequest, which is created after the inner one.
private final class CorequestBox<Outcome: Response>: CorequestDriver {
    private enum State {
        case unopened
        case finished(Outcome)
        case open(Corequest<Outcome>)
    }

    private let state = Mutex(State.unopened)
    private let inner = Mutex<Corequest<HTTPResponse>?>(nil)

    func open(on inner: Corequest<HTTPResponse>) -> Corequest<Outcome> {
        self.inner.withLock { $0 = inner }
        let outer = Corequest<Outcome>(shard: inner.shard)
        outer.setDriver(self)
        let finished: Outcome? = state.withLock { state in
            if case .finished(let outcome) = state { return outcome }
            state = .open(outer)
            return nil
        }
        if let finished { outer.finish(finished) }
        return outer
    }

    func finish(_ outcome: Outcome) {
        let outer: Corequest<Outcome>? = state.withLock { state in
            if case .open(let outer) = state { return outer }
            state = .finished(outcome)
            return nil
        }
        outer?.finish(outcome)
        inner.withLock { $0 = nil }
    }

    func cancel(_ error: SkeinError) { inner.withLock { $0 }?.cancel() }
    func tighten(_ deadline: Deadline) { inner.withLock { $0 }?.tighten(deadline) }
}
