// From host names to a certificate (RFC 8555, section 7.4).

import Crypto
import SkeinCore
import SkeinEngine
import SkeinHTTP
import SwiftASN1
import X509

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// How the authority validates that a name belongs to this server.
public enum ACMEChallenge: Sendable, Hashable {
    /// By a request to port 80 of the name (http-01). Not for wildcards.
    case http
    /// By a handshake at port 443 of the name (tls-alpn-01). Not for wildcards, and not where a balancer ends TLS.
    case tls
    /// By a DNS record, which a program sets and clears (dns-01). The program is called with `set` or `clear`, the name
    /// of the record, and its text.
    case dns(program: String)

    var kind: String {
        switch self {
        case .http: "http-01"
        case .tls: "tls-alpn-01"
        case .dns: "dns-01"
        }
    }
}

extension ACMEClient {
    private static let longestWait: Double = 120

    /// Orders a certificate.
    /// - Returns: the chain in PEM, its own certificate first.
    func certificate(
        for names: [String], key: P256.Signing.PrivateKey, _ challenge: ACMEChallenge,
        _ challenges: CertificateChallenges
    ) async throws -> String {
        let created = try await newOrder(names)
        guard let order = created.headers["Location"] else {
            throw ACMEProblem(
                kind: "malformed", detail: "the authority's answer has no order URL", retryAfter: nil)
        }
        for authorization in created.json["authorizations"]?.elements?.compactMap(\.string) ?? [] {
            try await prove(authorization, challenge, challenges)
        }
        var state = try await poll(order) { !["pending"].contains($0) }
        if state["status"]?.string == "ready" {
            guard let finalize = state["finalize"]?.string else {
                throw Self.malformed("the order has no finalize URL")
            }
            let request = try Self.signingRequest(names, key)
            state = try await post(finalize, .object(["csr": .string(Base64URL.encode(request))])).json
            if state["status"]?.string != "valid" { state = try await poll(order) { $0 == "valid" || $0 == "invalid" } }
        }
        guard state["status"]?.string == "valid", let url = state["certificate"]?.string else {
            throw Self.failure(of: state, "the order is \(state["status"]?.string ?? "nothing")")
        }
        let answer = try await post(url, nil, accept: "application/pem-certificate-chain")
        let chain = String(decoding: answer.content, as: UTF8.self)
        guard chain.containsBytes("-----BEGIN CERTIFICATE-----") else {
            throw Self.malformed("the certificate is not PEM")
        }
        return chain
    }

    private static func malformed(_ detail: String) -> ACMEProblem {
        ACMEProblem(kind: "malformed", detail: detail, retryAfter: nil)
    }

    /// The error of an order, or of a challenge in an authorization.
    private static func failure(of state: JSONValue, _ otherwise: String) -> ACMEProblem {
        let error = state["error"] ?? state["challenges"]?.elements?.compactMap { $0["error"] }.first
        return ACMEProblem(
            kind: String(error?["type"]?.string?.splitBytes(separator: ":").last ?? "invalid"),
            detail: error?["detail"]?.string ?? otherwise, retryAfter: nil)
    }

    /// Proves control of a name.
    private func prove(_ url: String, _ challenge: ACMEChallenge, _ challenges: CertificateChallenges) async throws {
        let state = try await post(url, nil).json
        guard state["status"]?.string != "valid" else { return }
        let name = state["identifier"]?["value"]?.string ?? ""
        let offered = state["challenges"]?.elements ?? []
        guard let chosen = offered.first(where: { $0["type"]?.string == challenge.kind }),
            let token = chosen["token"]?.string,
            let target = chosen["url"]?.string, Self.isToken(token)
        else {
            let kinds = offered.compactMap { $0["type"]?.string }.joined(separator: ", ")
            throw ACMEProblem(
                kind: "unsupported", detail: "the authority offers \(kinds) for \(name), not \(challenge.kind)",
                retryAfter: nil)
        }
        let proof = account.keyAuthorization(token)
        switch challenge {
        case .http:
            challenges[token] = proof
            defer { challenges[token] = nil }
            try await settle(url, target, name)
        case .tls:
            let made = try SelfSignedCertificate.make(
                challenge: name, proof: Array(SHA256.hash(data: Array(proof.utf8))))
            try challenges.set(name, certificate: made.certificate, key: made.key)
            do {
                try await settle(url, target, name)
            } catch {
                try? challenges.set(name, certificate: nil, key: "")
                throw error
            }
            try challenges.set(name, certificate: nil, key: "")
        case .dns(let program):
            let record = "_acme-challenge.\(name)"
            let text = Base64URL.encode(SHA256.hash(data: Array(proof.utf8)))
            do {
                try await DNSHook.run(program, "set", record, text)
                try await settle(url, target, name)
            } catch {
                // Even if the record may not have been set completely, and even if the task is cancelled.
                await Task.detached { try? await DNSHook.run(program, "clear", record, text) }.value
                throw error
            }
            try await DNSHook.run(program, "clear", record, text)
        }
    }

    /// A token consists of base64url characters (section 8.1); it becomes part of a path.
    private static func isToken(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 256
            && text.utf8.allSatisfy {
                Bytes.isDigit($0) || ($0 | 0x20) &- UInt8(ascii: "a") < 26 || $0 == UInt8(ascii: "-")
                    || $0 == UInt8(ascii: "_")
            }
    }

    private func settle(_ authorization: String, _ challenge: String, _ name: String) async throws {
        _ = try await post(challenge, .object([:]))
        let state = try await poll(authorization) { $0 != "pending" && $0 != "processing" }
        guard state["status"]?.string == "valid" else {
            throw Self.failure(of: state, "the authority could not validate \(name)")
        }
    }

    /// Polls a resource until its status is final, at the interval that the authority asks for.
    private func poll(_ url: String, until isDone: (String) -> Bool) async throws -> JSONValue {
        var waited = 0.0
        var pause = 0.25
        while true {
            let answer = try await post(url, nil)
            let state = answer.json
            guard let status = state["status"]?.string else { throw Self.malformed("\(url) has no status") }
            if isDone(status) { return state }
            let next = max(pause, min(Self.retryAfter(answer.headers) ?? 0, 30))
            guard waited + next <= Self.longestWait else {
                throw ACMEProblem(
                    kind: "unreachable", detail: "\(url) is \(status) after \(Int(waited)) s", retryAfter: nil)
            }
            try await Task.sleep(for: .seconds(next))
            waited += next
            pause = min(pause * 2, 5)
        }
    }

    /// A PKCS #10 request for names (RFC 2986).
    private static func signingRequest(_ names: [String], _ key: P256.Signing.PrivateKey) throws -> [UInt8] {
        let extensions = try Certificate.Extensions { SubjectAlternativeNames(names.map { .dnsName($0) }) }
        let request = try CertificateSigningRequest(
            version: .v1, subject: DistinguishedName(), privateKey: Certificate.PrivateKey(key),
            attributes: CertificateSigningRequest.Attributes([.init(ExtensionRequest(extensions: extensions))]),
            signatureAlgorithm: .ecdsaWithSHA256)
        var serializer = DER.Serializer()
        try serializer.serialize(request)
        return serializer.serializedBytes
    }
}
