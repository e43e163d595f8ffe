// Base 64 with the URL-safe alphabet.

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Base64url without padding (RFC 4648, section 5).
package enum Base64URL {
    package static func encode(_ bytes: some Sequence<UInt8>) -> String {
        Data(bytes).base64EncodedString().replacingBytes("+", with: "-").replacingBytes("/", with: "_").replacingBytes(
            "=", with: "")
    }

    /// The decoded bytes; nil when the text is not base64url.
    package static func decode(_ text: String) -> Data? {
        let padding = String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
        return Data(base64Encoded: text.replacingBytes("-", with: "+").replacingBytes("_", with: "/") + padding)
    }

    /// The decoded bytes; nil when the text has padding, bytes outside of the alphabet, or bits behind the last byte that are not zero.
    package static func decodeStrict(_ text: String) -> Data? {
        guard
            text.utf8.allSatisfy({ Bytes.isDigit($0) || Bytes.lowercased($0) &- 0x61 < 26 || $0 == 0x2D || $0 == 0x5F }
            ),
            let bytes = decode(text), encode(bytes).equalsBytes(text)
        else { return nil }
        return bytes
    }
}
