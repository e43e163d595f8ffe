// Errors in header sections of applications.

/// The reason why a header section of an application cannot be sent.
public struct HeaderProblem: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kinds of faults.
    public enum Fault: String, Sendable {
        /// The name is empty.
        case emptyName = "its name is empty"
        /// The name is not a token, or the value holds CR, LF, NUL or another control byte.
        case forbiddenByte = "its name is not a token or its value holds a line break, NUL or another control byte"
        /// The value is not UTF-8, which is not sent over HTTP/2.
        case notText = "its value is not UTF-8, which is sent over HTTP/1.1 only"
        /// The name or the value is too long.
        case tooLong = "it is too long"
    }

    /// The name of the field.
    public let name: String
    /// The error.
    public let fault: Fault

    /// One sentence that names the field and the fault, with control bytes of the name escaped.
    public var description: String {
        "the header field \(name.debugDescription) was refused before anything was sent: \(fault.rawValue)"
    }
}
