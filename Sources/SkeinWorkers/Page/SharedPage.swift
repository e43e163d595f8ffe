// The memory that a master and its workers share.

import CSkeinWorkers
import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Memory that the processes of a server share: named integers, locks, rate meters, and a record of each process.
///
/// The memory has no name in the file system. The master makes it and workers inherit it; a server without a master makes one for itself.
/// Its size is fixed: 1024 states, 256 locks, 128 processes, 16 384 rate meters. Pages that are not used take no memory.
///
/// Unchecked: the memory is changed by atomic operations and under locks of its own.
package final class SharedPage: @unchecked Sendable {
    package let page: OpaquePointer
    /// The file descriptor of the memory, for processes that are to share it.
    package let descriptor: CInt

    /// New memory.
    /// - Throws: code 701 when the system has no memory left.
    package init() throws(SkeinError) {
        var descriptor: CInt = -1
        guard let page = skein_page_create(&descriptor) else {
            throw SkeinError(
                .exception, because: "no shared memory can be created: \(String(cString: strerror(errno)))")
        }
        // Above the numbers of the descriptors that workers are started with.
        self.descriptor = FileNumbers.raised(descriptor)
        self.page = page
    }

    /// The memory that another process has created.
    /// - Throws: code 701 when it belongs to another version of the program.
    package init(descriptor: CInt, isWritable: Bool = true) throws(SkeinError) {
        guard let page = skein_page_map(descriptor, isWritable) else {
            throw SkeinError(
                .exception,
                because: errno == EPROTO
                    ? "the shared memory belongs to another version of the program"
                    : "the shared memory cannot be used: \(String(cString: strerror(errno)))")
        }
        self.page = page
        self.descriptor = descriptor
    }

    deinit {
        skein_page_unmap(page)
        close(descriptor)
    }

    /// The integer of a name, created with 0 if it does not exist.
    /// - Throws: code 701 when the name is longer than 88 bytes or empty, or 1024 names are taken.
    package func state(_ name: String) throws(SkeinError) -> UnsafeMutablePointer<skein_state> {
        var name = name
        let found = name.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { skein_page_state(page, $0.baseAddress, $0.count) }
        }
        guard let found else { throw Self.refusal(of: name, "states", SKEIN_STATES) }
        return found
    }

    /// The lock of a name, and its number.
    package func lock(_ name: String) throws(SkeinError) -> (entry: UnsafeMutablePointer<skein_state>, index: CInt) {
        var name = name
        var index: CInt = 0
        let found = name.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { skein_page_lock(page, $0.baseAddress, $0.count, &index) }
        }
        guard let found else { throw Self.refusal(of: name, "locks", SKEIN_LOCKS) }
        return (found, index)
    }

    private static func refusal(of name: String, _ kind: String, _ maximum: Int) -> SkeinError {
        let isSound = (1...SKEIN_NAME_BYTES).contains(name.utf8.count)
        return SkeinError(
            .exception,
            because: isSound
                ? "there are \(maximum) \(kind) already; no room for \(name.debugDescription)"
                : "\(name.debugDescription) is not a valid name; a name has 1 to \(SKEIN_NAME_BYTES) bytes")
    }

    /// The names and values of all states.
    package var states: [(name: String, value: Int)] {
        var all: [(name: String, value: Int)] = []
        while let entry = skein_page_state_at(page, CInt(all.count)) {
            all.append((Self.name(of: entry), Int(skein_load(&UnsafeMutablePointer(mutating: entry).pointee.value))))
        }
        return all
    }

    private static func name(of entry: UnsafePointer<skein_state>) -> String {
        withUnsafeBytes(of: entry.pointee.name) {
            String(decoding: $0.prefix(Int(entry.pointee.name_length)), as: UTF8.self)
        }
    }

    /// The records of the existing processes.
    package var records: [ProcessRecord] {
        (0..<SKEIN_RECORDS).map { ProcessRecord(page: self, index: $0) }.filter { $0.processID != 0 }
    }

    /// Reserves a record for a process that is about to be started; nil if all are taken. Two masters may call this at
    /// the same time.
    func takeRecord(slot: Int, generation: Int) -> ProcessRecord? {
        for index in 0..<SKEIN_RECORDS {
            let record = ProcessRecord(page: self, index: index)
            if record.take(slot: slot, generation: generation, at: time(nil)) { return record }
        }
        return nil
    }

    /// Counters of all processes, including those that have ended, as they were at one moment.
    /// - Parameter counters: the number of counters.
    package func sums(_ counters: Int) -> [Int] {
        var sums = [Int64](repeating: 0, count: Int(SKEIN_COUNTERS))
        skein_page_sums(page, &sums)
        return sums.prefix(counters).map { Int($0) }
    }

    /// A fact of the master.
    package subscript(fact: MasterFact) -> Int {
        get { Int(skein_load(skein_page_master(page) + fact.rawValue)) }
        set { skein_store(skein_page_master(page) + fact.rawValue, Int64(newValue)) }
    }
}

/// Facts that a master records about itself.
package enum MasterFact: Int, Sendable {
    case processID
    /// Seconds since 1970.
    case started
    /// Workers that are wanted.
    case slots
    /// Workers that were started in place of others.
    case replacements
    /// Workers that ended by a signal that the master did not send, or with an exit code other than 0.
    case crashes
    case reloads
    /// Reloads and replacements that were abandoned because a new worker did not serve.
    case failedReloads
    /// Whether all slots are served.
    case isServing
}

/// Numbers of file descriptors.
package enum FileNumbers {
    /// Descriptors that are passed on have numbers above those that they get in another process.
    static let lowest: CInt = 200

    /// Duplicates a descriptor to a high number, which programs do not inherit.
    package static func raised(_ descriptor: CInt) -> CInt {
        let high = fcntl(descriptor, F_DUPFD_CLOEXEC, lowest)
        guard high >= 0 else { return descriptor }
        close(descriptor)
        return high
    }
}
