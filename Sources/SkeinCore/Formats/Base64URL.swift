// Base 64 with letters that may stand anywhere.

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Base 64 for URLs and fields, without padding (RFC 4648, section 5).
package enum Base64URL {
    package static func encode(_ bytes: some Sequence<UInt8>) -> String {
        Data(bytes).base64EncodedString().replacingBytes("+", with: "-").replacingBytes("/", with: "_").replacingBytes(
            "=", with: "")
    }

    /// The bytes of a text; nil when it is none.
    package static func decode(_ text: String) -> Data? {
        let padding = String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
        return Data(base64Encoded: text.replacingBytes("-", with: "+").replacingBytes("_", with: "/") + padding)
    }
}
