// Credentials by host, which a session sends without being asked for each request.

import NIOCore
import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The credentials for each host.
public struct HTTPCredentials: Sendable {
    private var hosts: [String: HTTPAuth] = [:]
    private var others: HTTPAuth?

    /// None.
    public init() {}

    /// The credentials of a host, for all its ports; nil for none. Credentials of a request take precedence.
    public subscript(host: String) -> HTTPAuth? {
        get { hosts[host.lowercased()] ?? others }
        set { hosts[host.lowercased()] = newValue }
    }

    var isEmpty: Bool { hosts.isEmpty && others == nil }

    /// - Parameter first: the origin before any redirect. Credentials for any host apply to the origin that the caller
    ///   has named, not to one that a server has named.
    func auth(for origin: HTTPOrigin, redirectedFrom first: HTTPOrigin? = nil) -> HTTPAuth? {
        if isEmpty { return nil }
        let host = origin.endpoint.host
        if let first, first.endpoint.host != host { return hosts[host.lowercased()] }
        return self[host]
    }

    /// The machines of a `.netrc` file, for basic authentication, as curl and ftp read it.
    /// - Parameter path: the file. Default: the path in `NETRC`, or `.netrc` in the home folder.
    /// - Throws: code 701 when it cannot be read, or when users other than its owner may read the passwords in it.
    public static func netrc(_ path: String? = nil) throws(SkeinError) -> HTTPCredentials {
        let environment = ProcessInfo.processInfo.environment
        let path = path ?? environment["NETRC"] ?? "\(environment["HOME"] ?? "")/.netrc"
        func refuse(_ why: String) -> SkeinError { SkeinError(.exception, peer: path, because: why) }
        guard let text = try? String(contentsOf: URL(filePath: path), encoding: .utf8) else {
            throw refuse("the credentials file cannot be read")
        }
        if FileState(path: path)?.isOpenToOthers == true {
            throw refuse("other users may read the passwords in the file; run chmod 600 on it")
        }
        return HTTPCredentials(netrc: text)
    }

    init(netrc text: String) {
        // As curl reads it: the first matching entry counts, its words may be in any order, and entries after `default`
        // are ignored.
        var words = Self.words(text)[...]
        var entry: (host: String?, login: String?, password: String?)?
        func keep() {
            guard let entry, entry.login != nil || entry.password != nil else { return }
            let auth = HTTPAuth.basic(entry.login ?? "", entry.password ?? "")
            guard let host = entry.host else {
                others = others ?? auth
                return
            }
            if hosts[host.asciiLowercased] == nil { self[host] = auth }
        }
        while let word = words.popFirst() {
            switch word {
            case "machine":
                keep()
                entry = words.popFirst().map { ($0, nil, nil) }
            case "default":
                keep()
                entry = (nil, nil, nil)
            case "login": entry?.login = words.popFirst()
            case "password": entry?.password = words.popFirst()
            case "account": _ = words.popFirst()
            default: continue
            }
            if word == "machine", others != nil { break }
        }
        keep()
    }

    /// The character for an escape sequence in quotes.
    private static func escaped(_ letter: Unicode.Scalar) -> Unicode.Scalar {
        switch letter {
        case "n": "\n"
        case "r": "\r"
        case "t": "\t"
        default: letter
        }
    }

    /// The words of the file, without its comments and macros; one in quotes may hold blanks.
    private static func words(_ text: String) -> [String] {
        var words: [String] = []
        var isMacro = false
        for line in text.splitBytes(separator: "\n", omittingEmptySubsequences: false) {
            if line.splitAtBlanks().isEmpty { isMacro = false }
            if line.hasBytePrefix("macdef") { isMacro = true }
            if isMacro { continue }
            var rest = line.unicodeScalars[...]
            func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar == " " || (0x09...0x0D).contains(scalar.value) }
            while true {
                rest = rest.drop(while: isBlank)
                guard let first = rest.first, first != "#" else { break }
                if first == "\"" {
                    rest.removeFirst()
                    var word = String.UnicodeScalarView()
                    while let letter = rest.popFirst(), letter != "\"" {
                        word.append(letter == "\\" ? rest.popFirst().map(Self.escaped) ?? letter : letter)
                    }
                    words.append(String(word))
                } else {
                    words.append(String(rest.prefix { !isBlank($0) }))
                    rest = rest.drop { !isBlank($0) }
                }
            }
        }
        return words
    }
}
