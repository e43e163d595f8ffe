// Where secrets are read from, because they are not allowed in configuration files.

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct SecretProblem: Error {
    let message: String
}

extension CheckedSection {
    /// The secret that a reference names; without the newline at the end of a file.
    static func secret(_ text: String) throws(SecretProblem) -> String {
        if text.hasBytePrefix("env:") {
            let name = String(text.droppingBytes(first: 4))
            guard let value = ProcessInfo.processInfo.environment[name], !value.isEmpty else {
                throw SecretProblem(message: "the environment variable \(name.debugDescription) is not set")
            }
            return value
        }
        guard text.hasBytePrefix("file:") else {
            throw SecretProblem(
                message: "expected \(Setting.Kind.secret.expectation); secrets are not allowed in this file")
        }
        let path = String(text.droppingBytes(first: 5))
        guard let bytes = FileManager.default.contents(atPath: path),
            let value = String(validating: bytes, as: UTF8.self)
        else {
            throw SecretProblem(message: "the file \(path.debugDescription) cannot be read as text")
        }
        var end = value.utf8[...]
        while end.last == Bytes.lf || end.last == Bytes.cr { end = end.dropLast() }
        guard !end.isEmpty else { throw SecretProblem(message: "the file \(path.debugDescription) is empty") }
        return String(Substring(end))
    }
}
