// Stored responses in files.

import Crypto
import NIOCore
import NIOPosix
import SkeinCore
import SkeinWire
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Entries in a folder, one per file. A file is written under another name and renamed, and holds its own hash: after a
/// crash, an incomplete file is detected and ignored.
final class DiskCacheStore: CacheStore {
    private static let magic = "skein cache 2\n"

    /// The contents of the folder.
    private struct Index {
        var order: CacheOrder<String>
        /// The files of each URL.
        var names: [String: Set<String>] = [:]
        /// The URL and tags that each file can be purged by.
        var labels: [String: Label] = [:]

        /// Notes a file.
        /// - Returns: the files to delete.
        mutating func put(_ name: String, size: Int, _ label: Label) -> [String] {
            labels[name] = label
            names[DiskCacheStore.group(of: name), default: []].insert(name)
            let gone = order.put(name, size: size)
            for name in gone { remove(name) }
            return gone
        }

        mutating func remove(_ name: String) {
            order.remove(name)
            labels[name] = nil
            let group = DiskCacheStore.group(of: name)
            names[group]?.remove(name)
            if names[group]?.isEmpty == true { names[group] = nil }
        }
    }

    private struct Label {
        let key: String
        let tags: [String]
    }

    private let folder: URL
    private let index: Mutex<Index>

    init(folder: String, maximum: Int) throws(SkeinError) {
        self.folder = URL(filePath: folder)
        var index = Index(order: CacheOrder(maximum: maximum))
        do {
            try FileManager.default.createDirectory(
                at: self.folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            let files = try FileManager.default.contentsOfDirectory(atPath: folder).map { name in
                let state = FileState(path: "\(folder)/\(name)")
                return (name: name, size: state?.size ?? 0, modified: state?.modified ?? 0)
            }
            let now = Int(Date.now.timeIntervalSince1970)
            for file in files.sorted(by: { $0.modified < $1.modified }) {
                if file.name.hasByteSuffix(".entry") {
                    guard let label = Self.label(self.folder.appending(path: file.name)) else {
                        Self.delete(file.name, self.folder)
                        continue
                    }
                    for gone in index.put(file.name, size: file.size, label) { Self.delete(gone, self.folder) }
                } else if file.name.hasByteSuffix(".new"), file.modified < now - 3600 {
                    // Left over from a process that was killed. Files of another running process are younger.
                    Self.delete(file.name, self.folder)
                }
            }
        } catch {
            throw SkeinError(
                .exception, peer: folder, because: "the cache cannot use this folder: \(error)", cause: error)
        }
        self.index = Mutex(index)
    }

    func entries(_ key: String) async -> [CacheEntry] {
        let names = index.withLock { index in
            let names = index.names[Self.name(key)] ?? []
            for name in names { index.order.use(name) }
            return names
        }
        if names.isEmpty { return [] }
        return await onThread { names.compactMap { self.read($0, key) } } ?? []
    }

    func keep(_ entry: CacheEntry) async {
        let name = "\(Self.name(entry.key))-\(Self.name(entry.variant).prefix(16)).entry"
        _ = await onThread {
            guard let bytes = try? Self.encode(entry) else { return }
            let new = self.folder.appending(path: "\(name).\(UInt32.random(in: .min ... .max)).new")
            do {
                try Data(bytes).write(to: new)
            } catch {
                try? FileManager.default.removeItem(at: new)
                return
            }
            guard rename(new.path, self.folder.appending(path: name).path) == 0 else { return }
            let label = Label(key: entry.key, tags: entry.tags)
            let crowd = self.index.withLock { $0.names[Self.group(of: name)] ?? [] }
            if crowd.count >= MemoryCacheStore.mostVariants, !crowd.contains(name), let other = crowd.first {
                self.forget(other)
            }
            for gone in self.index.withLock({ $0.put(name, size: bytes.count, label) }) {
                Self.delete(gone, self.folder)
            }
        }
    }

    func remove(_ key: String) async {
        _ = await onThread {
            for name in self.index.withLock({ $0.names[Self.name(key)] ?? [] }) { self.forget(name) }
        }
    }

    func remove(where isMeant: @escaping @Sendable (String, [String]) -> Bool) async -> Int {
        await onThread {
            let names = self.index.withLock { index in
                index.labels.filter { isMeant($0.value.key, $0.value.tags) }.map(\.key)
            }
            for name in names { self.forget(name) }
            return names.count
        } ?? 0
    }

    // MARK: Files

    private func onThread<T: Sendable>(_ work: @escaping @Sendable () -> T) async -> T? {
        try? await NIOThreadPool.singleton.runIfActive(work)
    }

    private static func name(_ text: String) -> String { Hex.encode(SHA256.hash(data: Array(text.utf8))) }

    private static func group(of name: String) -> String { String(name.prefix(before: "-")) }

    private func forget(_ name: String) {
        index.withLock { $0.remove(name) }
        Self.delete(name, folder)
    }

    private static func delete(_ name: String, _ folder: URL) {
        try? FileManager.default.removeItem(at: folder.appending(path: name))
    }

    private func read(_ name: String, _ key: String) -> CacheEntry? {
        guard let data = try? Data(contentsOf: folder.appending(path: name)), let entry = Self.decode(data),
            entry.key == key
        else {
            forget(name)
            return nil
        }
        return entry
    }

    /// The header of a file, before the content.
    private struct Record: Codable {
        let key: String
        let varying: [String: String]
        let identity: String?
        let status: Int
        let reason: String
        let headers: [[String]]
        let requested: Double
        let received: Double
    }

    private static func encode(_ entry: CacheEntry) throws -> [UInt8] {
        let record = Record(
            key: entry.key, varying: entry.varying, identity: entry.identity, status: entry.status,
            reason: entry.reason,
            headers: entry.headers.map { [$0.name, $0.value] }, requested: entry.requested.timeIntervalSince1970,
            received: entry.received.timeIntervalSince1970)
        let head = try JSONEncoder().encode(record)
        var bytes = Array(magic.utf8)
        bytes += withUnsafeBytes(of: UInt32(head.count).bigEndian) { Array($0) }
        bytes += head
        bytes += entry.content.readableBytesView
        bytes += SHA256.hash(data: bytes)
        return bytes
    }

    /// The label that the beginning of a file yields.
    private static func label(_ file: URL) -> Label? {
        let descriptor = open(file.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var start = ByteBuffer()
        start.writeWithUnsafeMutableBytes(minimumWritableBytes: 64 << 10) {
            max(0, pread(descriptor, $0.baseAddress, $0.count, 0))
        }
        guard let (record, _) = record(start) else { return nil }
        let entry = entry(record, ByteBuffer())
        return Label(key: entry.key, tags: entry.tags)
    }

    private static func record(_ bytes: ByteBuffer) -> (Record, rest: ByteBuffer)? {
        var buffer = bytes
        guard buffer.readString(length: magic.utf8.count) == magic, let length = buffer.readInteger(as: UInt32.self),
            let head = buffer.readBytes(length: Int(length)),
            let record = try? JSONDecoder().decode(Record.self, from: Data(head))
        else { return nil }
        return (record, buffer)
    }

    private static func decode(_ data: Data) -> CacheEntry? {
        guard data.count > 32, Array(SHA256.hash(data: data.dropLast(32))) == Array(data.suffix(32)) else { return nil }
        return record(ByteBuffer(bytes: data.dropLast(32))).map { entry($0, $1) }
    }

    private static func entry(_ record: Record, _ content: ByteBuffer) -> CacheEntry {
        var headers = Headers()
        for field in record.headers where field.count == 2 { headers.add(field[0], field[1]) }
        return CacheEntry(
            key: record.key, varying: record.varying, identity: record.identity, status: record.status,
            reason: record.reason, headers: headers, content: content,
            requested: Date(timeIntervalSince1970: record.requested),
            received: Date(timeIntervalSince1970: record.received))
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif
