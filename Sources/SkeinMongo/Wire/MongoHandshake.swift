// The handshake of a connection: client data, server properties, authentication
// (https://github.com/mongodb/specifications/blob/master/source/mongodb-handshake/handshake.md, …/auth/auth.md).

import Crypto
import NIOCore
import SkeinCore
import SkeinTransport

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The handshake, without I/O.
struct MongoHandshake {
    /// The action after a reply.
    enum Action {
        case send(Document, database: String)
        case ready
    }

    private enum State {
        case greeting
        /// The legacy hello, for servers before 4.4.2, was sent.
        case greetingOld
        case proving(Proof, conversation: BSON, rounds: Int)
        case authenticating
    }

    private let configuration: MongoConfiguration
    private let credentials: MongoCredentials?
    /// Whether the connection is safe from eavesdroppers.
    private let isPrivate: Bool
    private var state = State.greeting
    private var speculation: Proof?
    /// The server's hello reply.
    private(set) var hello = Document()
    /// The negotiated compressor.
    private(set) var compressor: MongoCompressor?

    /// - Parameters:
    ///   - isMonitor: whether it is for monitoring only, without credentials.
    ///   - isPrivate: whether the connection is safe from eavesdroppers.
    init(_ configuration: MongoConfiguration, isMonitor: Bool = false, isPrivate: Bool = false) {
        self.configuration = configuration
        self.isPrivate = isPrivate
        credentials = isMonitor ? nil : configuration.credentials
    }

    /// The first command.
    mutating func begin() throws(SkeinError) -> Document {
        var document: Document = ["hello": 1, "helloOk": true]
        document.append("client", .document(description))
        document.append("compression", .array(configuration.compressors.map { .string($0.name) }))
        guard let credentials else { return document }
        guard credentials.mechanism != .plain || isPrivate else {
            throw SkeinError(
                .unknownAuthentication,
                because: "PLAIN sends the password in clear text, which is allowed only over TLS or on this machine")
        }
        if credentials.mechanism == nil, let user = credentials.user {
            document.append("saslSupportedMechs", .string("\(credentials.source).\(user)"))
        }
        if credentials.mechanism == .x509 {
            document.append("speculativeAuthenticate", .document(x509(credentials, adding: ["db": "$external"])))
        } else if credentials.mechanism != .plain {
            // Speculative authentication saves a round trip, if the server uses this mechanism.
            let proof = try Proof(credentials.mechanism ?? .scramSHA256, credentials)
            speculation = proof
            document.append(
                "speculativeAuthenticate", .document(start(proof, adding: ["db": .string(credentials.source)])))
        }
        return document
    }

    /// - Throws: the reason why the connection cannot be used.
    mutating func receive(_ reply: Document) throws(SkeinError) -> Action {
        switch state {
        case .greeting:
            if let error = MongoError(reply), error.code == MongoError.commandNotFound {
                state = .greetingOld
                var document = try begin()
                document["hello"] = nil
                return .send(
                    Document(pairs: [("isMaster", 1)] + document.map { ($0.key, $0.value) }), database: "admin")
            }
            return try greeted(reply)
        case .greetingOld: return try greeted(reply)
        case .authenticating:
            if let error = MongoError(reply) { throw refused(error) }
            return .ready
        case .proving(let proof, let conversation, let rounds):
            if let error = MongoError(reply) { throw refused(error) }
            return try go(on: proof, reply, conversation: reply["conversationId"] ?? conversation, rounds: rounds)
        }
    }

    // MARK: The greeting

    private var description: Document {
        var document = Document()
        if !configuration.applicationName.isEmpty {
            document.append("application", ["name": .string(String(configuration.applicationName.prefix(128)))])
        }
        document.append("driver", ["name": "skein", "version": "0"])
        #if os(Linux)
            document.append("os", ["type": "Linux"])
        #else
            document.append("os", ["type": "Darwin"])
        #endif
        document.append("platform", "Swift")
        return document
    }

    private mutating func greeted(_ reply: Document) throws(SkeinError) -> Action {
        if let error = MongoError(reply) {
            throw SkeinError(
                .connectionFailed, because: "the server refuses hello: \(error)", cause: error)
        }
        hello = reply
        let version = reply["maxWireVersion"]?.int ?? 0
        guard version >= 6 else {
            throw SkeinError(
                .connectionFailed,
                because:
                    "the server supports wire version \(version); MongoDB 3.6 or newer (version 6) is required")
        }
        if let oldest = reply["minWireVersion"]?.int, oldest > 25 {
            throw SkeinError(
                .connectionFailed, because: "the server requires a client with wire version \(oldest) or newer")
        }
        let offered = Set(reply["compression"]?.array?.compactMap(\.string) ?? [])
        compressor = configuration.compressors.first { offered.contains($0.name) }
        return try authenticate(reply)
    }

    // MARK: Credentials

    private mutating func authenticate(_ hello: Document) throws(SkeinError) -> Action {
        // An arbiter holds no data, and so no users.
        guard let credentials, hello["arbiterOnly"]?.isTrue != true else { return .ready }
        let speculative = hello["speculativeAuthenticate"]?.document
        if credentials.mechanism == .x509 {
            state = .authenticating
            return speculative == nil ? .send(x509(credentials), database: "$external") : .ready
        }
        if let speculative, let speculation {
            return try go(on: speculation, speculative, conversation: speculative["conversationId"] ?? 1, rounds: 0)
        }
        let offered = hello["saslSupportedMechs"]?.array?.compactMap(\.string)
        let mechanism =
            credentials.mechanism ?? (offered?.contains("SCRAM-SHA-256") == true ? .scramSHA256 : .scramSHA1)
        let proof = try Proof(mechanism, credentials)
        state = .proving(proof, conversation: 1, rounds: 0)
        return .send(start(proof), database: credentials.source)
    }

    private func x509(_ credentials: MongoCredentials, adding: Document = [:]) -> Document {
        var document: Document = ["authenticate": 1, "mechanism": "MONGODB-X509"]
        if let user = credentials.user { document.append("user", .string(user)) }
        for (key, value) in adding { document.append(key, value) }
        return document
    }

    private func start(_ proof: Proof, adding: Document = [:]) -> Document {
        var document: Document = [
            "saslStart": 1, "mechanism": .string(proof.mechanism.rawValue),
            "payload": .binary(BSONBinary(proof.first.utf8)), "autoAuthorize": 1,
            "options": ["skipEmptyExchange": true],
        ]
        for (key, value) in adding { document.append(key, value) }
        return document
    }

    private mutating func go(
        on proof: Proof, _ reply: Document, conversation: BSON, rounds: Int
    ) throws(SkeinError) -> Action {
        guard let bytes = reply["payload"]?.bytes else {
            throw SkeinError(.unknownAuthentication, because: "the server's challenge has no payload")
        }
        guard rounds < 4 else {
            throw SkeinError(.unknownAuthentication, because: "the server's SASL exchange does not end")
        }
        var proof = proof
        let answer = try proof.answer(String(decoding: bytes, as: UTF8.self))
        if reply["done"]?.isTrue == true {
            guard proof.isProved else {
                throw SkeinError(
                    .unknownAuthentication,
                    because:
                        "the server ended the exchange before it proved that it knows the password; it may be an impostor"
                )
            }
            return .ready
        }
        state = .proving(proof, conversation: conversation, rounds: rounds + 1)
        return .send(
            ["saslContinue": 1, "conversationId": conversation, "payload": .binary(BSONBinary(answer.utf8))],
            database: credentials?.source ?? "admin")
    }

    private func refused(_ error: MongoError) -> SkeinError {
        SkeinError(.unknownAuthentication, because: "the server refuses the credentials: \(error)", cause: error)
    }
}

/// A SASL exchange.
private struct Proof {
    private enum Kind {
        case sha1(SCRAMClient<Insecure.SHA1>)
        case sha256(SCRAMClient<SHA256>)
        /// The password in clear text.
        case plain(String)
    }

    private enum Stage {
        case challenged
        case answered
        case proved
    }

    let mechanism: MongoCredentials.Mechanism
    private var kind: Kind
    private var stage = Stage.challenged

    init(_ mechanism: MongoCredentials.Mechanism, _ credentials: MongoCredentials) throws(SkeinError) {
        guard let user = credentials.user, let password = credentials.password else {
            throw SkeinError(
                .unknownAuthentication, because: "\(mechanism.rawValue) needs a user and a password in the address")
        }
        self.mechanism = mechanism
        switch mechanism {
        case .scramSHA1:
            let hashed = Hex.encode(Insecure.MD5.hash(data: Array("\(user):mongo:\(password)".utf8)))
            kind = .sha1(SCRAMClient(user: user, password: hashed, binding: .unsupported))
        case .plain: kind = .plain("\0\(user)\0\(password)")
        default: kind = .sha256(SCRAMClient(user: user, password: password, binding: .unsupported))
        }
    }

    var first: String {
        switch kind {
        case .sha1(let client): client.first
        case .sha256(let client): client.first
        case .plain(let text): text
        }
    }

    /// Whether the server has proved that it knows the password, where the mechanism supports that.
    var isProved: Bool { if case .plain = kind { true } else { stage == .proved } }

    mutating func answer(_ challenge: String) throws(SkeinError) -> String {
        switch (stage, kind) {
        case (_, .plain), (.proved, _): return ""
        case (.challenged, .sha1(var client)):
            let answer = try client.answer(challenge)
            (kind, stage) = (.sha1(client), .answered)
            return answer
        case (.challenged, .sha256(var client)):
            let answer = try client.answer(challenge)
            (kind, stage) = (.sha256(client), .answered)
            return answer
        case (.answered, .sha1(let client)): try client.verify(challenge)
        case (.answered, .sha256(let client)): try client.verify(challenge)
        }
        stage = .proved
        return ""
    }
}
