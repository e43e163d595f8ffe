// Tokens by OAuth 2.0 (RFC 6749): fetched when the first request needs one, stored until they expire, renewed once for
// all waiting requests.

import NIOCore
import SkeinCore
import SkeinWire
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A token with its attributes.
public struct OAuth2Token: Sendable, Codable, Equatable {
    /// The token sent with requests.
    public var accessToken: String
    /// The token that fetches a new access token, if the server issues one.
    public var refreshToken: String?
    /// The expiry date, if there is one.
    public var expires: Date?
    /// The scope, if the server states it.
    public var scope: String?

    /// A token, for example one stored by an earlier run.
    public init(accessToken: String, refreshToken: String? = nil, expires: Date? = nil, scope: String? = nil) {
        self.accessToken = accessToken
        self.refreshToken = refreshToken
        self.expires = expires
        self.scope = scope
    }
}

/// The data that a user needs to authorize a device (RFC 8628, section 3.2).
public struct OAuth2DeviceCode: Sendable {
    /// The code that the user types in.
    public let userCode: String
    /// The page that the user visits.
    public let verificationURL: String
    /// The same with the code in it, if the server provides one.
    public let completeURL: String?
    /// The lifetime of the code.
    public let lifetime: Duration
}

/// A client of an authorization server. Share one value among the requests of a service: they share its token.
public final class OAuth2: HTTPAuthenticator {
    /// The grant that a token is requested with.
    public enum Grant: Sendable {
        /// The client's own name and secret (RFC 6749, section 4.4).
        case clientCredentials
        /// A user's name and password (RFC 6749, section 4.3).
        case password(user: String, password: String)
        /// A stored refresh token (RFC 6749, section 6).
        case refreshToken(String)
        /// The code from the server's redirect (RFC 6749, section 4.1.3; the verifier by RFC 7636).
        case authorizationCode(String, redirectURL: String, codeVerifier: String?)
        /// A user authorizes the device on another device (RFC 8628). The closure shows the user the code and the page.
        case deviceCode(endpoint: String, show: @Sendable (OAuth2DeviceCode) async -> Void)
    }

    /// The authentication of the client.
    public enum ClientAuthentication: Sendable {
        /// By basic authentication, which every server supports (RFC 6749, section 2.3.1).
        case basic
        /// In the request body.
        case form
    }

    private enum State {
        case token(OAuth2Token)
        case fetching(Task<OAuth2Token, any Error>)
    }

    private let endpoint: String
    private let clientID: String
    private let clientSecret: String?
    private let grant: Grant
    private let scope: String?
    private let authentication: ClientAuthentication
    private let onToken: (@Sendable (OAuth2Token) -> Void)?
    private let state: Mutex<State?>

    /// A client.
    /// - Parameters:
    ///   - endpoint: the URL of the token endpoint.
    ///   - clientID: the client's name.
    ///   - clientSecret: the client's secret; nil for a public client.
    ///   - grant: the grant that a token is requested with.
    ///   - scope: the requested scope. Default: the server decides.
    ///   - authentication: the authentication of the client. Default: basic.
    ///   - token: one stored by an earlier run.
    ///   - onToken: called with each new token, to store it.
    public init(
        endpoint: String, clientID: String, clientSecret: String? = nil, grant: Grant = .clientCredentials,
        scope: String? = nil, authentication: ClientAuthentication = .basic, token: OAuth2Token? = nil,
        onToken: (@Sendable (OAuth2Token) -> Void)? = nil
    ) {
        self.endpoint = endpoint
        self.clientID = clientID
        self.clientSecret = clientSecret
        self.grant = grant
        self.scope = scope
        self.authentication = authentication
        self.onToken = onToken
        state = Mutex(token.map(State.token))
    }

    /// Adds the token, fetched or renewed first if needed. After a 401, one new token is tried.
    public func authorize(
        _ request: HTTPRequest, after answer: HTTPResponse?, using service: HTTPService
    ) async throws -> HTTPRequest? {
        let refused = answer == nil ? nil : request.headers["Authorization"].map { String($0.dropFirst(7)) }
        let token = try await token(other: refused, using: service)
        guard token.accessToken != refused else { return nil }
        var request = request
        request.headers["Authorization"] = "Bearer \(token.accessToken)"
        return request
    }

    /// A valid token other than the refused one.
    private func token(other refused: String?, using service: HTTPService) async throws -> OAuth2Token {
        let now = state.withLock { state -> State in
            let old: OAuth2Token?
            switch state {
            case .token(let token)? where token.accessToken != refused && !Self.isOver(token): return .token(token)
            case .fetching(let task)?: return .fetching(task)
            case .token(let token)?: old = token
            case nil: old = nil
            }
            let fetching = State.fetching(Task { try await self.fetch(replacing: old, using: service) })
            state = fetching
            return fetching
        }
        switch now {
        case .token(let token): return token
        case .fetching(let task): return try await task.value
        }
    }

    private static func isOver(_ token: OAuth2Token) -> Bool {
        // Renewed shortly before it expires, so that it is still valid when it arrives.
        token.expires.map { $0.timeIntervalSinceNow < 10 } ?? false
    }

    private func fetch(replacing old: OAuth2Token?, using service: HTTPService) async throws -> OAuth2Token {
        do {
            let token = try await renew(old, using: service)
            state.withLock { $0 = .token(token) }
            onToken?(token)
            return token
        } catch {
            state.withLock { $0 = old.map(State.token) }
            throw error
        }
    }

    private func renew(_ old: OAuth2Token?, using service: HTTPService) async throws -> OAuth2Token {
        if let refresh = old?.refreshToken {
            let form: Parameters = ["grant_type": "refresh_token", "refresh_token": refresh]
            if case .granted(let token) = try await ask(form, refresh: refresh, using: service) { return token }
        }
        switch grant {
        case .clientCredentials: return try await granted(["grant_type": "client_credentials"], using: service)
        case .password(let user, let password):
            return try await granted(
                ["grant_type": "password", "username": user, "password": password], using: service)
        case .refreshToken(let refresh):
            return try await granted(
                ["grant_type": "refresh_token", "refresh_token": refresh], refresh: refresh, using: service)
        case .authorizationCode(let code, let redirectURL, let verifier):
            var form: Parameters = ["grant_type": "authorization_code", "code": code, "redirect_uri": redirectURL]
            if let verifier { form.add("code_verifier", verifier) }
            return try await granted(form, using: service)
        case .deviceCode(let endpoint, let show):
            return try await letDeviceIn(endpoint, show, using: service)
        }
    }

    // MARK: The token endpoint

    private enum Answer {
        case granted(OAuth2Token)
        case refused(code: String, SkeinError)
    }

    private struct Grants: Decodable {
        let access_token: String
        let refresh_token: String?
        let expires_in: Double?
        let scope: String?
        let token_type: String?
    }

    private struct Refusal: Decodable {
        let error: String
        let error_description: String?
    }

    private struct Device: Decodable {
        let device_code: String
        let user_code: String
        let verification_uri: String
        let verification_uri_complete: String?
        let expires_in: Double
        let interval: Double?

        /// Limited to one day, regardless of the server's value.
        var lifetime: Duration { .seconds(min(max(0, expires_in), 86400)) }
        /// Between two polls; five seconds unless the server states otherwise (RFC 8628, section 3.2).
        var pause: Duration { .seconds(min(max(0.01, interval ?? 5), 3600)) }
    }

    private func granted(
        _ form: Parameters, refresh: String? = nil, using service: HTTPService
    ) async throws -> OAuth2Token {
        switch try await ask(form, refresh: refresh, using: service) {
        case .granted(let token): return token
        case .refused(_, let error): throw error
        }
    }

    private func ask(_ form: Parameters, refresh: String? = nil, using service: HTTPService) async throws -> Answer {
        let response = await service.send(try request(endpoint, form))
        if let failure = response.failure { throw failure }
        if response.statusCode == 200 {
            let grants = try response.decode(Grants.self)
            guard grants.token_type?.lowercased() ?? "bearer" == "bearer" else {
                throw error("the token has the type \(grants.token_type ?? ""); only bearer tokens are supported")
            }
            return .granted(
                OAuth2Token(
                    accessToken: grants.access_token, refreshToken: grants.refresh_token ?? refresh,
                    expires: grants.expires_in.map { Date(timeIntervalSinceNow: $0) }, scope: grants.scope))
        }
        let refusal = try? response.decode(Refusal.self)
        let why = [refusal?.error ?? "\(response.statusCode) \(response.reason)", refusal?.error_description]
        return .refused(
            code: refusal?.error ?? "",
            error("the server issued no token: \(why.compactMap(\.self).joined(separator: ", "))"))
    }

    private func letDeviceIn(
        _ endpoint: String, _ show: @Sendable (OAuth2DeviceCode) async -> Void, using service: HTTPService
    ) async throws -> OAuth2Token {
        let response = await service.send(try request(endpoint, [:]))
        try response.raiseForStatus()
        let device = try response.decode(Device.self)
        await show(
            OAuth2DeviceCode(
                userCode: device.user_code, verificationURL: device.verification_uri,
                completeURL: device.verification_uri_complete, lifetime: device.lifetime))
        let end = ContinuousClock.now + device.lifetime
        var interval = device.pause
        while ContinuousClock.now < end {
            try await Task.sleep(for: interval)
            let answer = try await ask(
                ["grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": device.device_code],
                using: service)
            switch answer {
            case .granted(let token): return token
            case .refused("authorization_pending", _): continue
            case .refused("slow_down", _): interval += .seconds(5)
            case .refused(_, let error): throw error
            }
        }
        throw error("the device was not authorized before its code expired")
    }

    private func request(_ url: String, _ form: Parameters) throws(SkeinError) -> HTTPRequest {
        var form = form
        if let scope { form.add("scope", scope) }
        var headers: Headers = ["Accept": "application/json"]
        if let clientSecret, case .basic = authentication {
            headers["Authorization"] = HTTPAuth.basicField(
                Percent.encodeForm(clientID), Percent.encodeForm(clientSecret))
        } else {
            form.add("client_id", clientID)
            if let clientSecret { form.add("client_secret", clientSecret) }
        }
        return HTTPRequest(.post, try HTTPURL(url), headers: headers, body: .form(form))
    }

    private func error(_ why: String) -> SkeinError { SkeinError(.unknownAuthentication, peer: endpoint, because: why) }
}
