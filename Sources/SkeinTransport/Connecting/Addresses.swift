// Parts of connection strings, common to all databases.

import SkeinCore

extension Substring {
    /// The percent-decoded text (RFC 3986, section 2.1); nil when it is malformed or contains a NUL.
    package var withoutPercents: String? {
        guard utf8.contains(UInt8(ascii: "%")) else { return String(self) }
        guard let bytes = Percent.bytes(self), !bytes.contains(0) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension Endpoint {
    /// A host with or without a port: `host`, `host:5432`, `[::1]:5432`; empty for the local host.
    package init?(hostAndPort text: Substring, port standard: Int) {
        var host = text
        var digits: Substring = ""
        if text.hasBytePrefix("["), let end = text.firstByte("]") {
            host = text[..<end].droppingBytes(first: 1)
            let tail = text.text(after: end)
            guard tail.isEmpty || tail.hasBytePrefix(":") else { return nil }
            digits = tail.droppingBytes(first: 1)
        } else if let colon = text.lastByte(":") {
            host = text[..<colon]
            digits = text.text(after: colon)
        }
        guard let name = host.withoutPercents, let port = digits.isEmpty ? standard : Int(digits),
            (1...65535).contains(port)
        else { return nil }
        self = .host(name.isEmpty ? "localhost" : name, port: port)
    }

    /// Whether it is on this machine.
    package var isLocal: Bool {
        switch self {
        case .unix: true
        case .host(let host, _): host == "localhost" || IPAddress.bytes(host).map(IPAddress.isLoopback) == true
        }
    }
}
