// The file of a message: its bytes, its envelope, and the result for each recipient.
//
//     SkeinMail1 CONTENT-LENGTH ENVELOPE-LENGTH SHA-256      fixed width
//     content                                                 as it is sent, but for the fields in front
//     envelope                                                a document of JSON
//     ATTEMPTS DUE MARKS                                      fixed width; a byte for each recipient
//     notes                                                   lines of JSON, one for each answer that was no yes
//
// All parts but the last two never change, and are covered by the checksum. Marks are overwritten in place, so that a
// delivery can be recorded on a full disk; a note that does not fit on the disk is dropped.

import Crypto
import SkeinCore

/// A message in a spool. Used by one thread at a time.
package final class SpoolFile: @unchecked Sendable {
    /// The result for a recipient.
    package enum Mark: UInt8, Sendable {
        case pending = 0x2D
        case delivered = 0x64
        case failed = 0x66
    }

    /// A recorded response for a message.
    package struct Note: Sendable, Equatable {
        /// Milliseconds since 1970.
        package var moment: Int
        package var recipient: String
        package var text: String
    }

    /// The last moment that has 13 digits, in milliseconds since 1970.
    static let lastMoment = 9_999_999_999_999
    static let headerLength = 11 + 17 + 11 + 65
    private static let marksLength = 7 + 14
    /// Bytes that are read at once, enough for most messages.
    package static let firstRead = 48 << 10
    private static let noteLimit = 64 << 10

    package let envelope: SpooledEnvelope
    /// Bytes of the message without the prefix fields.
    package let contentLength: Int
    /// The number of attempts.
    package private(set) var attempts: Int
    /// The time of the next attempt, in milliseconds since 1970.
    package private(set) var due: Int
    package private(set) var marks: [Mark]
    private let file: MailFile
    private let checksum: String
    private let envelopeLength: Int
    /// The beginning of the file.
    private let start: [UInt8]

    // MARK: Writing

    /// Writes a message to a new file, and returns when it is on the disk.
    /// - Parameters:
    ///   - limit: the size limit of the message.
    ///   - owner: the owner of the file; nil for the current user.
    ///   - write: writes the content.
    ///   - envelope: makes the envelope after the content was written.
    /// - Returns: the size of the file.
    static func write(
        _ path: String, limit: Int, owner: (user: uid_t, group: gid_t)? = nil,
        _ write: (MIMEOutput) throws(SkeinError) -> Void,
        envelope: () throws(SkeinError) -> SpooledEnvelope
    ) throws(SkeinError) -> Int {
        let file = try MailFile(creating: path)
        try owner.map { (owner) throws(SkeinError) in try file.give(to: owner.user, owner.group) }
        var hash = SHA256()
        var length = 0
        // Most messages are written to the disk at once.
        var waiting = [UInt8](repeating: Bytes.space, count: headerLength)
        try write { (bytes) throws(SkeinError) in
            length += bytes.count
            guard length <= limit else {
                throw SkeinError(.contentTooLarge, because: "the message is larger than the limit of \(limit) bytes")
            }
            hash.update(bufferPointer: bytes)
            waiting += bytes
            if waiting.count > 256 << 10 {
                try waiting.give(to: file.write)
                waiting.removeAll(keepingCapacity: true)
            }
        }
        let envelope = try envelope()
        let document = envelope.document
        document.withUnsafeBytes { hash.update(bufferPointer: $0) }
        let state =
            "\n\(Self.state(attempts: 0, due: envelope.notBefore))\(String(repeating: "-", count: envelope.recipients.count))\n"
        waiting += document
        waiting += state.utf8
        let header = Array(
            "SkeinMail1 \(padded(length, 16)) \(padded(document.count, 10)) \(Hex.encode(hash.finalize()))\n".utf8)
        let isWhole = waiting.count == headerLength + length + document.count + state.utf8.count
        if isWhole { waiting.replaceSubrange(..<headerLength, with: header) }
        try waiting.give(to: file.write)
        if !isWhole { try file.write(header, at: 0) }
        try file.synchronize()
        return headerLength + length + document.count + state.utf8.count
    }

    private static func state(attempts: Int, due: Int) -> String { "\(padded(attempts, 6)) \(padded(due, 13)) " }

    private static func padded(_ number: Int, _ width: Int) -> String {
        CivilTime.padded(Int64(max(0, number)), to: width)
    }

    // MARK: Reading

    /// Opens a file and reads its envelope and marks.
    /// - Parameter ahead: bytes that are read at once; content within them is not read again.
    /// - Throws: code 701 when it cannot be opened, 707 when it is not a complete message.
    package init(_ path: String, readingAhead ahead: Int = firstRead) throws(SkeinError) {
        file = try MailFile(changing: path)
        start = try file.read(at: 0, count: ahead)
        func broken() -> SkeinError {
            SkeinError(.bodyError, peer: path, because: "this is not a complete spool message")
        }
        guard start.count >= Self.headerLength, start[Self.headerLength - 1] == Bytes.lf else { throw broken() }
        let words = String(decoding: start[..<(Self.headerLength - 1)], as: UTF8.self).splitBytes(separator: " ")
        guard words.count == 4, words[0].equalsBytes("SkeinMail1"), let content = Int(words[1]),
            let envelope = Int(words[2]),
            (0...file.size).contains(content), (1...(64 << 20)).contains(envelope)
        else { throw broken() }
        contentLength = content
        envelopeLength = envelope
        checksum = String(words[3])
        let place = Self.headerLength + content
        let wanted = envelope + 1 + Self.marksLength
        var end =
            place + wanted <= start.count
            ? Array(start[place..<(place + wanted)]) : try file.read(at: place, count: wanted)
        guard end.count == wanted, let read = SpooledEnvelope(document: Array(end[..<envelope])) else { throw broken() }
        self.envelope = read
        let count = read.recipients.count
        end += try file.read(at: place + wanted, count: count)
        let numbers = String(decoding: end[(envelope + 1)..<wanted], as: UTF8.self).splitBytes(separator: " ")
        let marks = end[wanted...].compactMap(Mark.init(rawValue:))
        guard numbers.count == 2, let attempts = Int(numbers[0]), let due = Int(numbers[1]), attempts >= 0, due >= 0,
            marks.count == count
        else {
            throw broken()
        }
        self.attempts = attempts
        self.due = due
        self.marks = marks
    }

    /// Whether delivery has no observers, so that the file is simply deleted at the end.
    var isUnobserved: Bool { !envelope.isKeyed && envelope.report == nil }

    /// Bytes of the message with the prefix fields.
    package var size: Int { envelope.prefix.utf8.count + contentLength }
    /// Bytes of the file without its notes.
    var storedLength: Int { notesStart }

    private var stateStart: Int { Self.headerLength + contentLength + envelopeLength + 1 }
    private var notesStart: Int { stateStart + Self.marksLength + marks.count + 1 }

    /// The message without the prefix fields, when it is short enough to have been read at once.
    var shortContent: ArraySlice<UInt8>? {
        let end = Self.headerLength + contentLength
        return end <= start.count ? start[Self.headerLength..<end] : nil
    }

    /// Bytes of the message without the prefix fields.
    func content(at offset: Int, count: Int) throws(SkeinError) -> [UInt8] {
        let count = min(count, contentLength - offset)
        let bytes = try file.read(at: Self.headerLength + offset, count: count)
        guard bytes.count == max(0, count) else {
            throw SkeinError(.bodyError, peer: file.path, because: "the message ends before its length")
        }
        return bytes
    }

    /// Checks bytes of the file against its checksum as they are read.
    struct Check {
        fileprivate var hash = SHA256()
        mutating func update(_ bytes: some Collection<UInt8>) {
            bytes.withContiguousStorageIfAvailable { hash.update(bufferPointer: UnsafeRawBufferPointer($0)) }
        }
    }

    /// Whether the checksum of content and envelope is right.
    func isIntact(_ check: Check) -> Bool {
        var check = check
        guard let document = try? file.read(at: Self.headerLength + contentLength, count: envelopeLength) else {
            return false
        }
        check.update(document)
        return Hex.encode(check.hash.finalize()).equalsBytes(checksum)
    }

    /// Reads the message with the prefix fields, piece by piece.
    package func eachPiece(_ work: (UnsafeRawBufferPointer) throws(SkeinError) -> Void) throws(SkeinError) {
        try Array(envelope.prefix.utf8).give(to: work)
        var offset = 0
        while offset < contentLength {
            let piece = try content(at: offset, count: 256 << 10)
            try piece.give(to: work)
            offset += piece.count
        }
    }

    /// Writes the message with the prefix fields to a file in a folder.
    /// - Returns: its path.
    func export(to folder: String) throws(SkeinError) -> String {
        let path = "\(folder)/\(Hex.random(8))"
        let target = try MailFile(creating: "\(path).tmp")
        try eachPiece(target.write)
        guard rename("\(path).tmp", "\(path).eml") == 0 else {
            throw MailFile.failure(path, "the file cannot be renamed")
        }
        return "\(path).eml"
    }

    /// The recorded responses, the oldest first.
    package var notes: [Note] {
        let bytes = (try? file.read(at: notesStart, count: min(16 << 20, max(0, file.size - notesStart)))) ?? []
        return bytes.split(separator: Bytes.lf).compactMap { line in
            guard let value = try? JSONValue(json: line), let moment = value["at"]?.integer,
                let recipient = value["to"]?.string, let text = value["said"]?.string
            else { return nil }
            return Note(moment: moment, recipient: recipient, text: text)
        }
    }

    // MARK: Changing

    /// Records the results for recipients.
    func mark(_ changes: [Int: Mark]) throws(SkeinError) {
        // One by one: other deliveries of the message may be marking other recipients.
        for (index, mark) in changes {
            marks[index] = mark
            try file.write([mark.rawValue], at: stateStart + Self.marksLength + index)
        }
    }

    /// Sets the time of the next attempt.
    package func schedule(attempts: Int, due: Int) throws(SkeinError) {
        self.attempts = min(attempts, 999_999)
        self.due = min(max(0, due), Self.lastMoment)
        try file.write(Array(Self.state(attempts: self.attempts, due: self.due).utf8), at: stateStart)
    }

    /// Appends responses; nothing is done when there is no room.
    /// - Parameter areLast: whether they are final for these recipients: final ones are always recorded.
    func note(_ notes: [Note], areLast: Bool) {
        let length = file.size
        guard areLast || length - notesStart < Self.noteLimit else { return }
        var bytes: [UInt8] = []
        for note in areLast ? notes[...] : notes.prefix(50) {
            let object: JSONValue = [
                "at": .integer(note.moment), "to": .string(note.recipient), "said": .string(Self.shortened(note.text)),
            ]
            bytes += object.json.utf8
            bytes.append(Bytes.lf)
        }
        try? file.write(bytes, at: max(length, notesStart))
    }

    /// Responses may be long; the beginning is the important part.
    private static func shortened(_ text: String) -> String {
        let plain = text.utf8.prefix(400).map { $0 < 0x20 || $0 == 0x7F ? Bytes.space : $0 }
        return String(decoding: plain, as: UTF8.self)
    }

    /// Whether the message was released since the file was opened.
    var wasLetGo: Bool {
        guard due != 0, let text = try? file.read(at: stateStart, count: Self.marksLength) else { return false }
        let numbers = String(decoding: text, as: UTF8.self).splitBytes(separator: " ")
        return numbers.count == 2 && Int(numbers[1]) == 0
    }

    /// Returns when the marks are on the disk.
    func synchronize() throws(SkeinError) { try file.synchronize() }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif
