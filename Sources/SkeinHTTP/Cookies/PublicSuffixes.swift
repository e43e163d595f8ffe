// Public suffixes: the domains below which anybody can register names (https://publicsuffix.org).

import SkeinTransport
import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A list of public suffixes.
public struct PublicSuffixes: Sendable {
    private enum Rules {
        case list(names: Set<String>, wildcards: Set<String>, exceptions: Set<String>)
        case guess
    }

    private let rules: Rules

    /// The list of the system (Debian's package `publicsuffix`), read once; without it, ``builtIn``.
    public static let system = PublicSuffixes(file: "/usr/share/publicsuffix/public_suffix_list.dat") ?? .builtIn

    /// An approximation without a list: names of one label, and the usual second labels of countries, such as `co.uk`.
    public static let builtIn = PublicSuffixes(.guess)

    private init(_ rules: Rules) { self.rules = rules }

    /// The rules of a list in the format of publicsuffix.org; nil when the file cannot be read.
    public init?(file path: String) {
        guard let text = try? String(contentsOf: URL(filePath: path), encoding: .utf8) else { return nil }
        self.init(list: text)
    }

    init(list text: String) {
        var names: Set<String> = []
        var wildcards: Set<String> = []
        var exceptions: Set<String> = []
        for line in text.lines() {
            let rule = line.splitAtBlanks().first ?? ""
            if rule.isEmpty || rule.hasBytePrefix("//") { continue }
            if rule.hasBytePrefix("!") {
                exceptions.insert(Self.ascii(rule.dropFirst()))
            } else if rule.hasBytePrefix("*.") {
                wildcards.insert(Self.ascii(rule.dropFirst(2)))
            } else {
                names.insert(Self.ascii(rule))
            }
        }
        rules = .list(names: names, wildcards: wildcards, exceptions: exceptions)
    }

    private static func ascii(_ name: Substring) -> String {
        if name.utf8.allSatisfy({ $0 < 0x80 }) { return name.lowercased() }
        return DNSName(String(name))?.text ?? String(name)
    }

    /// Whether a domain, in lower case, is a public suffix.
    public func contains(_ domain: String) -> Bool {
        let labels = domain.splitBytes(separator: ".", omittingEmptySubsequences: false)
        switch rules {
        case .guess:
            let usual: Set<Substring> = ["ac", "co", "com", "edu", "go", "gov", "gob", "mil", "ne", "net", "or", "org"]
            return labels.count == 1 || labels.count == 2 && labels[1].utf8.count == 2 && usual.contains(labels[0])
        case .list(let names, let wildcards, let exceptions):
            if exceptions.contains(domain) { return false }
            if names.contains(domain) { return true }
            if labels.count > 1, wildcards.contains(labels.dropFirst().joined(separator: ".")) { return true }
            return labels.count == 1  // the rule for domains without a rule
        }
    }
}
