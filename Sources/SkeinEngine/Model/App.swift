// The interface of all request handlers.

import SkeinCore
import SkeinHTTP

/// Handles requests. Its method runs as a task on the loop of the request's connection: calls to back ends on that loop
/// do not leave the thread; work that blocks or computes for long must run elsewhere.
public protocol App: Sendable {
    /// Handles one request.
    /// - Throws: any error; the client gets the status of a ``ServerError``, else 500, and the error is logged.
    ///   ``NotServed`` passes the request on to the next app at the same path.
    func respond(to request: ServerRequest) async throws -> ServerResponse

    /// Prepares the app, once, before the first request: it reads, checks and opens its resources here.
    /// - Parameter mount: its mount point.
    /// - Returns: the app that handles the requests. Default: the app itself.
    /// - Throws: an error that prevents the start of the server.
    func bootstrap(at mount: MountPoint) async throws -> any App
}

extension App {
    /// The app itself.
    public func bootstrap(at mount: MountPoint) async throws -> any App { self }
}

/// An app from a closure.
public struct ClosureApp: App {
    private let closure: @Sendable (ServerRequest) async throws -> ServerResponse

    /// Wraps a closure.
    public init(_ closure: @escaping @Sendable (ServerRequest) async throws -> ServerResponse) {
        self.closure = closure
    }

    /// Calls the closure.
    public func respond(to request: ServerRequest) async throws -> ServerResponse { try await closure(request) }
}

/// The way in which a server calls its handler.
package enum Handling: Sendable {
    /// A task for each request, on the connection's loop.
    case task(any App)
    /// A function call in the tick in which the request arrived.
    case immediate(@Sendable (ServerRequest) throws -> ServerResponse)
}

/// Thrown by an app that has no resource at a request's path: the next app mounted there is tried, and after the last
/// one the client gets 404.
public struct NotServed: Error, Sendable {
    /// The request is passed on.
    public init() {}
}

/// An error with a status for the client.
public struct ServerError: Error, Sendable, CustomStringConvertible {
    /// The status of the response.
    public let status: HTTPStatus
    /// The text of the response.
    public let message: String
    /// Fields of the response, such as `Allow` or `Retry-After`.
    public let headers: Headers

    /// An error with status, text and fields. Default of the text: the status's own phrase.
    public init(_ status: HTTPStatus, _ message: String? = nil, headers: Headers = Headers()) {
        self.status = status
        self.message = message ?? status.description
        self.headers = headers
    }

    /// The status for an error of the client that a handler has used; nil for a fault of the program.
    ///
    /// `one()` without exactly one record is 410, and a duplicate record 409; a failed back end is 502, a slow one 504,
    /// and an open circuit or a full queue 503. The details are only logged.
    init?(_ error: SkeinError) {
        let retry: Headers = ["Retry-After": "1"]
        // An HTTP back end uses 404 and 409 for its own resources.
        let isOfDatabase = error.peer?.hasBytePrefix("http") != true
        switch error.code {
        case SkeinError.Code(rawValue: 409) where isOfDatabase: self.init(409, "it exists already")
        case SkeinError.Code(rawValue: 410) where isOfDatabase: self.init(410, "there is not exactly one match")
        case .exception, .cancelled: return nil
        case .timeout, .objectTimeout: self.init(504, "a back end did not answer in time")
        case _ where error.cause is CircuitOpen, .overloaded, .shuttingDown:
            self.init(.serviceUnavailable, "a back end is not available right now", headers: retry)
        default:
            // A request refused by a back end is a fault of the program; an error without a peer is not from a back
            // end.
            guard error.peer != nil, !(error.cause is any RefusedRequest) else { return nil }
            self.init(502, "a back end has failed")
        }
    }

    /// The status and the text.
    public var description: String { "\(status.code): \(message)" }
}
