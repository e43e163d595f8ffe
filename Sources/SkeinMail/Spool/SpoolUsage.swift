// The usage of a spool, shared by all its processes.

import SkeinCore

/// A file with two numbers: messages and bytes. Incremented before a message is stored and decremented after it is
/// deleted; the agent corrects the numbers when it starts, since a process may be killed in between.
struct SpoolUsage: Sendable {
    private static let length = 12 + 1 + 18 + 1

    private let file: MailFile

    init(_ path: String) throws(SkeinError) {
        do throws(SkeinError) {
            file = try MailFile(changingOrCreating: path)
        } catch  where error.isReadOnly {
            file = try MailFile(reading: path)
        }
    }

    /// The current usage.
    func read() throws(SkeinError) -> (count: Int, bytes: Int) {
        let text = String(decoding: try file.read(at: 0, count: Self.length), as: UTF8.self)
        let words = text.splitAtBlanks().compactMap { Int($0) }
        // The agent corrects an invalid file.
        guard words.count == 2, words.allSatisfy({ (0...(1 << 50)).contains($0) }) else { return (0, 0) }
        return (words[0], words[1])
    }

    /// Adds a message unless a limit is exceeded.
    /// - Throws: code 703 when it does not fit.
    func add(count: Int, bytes: Int, limits: MailSpool.Limits) throws(SkeinError) {
        try file.locked { () throws(SkeinError) in
            let now = try read()
            guard now.count <= limits.count - count, now.bytes <= limits.bytes - bytes else {
                throw SkeinError(
                    .overloaded,
                    because:
                        "the spool is full: \(now.count) of \(limits.count) messages, \(now.bytes) of \(limits.bytes) bytes; is the agent running?"
                )
            }
            try write(now.count + count, now.bytes + bytes)
        }
    }

    /// Subtracts deleted messages.
    func remove(count: Int, bytes: Int) {
        try? file.locked { () throws(SkeinError) in
            let now = try read()
            try write(now.count - count, now.bytes - bytes)
        }
    }

    /// Sets the counted usage.
    func set(count: Int, bytes: Int) { try? file.locked { () throws(SkeinError) in try write(count, bytes) } }

    private func write(_ count: Int, _ bytes: Int) throws(SkeinError) {
        let text =
            "\(CivilTime.padded(Int64(max(0, count)), to: 12)) \(CivilTime.padded(Int64(max(0, bytes)), to: 18))\n"
        try file.write(Array(text.utf8), at: 0)
    }
}
