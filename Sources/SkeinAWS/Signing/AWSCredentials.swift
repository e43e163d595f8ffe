// Credentials from several sources, refreshed before they expire.

import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinTransport
import SkeinWire
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// An access key with its secret, and the session token of temporary keys.
public struct AWSCredentials: Sendable, Hashable, CustomStringConvertible {
    /// The access key ID.
    public var accessKey: String
    /// The secret access key.
    public var secretKey: String
    /// The session token of temporary keys.
    public var sessionToken: String?
    /// The expiry date. Default: none.
    public var expiration: Date?

    /// A key.
    public init(accessKey: String, secretKey: String, sessionToken: String? = nil, expiration: Date? = nil) {
        self.accessKey = accessKey
        self.secretKey = secretKey
        self.sessionToken = sessionToken
        self.expiration = expiration
    }

    /// The access key ID alone; secrets never appear in messages.
    public var description: String { "\(accessKey) …" }
}

/// A source of credentials. Its one method is called when there are none yet or they expire soon.
public protocol AWSCredentialSource: Sendable {
    /// The credentials; nil when this source has none, so that the next one is tried.
    /// - Parameter http: sends requests to endpoints of credentials.
    /// - Throws: when the source should have credentials but fails.
    func credentials(by http: HTTPService) async throws -> AWSCredentials?
}

/// Sources that are tried in order, and the cached credentials.
final class AWSCredentialStore: Sendable {
    private struct State {
        var credentials: AWSCredentials?
        var fetch: Task<AWSCredentials, any Error>?
    }

    private let sources: [any AWSCredentialSource]
    private let http: HTTPService
    private let state = Mutex(State())
    /// How long before their expiry credentials are refreshed.
    private static let margin: TimeInterval = 300

    init(_ sources: [any AWSCredentialSource], by http: HTTPService) {
        self.sources = sources
        self.http = http
    }

    /// Valid credentials.
    /// - Parameter refused: credentials that a service has refused.
    func current(insteadOf refused: AWSCredentials? = nil) async throws -> AWSCredentials {
        let (ready, fetch) = state.withLock { state -> (AWSCredentials?, Task<AWSCredentials, any Error>?) in
            if let known = state.credentials, known != refused, Self.holds(known) { return (known, nil) }
            if let fetch = state.fetch { return (nil, fetch) }
            let fetch = Task { try await self.fetch(after: refused) }
            state.fetch = fetch
            return (nil, fetch)
        }
        if let ready { return ready }
        guard let fetch else { throw Self.none }
        return try await fetch.value
    }

    private static func holds(_ credentials: AWSCredentials) -> Bool {
        credentials.expiration.map { $0.timeIntervalSinceNow > margin } ?? true
    }

    private func fetch(after refused: AWSCredentials?) async throws -> AWSCredentials {
        defer { state.withLock { $0.fetch = nil } }
        let known = state.withLock { $0.credentials }
        do {
            for source in sources {
                guard let found = try await source.credentials(by: http) else { continue }
                state.withLock { $0.credentials = found }
                return found
            }
        } catch {
            // The cached credentials may still be valid until the source is available again.
            if let known, known != refused, known.expiration.map({ $0.timeIntervalSinceNow > 0 }) ?? true {
                return known
            }
            throw error as? SkeinError
                ?? SkeinError(
                    .unknownAuthentication, because: "the AWS credentials could not be loaded: \(error)", cause: error)
        }
        throw Self.none
    }

    private static var none: SkeinError {
        SkeinError(
            .unknownAuthentication,
            because:
                "no AWS credentials found: set them in the options, in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                + "or in ~/.aws/credentials")
    }
}

// MARK: Sources

extension AWSCredentials: AWSCredentialSource {
    /// The credentials themselves.
    public func credentials(by http: HTTPService) -> AWSCredentials? { self }
}

/// The environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
public struct AWSEnvironmentCredentials: AWSCredentialSource {
    private let environment: [String: String]

    /// - Parameter environment: the environment variables. Default: the process's.
    public init(_ environment: [String: String] = ProcessInfo.processInfo.environment) {
        self.environment = environment
    }

    public func credentials(by http: HTTPService) -> AWSCredentials? {
        guard let key = environment["AWS_ACCESS_KEY_ID"], let secret = environment["AWS_SECRET_ACCESS_KEY"],
            !key.isEmpty
        else { return nil }
        return AWSCredentials(accessKey: key, secretKey: secret, sessionToken: environment["AWS_SESSION_TOKEN"])
    }
}

/// The files `~/.aws/credentials` and `~/.aws/config`.
public struct AWSFileCredentials: AWSCredentialSource {
    private let profiles: AWSProfiles

    /// - Parameter environment: the paths of the files, if not the standard ones, and the profile. Default: the
    ///   process's.
    public init(_ environment: [String: String] = ProcessInfo.processInfo.environment) {
        profiles = AWSProfiles(environment)
    }

    public func credentials(by http: HTTPService) throws -> AWSCredentials? {
        let values = try profiles.values()
        guard let key = values["aws_access_key_id"], let secret = values["aws_secret_access_key"] else { return nil }
        return AWSCredentials(accessKey: key, secretKey: secret, sessionToken: values["aws_session_token"])
    }
}

/// The credentials endpoint of containers: `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or
/// `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
public struct AWSContainerCredentials: AWSCredentialSource {
    private let environment: [String: String]

    /// - Parameter environment: the environment variables. Default: the process's.
    public init(_ environment: [String: String] = ProcessInfo.processInfo.environment) {
        self.environment = environment
    }

    public func credentials(by http: HTTPService) async throws -> AWSCredentials? {
        let address: String
        if let path = environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] {
            address = "http://169.254.170.2\(path)"
        } else if let whole = environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] {
            address = whole
        } else {
            return nil
        }
        let url = try HTTPURL(address)
        let host = url.origin.endpoint.host
        // A token is sent there, so the connection must be secure or local.
        guard
            url.origin.isSecure || url.origin.endpoint.isLocal
                || IPAddress.bytes(host)?.starts(with: [169, 254, 170]) == true
                || host == "fd00:ec2::23"
        else {
            throw SkeinError(
                .unknownAuthentication, peer: address,
                because: "credentials are fetched only over https, from this machine, or from its container's host")
        }
        var headers = Headers()
        if let file = environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] {
            headers["Authorization"] = try String(contentsOf: URL(filePath: file), encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
        } else if let token = environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"] {
            headers["Authorization"] = token
        }
        return try await HandedOut.fetch(HTTPRequest(.get, url, headers: headers, timeout: .seconds(5)), by: http)
    }
}

/// The credentials endpoint of EC2 instances (the instance metadata service, version 2), for the instance's role.
public struct AWSInstanceCredentials: AWSCredentialSource {
    private let environment: [String: String]

    /// - Parameter environment: the endpoint, if not the standard one (`AWS_EC2_METADATA_SERVICE_ENDPOINT`), and
    ///   whether it is disabled (`AWS_EC2_METADATA_DISABLED`). Default: the process's.
    public init(_ environment: [String: String] = ProcessInfo.processInfo.environment) {
        self.environment = environment
    }

    public func credentials(by http: HTTPService) async throws -> AWSCredentials? {
        if environment["AWS_EC2_METADATA_DISABLED"]?.lowercased() == "true" { return nil }
        var base = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] ?? "http://169.254.169.254"
        while base.hasByteSuffix("/") { base.removeLast() }
        // Outside of such an instance there is no response, which must be detected quickly.
        let token = await http.send(
            HTTPRequest(
                .put, try HTTPURL("\(base)/latest/api/token"),
                headers: ["X-aws-ec2-metadata-token-ttl-seconds": "21600"], timeout: .seconds(1)))
        guard token.failure == nil, token.statusCode == 200 else { return nil }
        let headers: Headers = ["X-aws-ec2-metadata-token": String(buffer: token.content)]
        let path = "\(base)/latest/meta-data/iam/security-credentials/"
        let roles = await http.send(HTTPRequest(.get, try HTTPURL(path), headers: headers, timeout: .seconds(5)))
        guard roles.statusCode == 200, let role = String(buffer: roles.content).splitBytes(separator: "\n").first else {
            return nil
        }
        return try await HandedOut.fetch(
            HTTPRequest(.get, try HTTPURL(path + role), headers: headers, timeout: .seconds(5)), by: http)
    }
}

/// Credentials in the format of the endpoints.
private struct HandedOut: Decodable {
    let AccessKeyId: String
    let SecretAccessKey: String
    let Token: String?
    let Expiration: Date?

    static func fetch(_ request: HTTPRequest, by http: HTTPService) async throws -> AWSCredentials {
        let response = await http.send(request)
        try response.raiseForStatus()
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        let found = try decoder.decode(HandedOut.self, from: Data(response.content.readableBytesView))
        return AWSCredentials(
            accessKey: found.AccessKeyId, secretKey: found.SecretAccessKey, sessionToken: found.Token,
            expiration: found.Expiration)
    }
}
