// Protection against requests from pages of other sites, and exceptions from it.

import SkeinCore
import SkeinHTTP

/// Refuses unsafe requests that a page of another site made the user's browser send (CSRF).
///
/// Browsers state the origin of a request (`Sec-Fetch-Site`, `Origin`); other programs send neither, have no cookies of
/// the user, and are allowed. For browsers older than 2020, forms can also carry ``ServerRequest/formToken(_:)``.
public struct SameSiteOnly: Middleware {
    private let origins: [String]

    /// - Parameter origins: origins that are allowed nevertheless, such as `https://admin.example.org`. Default: none.
    public init(allowing origins: [String] = []) { self.origins = origins }

    /// Forwards safe requests and those from the same origin.
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
    /// A token for a form, which only a page of this session can know; it creates the secret of the session.
    /// - Returns: nil without ``Sessions``.
    public func formToken(_ key: SigningKey) -> String? {
        guard let session else { return nil }
        let secret = session["_form"] ?? Base64URL.encode(RandomBytes.make(18))
        session["_form"] = secret
        return key.sign(secret, for: "form")
    }

    /// Checks a form's token.
    /// - Throws: ``ServerError`` 403 when it does not belong to this session.
    public func requireFormToken(_ token: String?, _ key: SigningKey) throws(ServerError) {
        guard let secret = session?["_form"], let token, key.open(token, for: "form") == secret else {
            throw ServerError(.forbidden, "the form has expired or came from another site; reload its page")
        }
    }
}

/// Allows pages of other sites to read responses (CORS; Fetch standard, section 3.2).
public struct CORS: Middleware {
    /// The allowed origins, such as `https://example.org`; `*` for any.
    public var origins: [String]
    /// The allowed methods. Default: GET, HEAD, POST, PUT, PATCH, DELETE.
    public var methods: [HTTPMethod] = [.get, .head, .post, .put, .patch, .delete]
    /// The allowed request fields. Default: Content-Type and Authorization.
    public var headers = ["Content-Type", "Authorization"]
    /// The readable response fields beside the simple ones. Default: none.
    public var exposed: [String] = []
    /// Whether requests may carry cookies; not for `*`. Default: false.
    public var allowsCredentials = false
    /// How long browsers may cache a preflight response. Default: 10 min.
    public var maximumAge: Duration = .seconds(600)

    /// Rules for the given origins.
    public init(_ origins: String...) { self.origins = origins.map { $0.lowercased() } }

    /// Answers preflight requests, and adds fields to the other responses.
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
            // Pages may read errors, too.
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
