// Percent-encoding.

/// Percent-encoding (RFC 3986, section 2.1).
package enum Percent {
    /// Encodes all bytes that a request target cannot hold: everything but visible ASCII.
    package static func encodeUnsafe(_ text: String) -> String { encode(text) { Bytes.isTarget($0) } }

    /// Encodes bytes above ASCII, whatever their charset; the others stay.
    package static func encodeNonASCII(_ bytes: some Collection<UInt8>) -> String { encode(bytes) { $0 < 0x80 } }

    /// Encodes a form's name or value; a space becomes `+`.
    package static func encodeForm(_ text: String) -> String {
        encode(text) { byte in
            Bytes.isDigit(byte) || Bytes.lowercased(byte) &- 0x61 < 26 || byte == UInt8(ascii: "-")
                || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "*")
                || byte == UInt8(ascii: " ")
        }.replacingBytes(" ", with: "+")
    }

    /// Encodes everything but letters, digits and `-._~` (RFC 3986, section 2.3).
    package static func encodeUnreserved(_ text: String) -> String { encode(text, isUnreserved) }

    /// The same of bytes.
    package static func encodeUnreserved(_ bytes: [UInt8]) -> String { encode(bytes, isUnreserved) }

    /// Encodes a path for a signature: like ``encodeUnreserved(_:)``, but the slashes stay.
    package static func encodePath(_ text: String) -> String {
        encode(text) { isUnreserved($0) || $0 == UInt8(ascii: "/") }
    }

    /// Letters, digits and `-._~`, which are equivalent to their encoded form (RFC 3986, section 2.3).
    package static func isUnreserved(_ byte: UInt8) -> Bool {
        Bytes.isDigit(byte) || Bytes.lowercased(byte) &- 0x61 < 26
            || [UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~")].contains(byte)
    }

    /// The names and values of a query or a form, in order. Malformed encodings are left unchanged.
    package static func decodeForm(_ text: some StringProtocol) -> [(String, String)] {
        text.splitBytes(separator: "&").map { pair in
            let parts = pair.splitBytes(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { part in
                let plain = String(part).replacingBytes("+", with: " ")
                return decode(plain) ?? plain
            }
            return (parts[0], parts.count > 1 ? parts[1] : "")
        }
    }

    /// Undoes the encoding, or nil when a `%` is not followed by two digits or the bytes are not UTF-8.
    package static func decode(_ text: some StringProtocol) -> String? {
        bytes(text).flatMap { String(validating: $0, as: UTF8.self) }
    }

    /// Undoes the encoding, or nil when a `%` is not followed by two digits.
    package static func bytes(_ text: some StringProtocol) -> [UInt8]? {
        let (bytes, isWhole) = decoded(text.utf8)
        return isWhole ? bytes : nil
    }

    /// Decodes, and keeps a `%` that is not followed by two hexadecimal digits.
    package static func lenientBytes(_ text: some StringProtocol) -> [UInt8] { decoded(text.utf8).bytes }

    /// Decodes, and keeps a `%` that is not followed by two hexadecimal digits.
    package static func lenientBytes(_ bytes: UnsafeRawBufferPointer) -> [UInt8] { decoded(bytes).bytes }

    private static func decoded(_ text: some Collection<UInt8>) -> (bytes: [UInt8], isWhole: Bool) {
        var bytes: [UInt8] = []
        var isWhole = true
        var rest = Array(text)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%") {
                if rest.count >= 2, let high = Bytes.hexValue(rest[rest.startIndex]),
                    let low = Bytes.hexValue(rest[rest.startIndex + 1])
                {
                    bytes.append(UInt8(high << 4 | low))
                    rest = rest.dropFirst(2)
                    continue
                }
                isWhole = false
            }
            bytes.append(byte)
        }
        return (bytes, isWhole)
    }

    /// Encodes the bytes that are not safe.
    package static func encode(_ text: String, _ isSafe: (UInt8) -> Bool) -> String {
        encode(text.utf8, isSafe)
    }

    private static func encode(_ text: some Collection<UInt8>, _ isSafe: (UInt8) -> Bool) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count + 16)
        for byte in text {
            if isSafe(byte) {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
