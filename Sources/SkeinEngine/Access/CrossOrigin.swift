// What pages of other sites may do with a user's browser: nothing, or what is said here.

import SkeinCore
import SkeinHTTP

/// Refuses requests that change something and that a page of another site made the user's browser send (CSRF).
///
/// Browsers say where a request comes from (`Sec-Fetch-Site`, `Origin`); a program says neither, has no user's cookies, and may. For
/// browsers older than 2020 forms can carry ``ServerRequest/formToken(_:)`` besides.
public struct SameSiteOnly: Middleware {
    private let origins: [String]

    /// - Parameter origins: whose pages may all the same, such as `https://admin.example.org`. Default: none.
    public init(allowing origins: [String] = []) { self.origins = origins }

    /// Lets through what reads, and what comes from the same origin.
    public func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse {
        guard !request.method.isSafe else { return try await next.respond(to: request) }
        if let origin = request.origin, origins.contains(origin.lowercased()) {
            return try await next.respond(to: request)
        }
        switch request.headers["Sec-Fetch-Site"] {
        case "same-origin", "none": return try await next.respond(to: request)
        case nil:
            guard request.isSameOrigin else { break }
            return try await next.respond(to: request)
        default: break
        }
        throw ServerError(.forbidden, "the request came from a page of another site")
    }
}

extension ServerRequest {
    /// A token for a form, which only a page of this session can know; it begins the session's own secret.
    /// - Returns: nil where there are no ``Sessions``.
    public func formToken(_ key: SigningKey) -> String? {
        guard let session else { return nil }
        let secret = session["_form"] ?? Base64URL.encode(RandomBytes.make(18))
        session["_form"] = secret
        return key.sign(secret, for: "form")
    }

    /// Checks a form's token.
    /// - Throws: ``ServerError`` 403 when it is not of this session.
    public func requireFormToken(_ token: String?, _ key: SigningKey) throws(ServerError) {
        guard let secret = session?["_form"], let token, key.open(token, for: "form") == secret else {
            throw ServerError(.forbidden, "the form has expired or came from another site; reload its page")
        }
    }
}

/// Lets pages of other sites read answers (CORS; Fetch standard, section 3.2).
public struct CORS: Middleware {
    /// Whose pages may, such as `https://example.org`; `*` is any.
    public var origins: [String]
    /// The methods they may use. Default: GET, HEAD, POST, PUT, PATCH, DELETE.
    public var methods: [HTTPMethod] = [.get, .head, .post, .put, .patch, .delete]
    /// The fields they may send. Default: Content-Type and Authorization.
    public var headers = ["Content-Type", "Authorization"]
    /// The fields they may read beside the simple ones. Default: none.
    public var exposed: [String] = []
    /// Whether they may send cookies; not for `*`. Default: false.
    public var allowsCredentials = false
    /// How long browsers may remember all that. Default: 10 min.
    public var maximumAge: Duration = .seconds(600)

    /// Rules for some origins.
    public init(_ origins: String...) { self.origins = origins.map { $0.lowercased() } }

    /// Answers what browsers ask beforehand, and marks the answers to the rest.
    public func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse {
        guard let origin = request.origin else {
            var response = try await next.respond(to: request)
            if !isOpen { response.headers.add("Vary", "Origin") }
            return response
        }
        guard isOpen || origins.contains(origin.lowercased()) else {
            var response = try await next.respond(to: request)
            response.headers.add("Vary", "Origin")
            return response
        }
        if request.method == .options, request.headers.contains("Access-Control-Request-Method") {
            var response = ServerResponse(.noContent, headers: marks(for: origin))
            response.headers["Access-Control-Allow-Methods"] = methods.map(\.rawValue).joined(separator: ", ")
            response.headers["Access-Control-Allow-Headers"] = headers.joined(separator: ", ")
            response.headers["Access-Control-Max-Age"] = String(maximumAge.components.seconds)
            return response
        }
        do {
            var response = try await next.respond(to: request)
            for mark in marks(for: origin) { response.headers.add(mark.name, mark.value) }
            return response
        } catch let error as ServerError {
            // A page may read errors, too.
            var headers = error.headers
            for mark in marks(for: origin) { headers.add(mark.name, mark.value) }
            throw ServerError(error.status, error.message, headers: headers)
        }
    }

    private var isOpen: Bool { origins.contains("*") && !allowsCredentials }

    private func marks(for origin: String) -> Headers {
        var marks: Headers = ["Access-Control-Allow-Origin": isOpen ? "*" : origin]
        if !isOpen { marks.add("Vary", "Origin") }
        if allowsCredentials { marks.add("Access-Control-Allow-Credentials", "true") }
        if !exposed.isEmpty { marks.add("Access-Control-Expose-Headers", exposed.joined(separator: ", ")) }
        return marks
    }
}
