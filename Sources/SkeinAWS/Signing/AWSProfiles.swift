// The files of the AWS command line: `~/.aws/credentials` and `~/.aws/config`.

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Settings of one profile.
struct AWSProfiles: Sendable {
    private let environment: [String: String]

    init(_ environment: [String: String]) { self.environment = environment }

    /// The values of the selected profile; those of the credentials file take precedence.
    /// - Throws: code 701 for a profile that is in neither file.
    func values() throws(SkeinError) -> [String: String] {
        let name = environment["AWS_PROFILE"] ?? environment["AWS_DEFAULT_PROFILE"]
        let home = environment["HOME"] ?? ""
        let credentials = Self.read(environment["AWS_SHARED_CREDENTIALS_FILE"] ?? "\(home)/.aws/credentials")
        let config = Self.read(environment["AWS_CONFIG_FILE"] ?? "\(home)/.aws/config")
        let wanted = name ?? "default"
        let found = [config[wanted == "default" ? wanted : "profile \(wanted)"], credentials[wanted]].compactMap { $0 }
        if found.isEmpty, let name {
            throw SkeinError(
                .exception,
                because: "the profile \(name) of AWS_PROFILE is in neither ~/.aws/credentials nor ~/.aws/config")
        }
        return found.reduce(into: [:]) { values, more in values.merge(more) { $1 } }
    }

    private static func read(_ path: String) -> [String: [String: String]] {
        guard let text = try? String(contentsOf: URL(filePath: path), encoding: .utf8) else { return [:] }
        return parse(text)
    }

    /// Sections with names and values; a `#` or `;` at the beginning of a line, or after a space, starts a comment.
    static func parse(_ text: String) -> [String: [String: String]] {
        var sections: [String: [String: String]] = [:]
        var section: String?
        for line in text.lines() {
            guard !line.hasBytePrefix("#"), !line.hasBytePrefix(";") else { continue }
            if line.hasBytePrefix("[") {
                section = line.droppingBytes(first: 1).prefix(before: "]").splitAtBlanks().joined(
                    separator: " ")
                continue
            }
            // Indented lines belong to nested values, which are not used here.
            guard let section, !line.hasBytePrefix(" "), !line.hasBytePrefix("\t") else { continue }
            let parts = line.splitBytes(separator: "=", maxSplits: 1)
            guard parts.count == 2 else { continue }
            var value = parts[1]
            for mark in [" #", " ;"] {
                if let range = value.rangeOfBytes(mark) { value = value[..<range.lowerBound] }
            }
            sections[section, default: [:]][trimmed(parts[0]).lowercased()] = trimmed(value)
        }
        return sections
    }

    private static func trimmed(_ text: Substring) -> String {
        text.splitAtBlanks().joined(separator: " ")
    }
}
