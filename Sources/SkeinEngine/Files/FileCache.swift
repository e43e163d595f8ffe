// Small files in memory. The file's attributes are checked for every request, so that changes take effect at once.

import NIOCore
import SkeinCore
import SkeinWire
import Synchronization

/// A file as it is sent: its fields, and its content if it is small.
struct FileImage: Sendable {
    let state: FileState
    let coding: ContentCoding?
    let validators: Validators
    let type: String
    let headers: Headers
    /// The content; nil for a file that is too large for the cache.
    let bytes: ByteBuffer?
}

/// Images by path, within a limit.
final class FileCache: Sendable {
    /// Larger files are sent from the disk.
    static let maximumFile = 64 << 10

    private struct Key: Hashable {
        let path: ByteKey
        let coding: ContentCoding?

        init(_ path: String, _ coding: ContentCoding?) {
            self.path = ByteKey(path)
            self.coding = coding
        }
    }

    private struct Shelf {
        var images: [Key: FileImage] = [:]
        var size = 0
        /// Recently looked up paths.
        var warm: Set<ByteKey> = []
    }

    /// Shards with a lock each, so that loops rarely contend.
    private final class Slot: Sendable {
        let shelf = Mutex(Shelf())
    }

    private let slots = (0..<4).map { _ in Slot() }
    private let maximum: Int

    init(maximum: Int) { self.maximum = maximum }

    /// The maximum size of one entry.
    var room: Int { maximum / slots.count - 512 }

    /// Whether a path was looked up recently, so that looking it up again does not block on the disk.
    func isWarm(_ path: String) -> Bool { slot(path).shelf.withLock { $0.warm.contains(ByteKey(path)) } }

    /// Notes a lookup.
    func warm(_ path: String) {
        guard path.utf8.count <= 256 else { return }
        slot(path).shelf.withLock { shelf in
            if shelf.warm.count >= 4096 { shelf.warm = [] }
            shelf.warm.insert(ByteKey(path))
        }
    }

    /// The cached file, if its state has not changed.
    func image(_ path: String, _ coding: ContentCoding?, _ state: FileState) -> FileImage? {
        slot(path).shelf.withLock { shelf in
            guard let image = shelf.images[Key(path, coding)], image.state == state else { return nil }
            return image
        }
    }

    func keep(_ image: FileImage, _ path: String) {
        let key = Key(path, image.coding)
        let size = Self.size(image)
        guard size <= maximum / slots.count else { return }
        slot(path).shelf.withLock { shelf in
            if let old = shelf.images.updateValue(image, forKey: key) { shelf.size -= Self.size(old) }
            shelf.size += size
            // Which entry is evicted does not matter much: popular ones are cached again.
            while shelf.size > maximum / slots.count, let other = shelf.images.first(where: { $0.key != key }) {
                shelf.size -= Self.size(other.value)
                shelf.images[other.key] = nil
            }
        }
    }

    private static func size(_ image: FileImage) -> Int { 512 + (image.bytes?.readableBytes ?? 0) }

    private func slot(_ path: String) -> Slot {
        slots[Int(UInt(bitPattern: ByteKey(path).hashValue) % UInt(slots.count))]
    }
}
