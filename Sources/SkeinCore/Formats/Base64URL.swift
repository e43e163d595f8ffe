// Base 64 with the URL-safe alphabet.

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Base64url without padding (RFC 4648, section 5).
package enum Base64URL {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    /// The value of each letter; 255 for other bytes.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 255, count: 256)
        for (value, letter) in alphabet.enumerated() { values[Int(letter)] = UInt8(value) }
        return values
    }()

    package static func encode(_ bytes: some Sequence<UInt8>) -> String { text(Array(bytes)) }

    /// Separate from the generic function, so that the loop is not generic code.
    private static func text(_ bytes: [UInt8]) -> String {
        String(unsafeUninitializedCapacity: (bytes.count * 4 + 2) / 3) { target in
            var (bits, count, place): (UInt32, UInt32, Int) = (0, 0, 0)
            for byte in bytes {
                bits = bits << 8 | UInt32(byte)
                count += 8
                while count >= 6 {
                    count -= 6
                    target[place] = alphabet[Int(bits >> count & 63)]
                    place += 1
                }
            }
            if count > 0 {
                target[place] = alphabet[Int(bits << (6 - count) & 63)]
                place += 1
            }
            return place
        }
    }

    /// The decoded bytes; nil when the text is not base64url. Trailing bits are ignored.
    package static func decode(_ text: String) -> Data? { bytes(text[...], isStrict: false).map { Data($0) } }

    /// The decoded bytes; nil when the text has padding, bytes outside of the alphabet, or trailing bits that are not
    /// zero.
    package static func decodeStrict(_ text: String) -> Data? { decodeStrict(text[...]) }

    /// The decoded bytes; nil when the text has padding, bytes outside of the alphabet, or trailing bits that are not
    /// zero.
    package static func decodeStrict(_ text: Substring) -> Data? { bytes(text, isStrict: true).map { Data($0) } }

    private static func bytes(_ text: Substring, isStrict: Bool) -> [UInt8]? {
        var text = text
        return text.withUTF8 { source -> [UInt8]? in
            guard source.count % 4 != 1 else { return nil }
            var isGood = true
            let bytes = [UInt8](unsafeUninitializedCapacity: source.count * 3 / 4) { target, filled in
                var (bits, count): (UInt32, UInt32) = (0, 0)
                for letter in source {
                    let value = values[Int(letter)]
                    guard value != 255 else {
                        isGood = false
                        return
                    }
                    bits = bits << 6 | UInt32(value)
                    count += 6
                    guard count >= 8 else { continue }
                    count -= 8
                    target[filled] = UInt8(truncatingIfNeeded: bits >> count)
                    filled += 1
                }
                if isStrict, bits & (1 << count - 1) != 0 { isGood = false }
            }
            return isGood ? bytes : nil
        }
    }
}
