// What a server serves: one method from a request to a response.

import SkeinCore
import SkeinHTTP

/// Answers requests. Its method runs as a task on the loop of the connection that brought the request: calls to back ends
/// on that loop do not leave the thread, and work that blocks or computes for long has to go elsewhere.
public protocol App: Sendable {
    /// Answers one request.
    /// - Throws: any error; the client gets the status of a ``ServerError``, else 500, and the log gets the reason.
    ///   ``NotServed`` passes the request on to the next app at the same path.
    func respond(to request: ServerRequest) async throws -> ServerResponse

    /// Makes the app ready, once, before the first request: what it needs is read, checked and opened here.
    /// - Parameter mount: where it is mounted.
    /// - Returns: what answers from now on. Default: the app itself.
    /// - Throws: what keeps the server from starting.
    func bootstrap(at mount: MountPoint) async throws -> any App
}

extension App {
    /// The app itself.
    public func bootstrap(at mount: MountPoint) async throws -> any App { self }
}

/// An app made of a closure.
public struct ClosureApp: App {
    private let closure: @Sendable (ServerRequest) async throws -> ServerResponse

    /// Wraps a closure.
    public init(_ closure: @escaping @Sendable (ServerRequest) async throws -> ServerResponse) {
        self.closure = closure
    }

    /// Calls the closure.
    public func respond(to request: ServerRequest) async throws -> ServerResponse { try await closure(request) }
}

/// How a server calls what answers.
package enum Handling: Sendable {
    /// A task for each request, on the connection's loop.
    case task(any App)
    /// A plain call in the tick in which the request arrived.
    case immediate(@Sendable (ServerRequest) throws -> ServerResponse)
}

/// Thrown by an app that has nothing at a request's path: the next app that is mounted there is asked, and after the last one
/// the client gets 404.
public struct NotServed: Error, Sendable {
    /// The request is passed on.
    public init() {}
}

/// A failure that a handler wants the client to see as a status.
public struct ServerError: Error, Sendable, CustomStringConvertible {
    /// The status to answer with.
    public let status: HTTPStatus
    /// The text of the answer.
    public let message: String
    /// Fields of the answer, such as `Allow` or `Retry-After`.
    public let headers: Headers

    /// A failure with its status, text and fields. Default of the text: the status's own phrase.
    public init(_ status: HTTPStatus, _ message: String? = nil, headers: Headers = Headers()) {
        self.status = status
        self.message = message ?? status.description
        self.headers = headers
    }

    /// What a client gets to know of a failure of the client that a handler has used; nil for what is the program's own fault.
    ///
    /// `one()` without exactly one record is 410 and a record that exists already 409; a back end that fails is 502, one that is too
    /// slow 504, and one that is not asked since its circuit is open or its queue is full 503. What it said is for the log.
    init?(_ error: SkeinError) {
        let retry: Headers = ["Retry-After": "1"]
        // A server of HTTP says what is there and what is not of its own things.
        let isOfDatabase = error.peer?.hasBytePrefix("http") != true
        switch error.code {
        case SkeinError.Code(rawValue: 409) where isOfDatabase: self.init(409, "it exists already")
        case SkeinError.Code(rawValue: 410) where isOfDatabase: self.init(410, "there is not exactly one match")
        case .exception, .cancelled: return nil
        case .timeout, .objectTimeout: self.init(504, "a back end did not answer in time")
        case _ where error.cause is CircuitOpen, .overloaded, .shuttingDown:
            self.init(.serviceUnavailable, "a back end is not available right now", headers: retry)
        default:
            // What a back end refuses is a mistake of the program; what has no peer is no back end.
            guard error.peer != nil, !(error.cause is any RefusedRequest) else { return nil }
            self.init(502, "a back end has failed")
        }
    }

    /// The status and the text.
    public var description: String { "\(status.code): \(message)" }
}
