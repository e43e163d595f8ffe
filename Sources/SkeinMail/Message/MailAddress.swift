// Mail addresses (RFC 5322, section 3.4; RFC 6531): a display name, and a mailbox.

import SkeinCore
import SkeinTransport

/// An address: `ada@example.org` or `Ada Lovelace <ada@example.org>`.
///
/// An invalid address is reported when the message is composed, so that a literal needs no `try`.
public struct MailAddress: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The display name; nil when there is none.
    public let name: String?
    /// The mailbox for commands and fields, its domain in ASCII (RFC 5891).
    public let mailbox: String
    /// The error in it; nil for a valid address.
    package let problem: String?

    /// Parses an address.
    /// - Parameter text: `ada@example.org`, `Ada <ada@example.org>` or `"Lovelace, Ada" <ada@example.org>`.
    public init(_ text: String) {
        let text = text.trimmingBlanks()
        guard text.hasByteSuffix(">"), let start = text.lastByte("<") else {
            self.init(name: nil, String(text))
            return
        }
        let name = text[..<start].trimmingBlanks()
        self.init(
            name: name.isEmpty ? nil : Self.unquoted(name), String(text.text(after: start).droppingBytes(last: 1)))
    }

    /// An address of its parts.
    /// - Parameters:
    ///   - name: the display name, without line ends.
    ///   - mailbox: the part before the @, and a domain in any script.
    public init(name: String?, _ mailbox: String) {
        self.name = name
        do throws(SkeinError) {
            self.mailbox = try Self.checked(mailbox)
            problem = name.map(HeaderText.hasControl) == true ? "the name of \(mailbox) has a control character" : nil
        } catch {
            self.mailbox = mailbox
            problem = error.message
        }
    }

    /// Parses an address literal.
    public init(stringLiteral value: String) { self.init(value) }

    /// Parses a comma-separated list of addresses.
    public static func list(_ text: String) -> [MailAddress] {
        var addresses: [MailAddress] = []
        var start = text.startIndex
        var isQuoted = false
        var isEscaped = false
        for index in text.utf8.indices {
            switch text.utf8[index] {
            case _ where isEscaped: isEscaped = false
            case UInt8(ascii: "\\") where isQuoted: isEscaped = true
            case UInt8(ascii: "\""): isQuoted.toggle()
            case UInt8(ascii: ",") where !isQuoted:
                addresses.append(MailAddress(String(text[start..<index])))
                start = text.utf8.index(after: index)
            default: break
            }
        }
        addresses.append(MailAddress(String(text[start...])))
        return addresses.filter { !$0.mailbox.isEmpty }
    }

    /// The domain, in ASCII and lower case.
    public var domain: String { mailbox.lastByte("@").map { String(mailbox.text(after: $0)) } ?? "" }

    /// Whether servers need SMTPUTF8 for it.
    var needsUTF8: Bool { !mailbox.utf8.allSatisfy { $0 < 0x80 } }

    /// The address with its display name.
    public var description: String { name.map { "\($0) <\(mailbox)>" } ?? mailbox }

    // MARK: Grammar

    /// Whether a mailbox is safe in angle brackets of a command: no byte ends the path or the line.
    static func isSafePath(_ mailbox: String) -> Bool {
        mailbox.utf8.count <= 512
            && mailbox.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "<") && $0 != UInt8(ascii: ">") }
    }

    /// Checks a mailbox and converts its domain to ASCII.
    private static func checked(_ text: String) throws(SkeinError) -> String {
        func fail(_ message: String) -> SkeinError {
            SkeinError(.exception, because: "\(text.debugDescription) is not an address: \(message)")
        }
        guard let at = text.lastByte("@") else { throw fail("it has no @") }
        let local = text[..<at]
        guard (1...64).contains(local.utf8.count) else { throw fail("the part before the @ must have 1 to 64 bytes") }
        guard isLocal(local) else { throw fail("the part before the @ has a byte that is not allowed") }
        let domain = String(text.text(after: at))
        let ascii: String
        if domain.hasBytePrefix("["), domain.hasByteSuffix("]") {
            guard literal(domain) != nil else { throw fail("the IP address after the @ is invalid") }
            ascii = domain
        } else {
            guard let name = DNSName(domain), isHost(name.text) else { throw fail("its domain is invalid") }
            ascii = name.text
        }
        guard local.utf8.count + ascii.utf8.count < 254 else { throw fail("it has more than 254 bytes") }
        return "\(local)@\(ascii)"
    }

    /// The address of a domain literal, such as `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321, section 4.1.3).
    static func literal(_ domain: String) -> String? {
        guard domain.hasBytePrefix("["), domain.hasByteSuffix("]") else { return nil }
        let address = String(domain.droppingBytes(first: 1, last: 1))
        let bare = address.asciiLowercased.hasBytePrefix("ipv6:") ? String(address.droppingBytes(first: 5)) : address
        return IPAddress.bytes(bare) == nil ? nil : bare
    }

    private static func isHost(_ domain: String) -> Bool {
        domain.utf8.allSatisfy { byte in
            Bytes.isDigit(byte) || byte &- 0x61 < 26 || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
                || byte == UInt8(ascii: "_")
        }
    }

    /// A dot-atom; a quoted string must not contain spaces, since it has to pass through every server unchanged.
    private static func isLocal(_ local: Substring) -> Bool {
        let isQuoted = local.utf8.count > 2 && local.hasBytePrefix("\"") && local.hasByteSuffix("\"")
        if isQuoted {
            return local.droppingBytes(first: 1, last: 1).utf8.allSatisfy {
                $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
                    && $0 != UInt8(ascii: "<")
                    && $0 != UInt8(ascii: ">")
            }
        }
        let parts = local.splitBytes(separator: ".", omittingEmptySubsequences: false)
        return parts.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { HeaderText.isAtom($0) || $0 >= 0x80 } }
    }

    private static func unquoted(_ name: Substring) -> String {
        guard name.hasBytePrefix("\""), name.hasByteSuffix("\""), name.utf8.count > 1 else { return String(name) }
        var bytes: [UInt8] = []
        var isEscaped = false
        for byte in name.droppingBytes(first: 1, last: 1).utf8 {
            if byte == UInt8(ascii: "\\"), !isEscaped {
                isEscaped = true
            } else {
                bytes.append(byte)
                isEscaped = false
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
