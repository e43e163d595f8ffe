// Connection strings as in libpq: URIs with several hosts, and keyword/value pairs (PostgreSQL manual, section 34.1.1).

import SkeinCore
import SkeinTransport

extension PostgresConfiguration {
    /// Parses a connection string: `postgres://user:password@host:5432,host2/database?sslmode=verify-full`,
    /// `host=… dbname=…`, or
    /// `user:password@host/database`.
    /// - Throws: code 701 with the error in it.
    public init(_ text: String) throws(SkeinError) {
        self.init()
        let isWords = !text.containsBytes("://") && text.containsBytes("=") && !text.containsBytes("@")
        var words =
            isWords ? try Self.words(text) : try Self.uri(text.containsBytes("://") ? text : "postgres://\(text)")
        try apply(&words)
    }

    private static func problem(_ message: String) -> SkeinError {
        SkeinError(.exception, because: "the connection string cannot be used: \(message)")
    }

    /// `host=localhost dbname='my db'`
    private static func words(_ text: String) throws(SkeinError) -> [String: String] {
        var words: [String: String] = [:]
        var rest = text.unicodeScalars[...]
        func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar == " " || (0x09...0x0D).contains(scalar.value) }
        while true {
            rest = rest.drop(while: isBlank)
            if rest.isEmpty { return words }
            guard let equals = rest.firstIndex(where: { $0 == "=" }) else {
                throw problem("\(String(rest.prefix(20))) has no value")
            }
            let name = Substring(rest[..<equals]).trimmed
            rest = rest[equals...].dropFirst().drop(while: isBlank)
            var value = String.UnicodeScalarView()
            let isQuoted = rest.first == "'"
            if isQuoted { rest.removeFirst() }
            var isClosed = !isQuoted
            while let scalar = rest.first {
                if isQuoted ? scalar == "'" : isBlank(scalar) {
                    if isQuoted { rest.removeFirst() }
                    isClosed = true
                    break
                }
                rest.removeFirst()
                if scalar == "\\", let next = rest.popFirst() { value.append(next) } else { value.append(scalar) }
            }
            guard isClosed else { throw problem("a quotation mark of \(name) is not closed") }
            words[name] = String(value)
        }
    }

    private static func uri(_ text: String) throws(SkeinError) -> [String: String] {
        guard let separator = text.rangeOfBytes("://") else { throw problem("it has no scheme") }
        let scheme = text[..<separator.lowerBound].lowercased()
        guard scheme == "postgres" || scheme == "postgresql" else {
            throw problem("its scheme is \(scheme) and not postgres")
        }
        var words: [String: String] = [:]
        var rest = text[separator.upperBound...]
        if let mark = rest.firstByte("?") {
            for pair in rest[rest.index(after: mark)...].splitBytes(separator: "&") {
                let parts = pair.splitBytes(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2 else { throw problem("\(pair) has no value") }
                words[try decoded(parts[0])] = try decoded(parts[1])
            }
            rest = rest[..<mark]
        }
        if let slash = rest.firstByte("/") {
            let name = rest[rest.index(after: slash)...]
            if !name.isEmpty { words["dbname"] = try decoded(name) }
            rest = rest[..<slash]
        }
        if let at = rest.lastByte("@") {
            let parts = rest[..<at].splitBytes(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            if !parts[0].isEmpty { words["user"] = try decoded(parts[0]) }
            if parts.count == 2 { words["password"] = try decoded(parts[1]) }
            rest = rest[rest.index(after: at)...]
        }
        if !rest.isEmpty {
            var hosts: [String] = []
            var ports: [String] = []
            for member in rest.splitBytes(separator: ",", omittingEmptySubsequences: false) {
                let (host, port) = split(member)
                hosts.append(try decoded(host))
                ports.append(String(port))
            }
            words["host"] = hosts.joined(separator: ",")
            if ports.contains(where: { !$0.isEmpty }) { words["port"] = ports.joined(separator: ",") }
        }
        return words
    }

    /// `host:port`, `[::1]:port`
    private static func split(_ member: Substring) -> (host: Substring, port: Substring) {
        if member.first == "[", let end = member.firstByte("]") {
            let tail = member[member.index(after: end)...]
            return (member[member.index(after: member.startIndex)..<end], tail.dropFirst())
        }
        guard let colon = member.lastByte(":") else { return (member, "") }
        return (member[..<colon], member[member.index(after: colon)...])
    }

    private static func decoded(_ text: Substring) throws(SkeinError) -> String {
        guard let value = text.withoutPercents else { throw problem("\(text) is badly percent-encoded") }
        return value
    }

    private mutating func apply(_ words: inout [String: String]) throws(SkeinError) {
        func take(_ name: String) -> String? { words.removeValue(forKey: name) }
        func choice<T: RawRepresentable<String>>(_ name: String, _ type: T.Type) throws(SkeinError) -> T? {
            guard let text = take(name) else { return nil }
            guard let value = T(rawValue: text) else {
                throw Self.problem("\(text.debugDescription) is not a valid \(name)")
            }
            return value
        }
        func number(_ name: String) throws(SkeinError) -> Int? {
            guard let text = take(name) else { return nil }
            guard let value = Int(text), value >= 0 else { throw Self.problem("\(name) is not a number") }
            return value
        }
        if let value = take("user") { user = value }
        password = take("password") ?? password
        database = take("dbname") ?? user
        let names = take("hostaddr") ?? take("host") ?? "localhost"
        try setHosts(names, ports: take("port"))
        if let mode = take("sslmode") {
            switch mode {
            case "allow": tls = .prefer
            case "verify-ca": throw Self.problem("sslmode verify-ca is not supported; use verify-full, which is safer")
            default:
                guard let value = TLSMode(rawValue: mode) else { throw Self.problem("\(mode) is not an sslmode") }
                tls = value
            }
        }
        target = try choice("target_session_attrs", Target.self) ?? target
        channelBinding = try choice("channel_binding", ChannelBinding.self) ?? channelBinding
        if let name = take("application_name") { applicationName = name }
        if let file = take("sslrootcert"), file != "system" { tlsConfiguration.roots = .file(file) }
        if let file = take("sslcert") { tlsConfiguration.certificateFile = file }
        tlsConfiguration.keyFile = take("sslkey") ?? tlsConfiguration.keyFile
        if let seconds = try number("connect_timeout"), seconds > 0 { pool.connectTimeout = .seconds(seconds) }
        if let seconds = try number("timeout") { timeout = .seconds(seconds) }
        if let count = try number("pool_size") { pool.maximum = max(1, count) }
        if let word = take("prepared_statements") {
            guard let value = Bool(word) else { throw Self.problem("prepared_statements must be true or false") }
            preparesStatements = value
        }
        settings["options"] = take("options")
        _ = take("client_encoding")
        if let path = take("search_path") { settings["search_path"] = path }
        if let stranger = words.keys.sorted().first { throw Self.problem("\(stranger.debugDescription) is not known") }
    }

    private mutating func setHosts(_ names: String, ports: String?) throws(SkeinError) {
        let list = names.splitBytes(separator: ",", omittingEmptySubsequences: false)
        let numbers = ports?.splitBytes(separator: ",", omittingEmptySubsequences: false) ?? []
        guard numbers.count <= 1 || numbers.count == list.count else {
            throw Self.problem("there are \(list.count) hosts and \(numbers.count) ports")
        }
        var endpoints: [Endpoint] = []
        for (place, name) in list.enumerated() {
            let text = numbers.isEmpty ? "" : numbers.count == 1 ? numbers[0] : numbers[place]
            guard let port = text.isEmpty ? 5432 : Int(text), (1...65535).contains(port) else {
                throw Self.problem("\(text) is not a port")
            }
            if name.hasBytePrefix("/") {
                endpoints.append(.unix(path: "\(name)/.s.PGSQL.\(port)"))
            } else {
                endpoints.append(.host(name.isEmpty ? "localhost" : String(name), port: port))
            }
        }
        hosts = endpoints
    }
}

extension Substring {
    fileprivate var trimmed: String {
        splitAtBlanks().joined(separator: " ")
    }
}
