// Requests to a certificate authority: signed, each with its own nonce (RFC 8555, sections 6 and 7).

import Crypto
import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Why a certificate authority has refused a request, or why it could not be reached.
public struct ACMEProblem: Error, Sendable, CustomStringConvertible {
    /// The end of the problem's type, such as `rateLimited` (RFC 8555, section 6.7); `unreachable` when there was no answer.
    public let kind: String
    /// The authority's description of the problem.
    public let detail: String
    /// Seconds after which the request may be repeated, if the authority says so.
    public let retryAfter: Double?

    /// The kind and the detail.
    public var description: String { "\(kind): \(detail)" }
}

/// A client of one authority with one account.
actor ACMEClient {
    struct Answer {
        let status: Int
        let headers: Headers
        let content: Data

        var json: JSONValue { (try? JSONValue(json: content)) ?? .null }
    }

    private struct Directory {
        let newNonce: String
        let newAccount: String
        let newOrder: String
        let keyChange: String?
    }

    /// Responses are small; a certificate chain is the largest.
    private static let largestAnswer = 1 << 20
    private static let mostNonceErrors = 10

    private let client: SkeinClient
    private let directoryURL: String
    private var directory: Directory?
    private var nonce: String?
    private(set) var account: ACMEAccount

    /// - Parameters:
    ///   - rootsFile: a PEM file with the roots of the authority's own certificate; nil for the system's.
    init(directory: String, rootsFile: String?, account: ACMEAccount) {
        directoryURL = directory
        self.account = account
        var configuration = SkeinClient.Configuration()
        if let rootsFile { configuration.http.tls.roots = .file(rootsFile) }
        configuration.http.timeout = .seconds(30)
        configuration.http.maximumBodySize = Self.largestAnswer
        configuration.http.defaultHeaders["User-Agent"] = "skein-acme"
        client = SkeinClient(configuration)
    }

    func shutdown() async { await client.shutdown() }

    // MARK: Requests

    private func found() async throws -> Directory {
        if let directory { return directory }
        let response = await client.get(directoryURL).dispatch()
        let json = try answer(response).json
        func url(_ name: String) throws -> String {
            guard let url = json[name]?.string else {
                throw ACMEProblem(
                    kind: "malformed", detail: "the directory at \(directoryURL) has no \(name)", retryAfter: nil)
            }
            return url
        }
        let found = Directory(
            newNonce: try url("newNonce"), newAccount: try url("newAccount"), newOrder: try url("newOrder"),
            keyChange: json["keyChange"]?.string)
        directory = found
        return found
    }

    private func answer(_ response: HTTPResponse) throws -> Answer {
        if let failure = response.failure {
            throw ACMEProblem(kind: "unreachable", detail: failure.message, retryAfter: nil)
        }
        nonce = response.header("Replay-Nonce") ?? nonce
        let answer = Answer(
            status: response.statusCode, headers: response.headers, content: Data(response.content.readableBytesView))
        guard response.statusCode >= 400 else { return answer }
        let type = answer.json["type"]?.string ?? ""
        throw ACMEProblem(
            kind: type.isEmpty ? "status \(response.statusCode)" : String(type.splitBytes(separator: ":").last ?? ""),
            detail: answer.json["detail"]?.string ?? response.reason,
            retryAfter: Self.retryAfter(response.headers))
    }

    /// Seconds of a Retry-After field in either form (RFC 9110, section 10.2.3).
    static func retryAfter(_ headers: Headers) -> Double? {
        guard let field = headers["Retry-After"] else { return nil }
        if let seconds = Double(field), seconds >= 0 { return min(seconds, 86_400) }
        return HTTPDate.strict(field).map { max(0, min(Double($0) - Date().timeIntervalSince1970, 86_400)) }
    }

    /// Sends a signed request; if the authority rejects the nonce, the request is sent again with a new one (section
    /// 6.5).
    /// - Parameter payload: nil reads a resource.
    func post(_ url: String, _ payload: JSONValue?, usesKey: Bool = false, accept: String? = nil) async throws -> Answer
    {
        try await post(url, payload?.json ?? "", usesKey: usesKey, accept: accept)
    }

    private func post(_ url: String, _ payload: String, usesKey: Bool, accept: String? = nil) async throws -> Answer {
        let directory = try await found()
        var refused = 0
        while true {
            if nonce == nil {
                let response = await client.head(directory.newNonce).dispatch()
                _ = try answer(response)
            }
            guard let own = nonce else {
                throw ACMEProblem(kind: "malformed", detail: "the authority issues no nonces", retryAfter: nil)
            }
            nonce = nil
            let body = try account.sign(payload, url: url, nonce: own, usesKey: usesKey)
            var headers = Headers()
            if let accept { headers["Accept"] = accept }
            let response = await client.post(
                url, body: .text(body, contentType: "application/jose+json"), headers: headers
            ).dispatch()
            do {
                return try answer(response)
            } catch let problem as ACMEProblem where problem.kind == "badNonce" && refused < Self.mostNonceErrors {
                refused += 1
            }
        }
    }

    // MARK: Account

    /// Registers the account, or finds the one that has its key (section 7.3).
    func register(email: String?) async throws {
        var payload: JSONObject = ["termsOfServiceAgreed": true]
        if let email { payload["contact"] = .array([.string("mailto:\(email)")]) }
        let answer = try await post(try await found().newAccount, .object(payload), usesKey: true)
        guard let url = answer.headers["Location"] else {
            throw ACMEProblem(
                kind: "malformed", detail: "the authority's answer has no account URL", retryAfter: nil)
        }
        account.url = url
    }

    /// Continues with another key.
    func use(_ key: P256.Signing.PrivateKey) { account = ACMEAccount(key: key, url: nil) }

    /// Replaces the key of the account (section 7.3.5).
    func changeKey(to new: P256.Signing.PrivateKey) async throws {
        guard let url = try await found().keyChange, let own = account.url else {
            throw ACMEProblem(
                kind: "unsupported", detail: "the authority does not support key changes", retryAfter: nil)
        }
        let next = ACMEAccount(key: new, url: nil)
        let inner = try next.sign(
            #"{"account":\#(JSONValue.string(own).json),"oldKey":\#(account.publicKey)}"#, url: url, nonce: nil,
            usesKey: true)
        _ = try await post(url, inner, usesKey: false)
        account = ACMEAccount(key: new, url: own)
    }

    func newOrder(_ names: [String]) async throws -> Answer {
        let identifiers = names.map { JSONValue.object(["type": "dns", "value": .string($0)]) }
        return try await post(try await found().newOrder, .object(["identifiers": .array(identifiers)]))
    }
}
