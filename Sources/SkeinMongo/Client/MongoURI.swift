// Connection strings (https://www.mongodb.com/docs/manual/reference/connection-string/).

import SkeinCore
import SkeinTransport

extension MongoConfiguration {
    /// Parses a connection string: `mongodb://user:password@host1:27017,host2/database?replicaSet=rs0&tls=true`, or
    /// `host/database`.
    /// - Throws: code 701 with the error in it.
    public init(_ text: String) throws(SkeinError) {
        self.init()
        let uri = text.containsBytes("://") ? text : "mongodb://\(text)"
        guard let separator = uri.rangeOfBytes("://") else { throw Self.problem("it has no scheme") }
        switch uri[..<separator.lowerBound] {
        case "mongodb": break
        case "mongodb+srv":
            throw Self.problem("mongodb+srv:// is not supported; name the hosts in a mongodb:// address, with tls=true")
        case let scheme: throw Self.problem("its scheme is \(scheme) and not mongodb")
        }
        var rest = uri[separator.upperBound...]
        var query: [(name: String, value: String)] = []
        if let mark = rest.firstByte("?") {
            query = try Self.pairs(rest[rest.index(after: mark)...])
            rest = rest[..<mark]
        }
        var user: String?
        var password: String?
        let authority = rest.prefix(before: "/")
        var members = authority
        if let at = authority.lastByte("@") {
            let parts = authority[..<at].splitBytes(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            user = try Self.decoded(parts[0])
            if parts.count == 2 { password = try Self.decoded(parts[1]) }
            members = authority[authority.index(after: at)...]
        }
        hosts = []
        for member in members.splitBytes(separator: ",", omittingEmptySubsequences: false) {
            hosts.append(try Self.endpoint(member))
        }
        let name = try Self.decoded(rest.dropFirst(authority.count).dropFirst())
        if !name.isEmpty { database = name }
        if user != nil {
            credentials = MongoCredentials(
                user: user, password: password, source: name.isEmpty ? "admin" : name)
        }
        try apply(query)
    }

    private static func problem(_ message: String) -> SkeinError {
        SkeinError(.exception, because: "the address of the database cannot be used: \(message)")
    }

    private static func decoded(_ text: Substring) throws(SkeinError) -> String {
        guard let value = text.withoutPercents else { throw problem("\(text) is badly percent-encoded") }
        return value
    }

    private static func endpoint(_ member: Substring) throws(SkeinError) -> Endpoint {
        if member.hasByteSuffix(".sock") { return .unix(path: try decoded(member)) }
        guard !member.isEmpty, let endpoint = Endpoint(hostAndPort: member, port: 27017) else {
            throw problem("\(member.debugDescription) is not a host with a port")
        }
        return endpoint
    }

    private static func pairs(_ text: Substring) throws(SkeinError) -> [(name: String, value: String)] {
        var pairs: [(String, String)] = []
        for pair in text.splitBytes(separator: "&") {
            let parts = pair.splitBytes(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw problem("\(pair) has no value") }
            pairs.append((String(parts[0]), try decoded(parts[1])))
        }
        return pairs
    }

    private mutating func apply(_ query: [(name: String, value: String)]) throws(SkeinError) {
        for (name, value) in query {
            func number(_ range: ClosedRange<Int>) throws(SkeinError) -> Int {
                guard let number = Int(value), range.contains(number) else {
                    throw Self.problem("\(name) is not a number from \(range.lowerBound) to \(range.upperBound)")
                }
                return number
            }
            func time() throws(SkeinError) -> Duration { .milliseconds(try number(1...86_400_000)) }
            func flag() throws(SkeinError) -> Bool {
                guard value == "true" || value == "false" else {
                    throw Self.problem("\(name) is neither true nor false")
                }
                return value == "true"
            }
            switch name.lowercased() {
            case "replicaset": replicaSet = value
            case "directconnection": isDirect = try flag()
            case "tls", "ssl": if try flag() { tls = tls ?? ClientTLSConfiguration() } else { tls = nil }
            case "tlsinsecure", "tlsallowinvalidcertificates": if try flag() { needTLS { $0.verify = .none } }
            case "tlscafile": needTLS { $0.roots = .file(value) }
            case "tlscertificatekeyfile": needTLS { $0.certificateFile = value }
            case "authsource": needCredentials { $0.source = value }
            case "authmechanism":
                guard let mechanism = MongoCredentials.Mechanism(rawValue: value) else {
                    throw Self.problem(
                        "authMechanism \(value) is not supported; supported are SCRAM-SHA-256, SCRAM-SHA-1, "
                            + "MONGODB-X509 and PLAIN")
                }
                needCredentials { $0.mechanism = mechanism }
            case "compressors": compressors = try Self.compressors(value)
            case "appname": applicationName = value
            case "readpreference":
                guard let mode = MongoReadPreference.Mode(rawValue: value) else {
                    throw Self.problem("the readPreference \(value) is unknown")
                }
                readPreference.mode = mode
            case "readpreferencetags": readPreference.tagSets.append(try Self.tags(value))
            case "maxstalenessseconds":
                if value != "-1" { readPreference.maximumStaleness = .seconds(try number(90...1_000_000)) }
            case "readconcernlevel":
                guard let level = MongoReadConcern(rawValue: value) else {
                    throw Self.problem("the readConcernLevel \(value) is unknown")
                }
                readConcern = level
            case "w":
                needWriteConcern {
                    $0.acknowledgement =
                        value == "majority" ? .majority : Int(value).map { .members($0) } ?? .tagged(value)
                }
            case "journal":
                let selector = try flag()
                needWriteConcern { $0.journal = selector }
            case "wtimeoutms":
                let limit = try time()
                needWriteConcern { $0.timeout = limit }
            case "retryreads": retriesReads = try flag()
            case "retrywrites": retriesWrites = try flag()
            case "maxpoolsize": pool.maximum = try number(1...100_000)
            case "minpoolsize": pool.minimum = try number(0...100_000)
            case "maxidletimems": pool.idleTimeout = try time()
            case "waitqueuetimeoutms": pool.leaseTimeout = try time()
            case "connecttimeoutms": pool.connectTimeout = try time()
            case "timeoutms", "sockettimeoutms": timeout = try time()
            case "serverselectiontimeoutms": serverSelectionTimeout = try time()
            case "heartbeatfrequencyms": heartbeatInterval = .milliseconds(try number(500...86_400_000))
            case "localthresholdms": localThreshold = .milliseconds(try number(0...86_400_000))
            case "zlibcompressionlevel", "uuidrepresentation", "servermonitoringmode", "loadbalanced": break
            default: throw Self.problem("\(name.debugDescription) is not known")
            }
        }
        if credentials?.mechanism == .x509 { credentials?.source = "$external" }
        if credentials?.mechanism == .plain {
            guard tls != nil || hosts.allSatisfy(\.isLocal) else {
                throw Self.problem("PLAIN sends the password in clear text; add tls=true")
            }
            if credentials?.source == "admin" { credentials?.source = "$external" }
        }
        guard !isDirect || hosts.count == 1 else { throw Self.problem("directConnection needs exactly one host") }
        guard readPreference.mode != .primary || readPreference.tagSets.isEmpty else {
            throw Self.problem("readPreferenceTags need a readPreference other than primary")
        }
    }

    private mutating func needTLS(_ change: (inout ClientTLSConfiguration) -> Void) {
        var configuration = tls ?? ClientTLSConfiguration()
        change(&configuration)
        tls = configuration
    }

    private mutating func needCredentials(_ change: (inout MongoCredentials) -> Void) {
        var who = credentials ?? MongoCredentials(user: nil, password: nil)
        change(&who)
        credentials = who
    }

    private mutating func needWriteConcern(_ change: (inout MongoWriteConcern) -> Void) {
        var concern = writeConcern ?? MongoWriteConcern()
        change(&concern)
        writeConcern = concern
    }

    private static func compressors(_ text: String) throws(SkeinError) -> [MongoCompressor] {
        var list: [MongoCompressor] = []
        for name in text.splitBytes(separator: ",") {
            if let compressor = MongoCompressor(name: String(name)) {
                list.append(compressor)
            } else if name != "snappy" {
                throw problem("the compressor \(name) is not supported; use zlib or zstd")
            }
        }
        return list
    }

    private static func tags(_ text: String) throws(SkeinError) -> [String: String] {
        var tags: [String: String] = [:]
        for pair in text.splitBytes(separator: ",") {
            let parts = pair.splitBytes(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { throw problem("the tag \(pair) has no value") }
            tags[String(parts[0])] = String(parts[1])
        }
        return tags
    }
}
