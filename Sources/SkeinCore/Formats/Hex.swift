// Bytes as hexadecimal digits.

/// Hexadecimal digits, in lower case.
package enum Hex {
    private static let digits = Array("0123456789abcdef".utf8)

    /// Two digits for each byte.
    package static func encode(_ bytes: some Sequence<UInt8>) -> String { text(Array(bytes)) }

    /// Digits for so many random bytes.
    package static func random(_ count: Int) -> String { encode(RandomBytes.make(count)) }

    /// Separate from the generic function, so that the loop is not generic code.
    private static func text(_ bytes: [UInt8]) -> String {
        String(unsafeUninitializedCapacity: bytes.count * 2) { target in
            for (place, byte) in bytes.enumerated() {
                target[2 * place] = digits[Int(byte >> 4)]
                target[2 * place + 1] = digits[Int(byte & 15)]
            }
            return bytes.count * 2
        }
    }
}
