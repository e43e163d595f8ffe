// Compression of messages.

import CZlib
import CZstd
import NIOCore

/// A compressor, with its ID
/// (https://github.com/mongodb/specifications/blob/master/source/compression/OP_COMPRESSED.md).
public enum MongoCompressor: UInt8, Sendable, Hashable, CaseIterable {
    case zlib = 2
    case zstd = 3

    /// Its name in a URI and in the handshake.
    public var name: String { self == .zlib ? "zlib" : "zstd" }

    init?(name: String) {
        guard let match = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = match
    }

    /// Handshakes and commands with credentials must not be compressed.
    static let exempt: Set<String> = [
        "hello", "isMaster", "ismaster", "saslStart", "saslContinue", "getnonce", "authenticate", "createUser",
        "updateUser", "copydbSaslStart", "copydbgetnonce", "copydb",
    ]

    /// The compressed bytes; nil on failure.
    func compress(_ bytes: ByteBufferView) -> [UInt8]? {
        let count = bytes.count
        let bound = self == .zlib ? Int(compressBound(UInt(count))) : ZSTD_compressBound(count)
        return bytes.withUnsafeBytes { source in
            var isDone = false
            let result = [UInt8](unsafeUninitializedCapacity: bound) { target, written in
                if self == .zlib {
                    var length = UInt(bound)
                    isDone =
                        compress2(
                            target.baseAddress, &length, source.bindMemory(to: UInt8.self).baseAddress, UInt(count),
                            Z_DEFAULT_COMPRESSION) == Z_OK
                    written = isDone ? Int(length) : 0
                } else {
                    let length = ZSTD_compress(target.baseAddress, bound, source.baseAddress, count, 3)
                    isDone = ZSTD_isError(length) == 0
                    written = isDone ? length : 0
                }
            }
            return isDone ? result : nil
        }
    }

    /// The decompressed bytes; nil for invalid data, or a wrong size.
    func decompress(_ bytes: ByteBufferView, size: Int) -> ByteBuffer? {
        var output = ByteBuffer()
        var isDone = false
        output.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { target in
            bytes.withUnsafeBytes { source in
                if self == .zlib {
                    var length = UInt(size)
                    let code = uncompress(
                        target.bindMemory(to: UInt8.self).baseAddress, &length,
                        source.bindMemory(to: UInt8.self).baseAddress, UInt(source.count))
                    isDone = code == Z_OK && Int(length) == size
                } else {
                    isDone = ZSTD_decompress(target.baseAddress, size, source.baseAddress, source.count) == size
                }
            }
            return isDone ? size : 0
        }
        return isDone ? output : nil
    }
}
