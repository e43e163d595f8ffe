// What is wrong with a header section that an application built.

/// Why a header section that an application built cannot be sent.
public struct HeaderProblem: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kinds of faults.
    public enum Fault: String, Sendable {
        /// The name is empty.
        case emptyName = "its name is empty"
        /// The name is not a token, or the value holds CR, LF, NUL or another control byte.
        case forbiddenByte = "its name is not a token or its value holds a line break, NUL or another control byte"
        /// The value is not UTF-8, which HTTP/2 does not carry here.
        case notText = "its value is not UTF-8, which is sent over HTTP/1.1 only"
        /// The name or the value is longer than any peer takes.
        case tooLong = "it is too long"
    }

    /// The name of the field as it was given.
    public let name: String
    /// What is wrong with it.
    public let fault: Fault

    /// One sentence that names the field and the fault, the name's own control bytes made visible.
    public var description: String {
        "the header field \(name.debugDescription) was refused before anything was sent: \(fault.rawValue)"
    }
}
