// A folder of messages that wait for delivery.

import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A folder with a file for each message. Many processes may store messages; one agent delivers them.
///
/// A message is written to `tmp/`, synchronized with the disk, and moved to `new/`, so that it appears atomically. The
/// agent moves it to `queue/`; a person may move it to `hold/`; a message that cannot be delivered is moved to
/// `failed/`.
public final class MailSpool: Sendable {
    /// The limits of a spool.
    public struct Limits: Sendable, Hashable {
        /// Messages at one time. Default: 1 000 000.
        public var count = 1_000_000
        /// Bytes of all messages. Default: 20 GiB.
        public var bytes = 20 << 30
        /// Bytes of a message. Default: 2 GiB.
        public var message = 2 << 30

        /// The defaults.
        public init() {}

        /// No limits but that of a message.
        static var none: Limits {
            var limits = Limits()
            (limits.count, limits.bytes) = (1 << 52, 1 << 52)
            return limits
        }
    }

    /// The state of a message.
    public enum State: String, Sendable, CaseIterable {
        /// Stored, and not taken in by the agent yet.
        case new
        /// Taken in by the agent.
        case queue
        /// On hold until it is released.
        case hold
        /// Failed permanently.
        case failed
    }

    /// Options for storing a message.
    public struct Options: Sendable {
        /// A deduplication key: a message with the key of an earlier one is not stored; keys are remembered for a week.
        public var key: String?
        /// The delay before it is sent. Default: none.
        public var delay: Duration = .zero
        /// How long delivery is attempted. Default: five days, then its sender gets a report.
        public var lifetime: Duration = .seconds(5 * 86_400)
        /// The relay, `smtp://user:password@host:587`. Default: the agent's.
        public var relay: String?
        /// The events for which the last server should report (RFC 3461). Default: failure, by its own choice.
        public var notify: SMTPEnvelope.Notification?
        /// The name by which the app gets the outcome.
        public var report: String?
        /// Whether it is a report of the agent, which is stored regardless of the limits.
        var isReport = false

        /// The defaults.
        public init() {}
    }

    /// The folder.
    public let folder: String
    /// Its limits.
    public let limits: Limits
    /// The DKIM keys, each for its domain.
    public let keys: [DKIMKey]
    let usage: SpoolUsage
    /// The owner of the folder, when root stores messages for another user.
    private let owner: (user: uid_t, group: gid_t)?

    /// Opens a spool; the folder is created if it does not exist.
    /// - Throws: code 701 when that fails, or it belongs to another user.
    public convenience init(_ folder: String, limits: Limits = Limits(), keys: [DKIMKey] = []) throws(SkeinError) {
        try self.init(folder, limits: limits, keys: keys, isThere: false)
    }

    /// Opens an existing spool for reading.
    /// - Throws: code 701 when it does not exist.
    package convenience init(existing folder: String) throws(SkeinError) {
        try self.init(folder, limits: Limits(), keys: [], isThere: true)
    }

    private init(_ folder: String, limits: Limits, keys: [DKIMKey], isThere: Bool) throws(SkeinError) {
        self.folder =
            folder.hasByteSuffix("/") && folder.utf8.count > 1 ? String(folder.droppingBytes(last: 1)) : folder
        self.limits = limits
        self.keys = keys
        guard !folder.isEmpty else { throw SkeinError(.exception, because: "the folder of a spool needs a name") }
        if isThere, access("\(self.folder)/queue", F_OK) != 0 {
            throw SkeinError(
                .exception, peer: self.folder,
                because: errno == EACCES
                    ? "the spool belongs to another user" : "there is no spool; see --spool and SKEIN_MAIL_SPOOL")
        }
        if !isThere {
            try Self.makeFolder(self.folder, withParents: true)
            for name in State.allCases.map(\.rawValue) + ["tmp", "keys", "reports"] {
                try Self.makeFolder("\(self.folder)/\(name)", withParents: false)
            }
        }
        var facts = stat()
        owner =
            getuid() == 0 && lstat(self.folder, &facts) == 0 && facts.st_uid != 0 ? (facts.st_uid, facts.st_gid) : nil
        usage = try SpoolUsage("\(self.folder)/usage")
    }

    /// The default folder: `/var/spool/skein` for root, the state folder of the user for others; `SKEIN_MAIL_SPOOL`
    /// overrides it.
    public static var standardFolder: String {
        if let named = getenv("SKEIN_MAIL_SPOOL"), named.pointee != 0 { return String(cString: named) }
        if getuid() == 0 { return "/var/spool/skein" }
        if let state = getenv("XDG_STATE_HOME"), state.pointee != 0 { return "\(String(cString: state))/skein/mail" }
        return "\(getenv("HOME").map { String(cString: $0) } ?? "/tmp")/.local/state/skein/mail"
    }

    private static func makeFolder(_ path: String, withParents: Bool) throws(SkeinError) {
        if mkdir(path, 0o700) != 0, errno == ENOENT, withParents, let slash = path.lastByte("/"),
            slash > path.startIndex
        {
            try makeFolder(String(path[..<slash]), withParents: true)
            mkdir(path, 0o700)
        }
        var facts = stat()
        guard lstat(path, &facts) == 0 else { throw MailFile.failure(path, "the folder cannot be created or entered") }
        guard facts.st_mode & S_IFMT == S_IFDIR || withParents && facts.st_mode & S_IFMT == S_IFLNK else {
            throw SkeinError(.exception, peer: path, because: "it is not a folder")
        }
        guard withParents || facts.st_uid == getuid() || getuid() == 0 else {
            throw SkeinError(.exception, peer: path, because: "the folder belongs to another user")
        }
    }

    func path(_ state: State, _ id: MailID) -> String { "\(folder)/\(state.rawValue)/\(id)" }

    // MARK: Storing

    /// Stores a message, and returns when it is on the disk. Blocks the thread.
    /// - Returns: its ID; that of an earlier message with the same key, if there is one.
    /// - Throws: code 701 for an invalid message, 703 when the spool is full, 719 for one that is too large.
    public func store(_ message: MailMessage, _ options: Options = Options()) throws(SkeinError) -> MailID {
        let composed = try ComposedMessage(message)
        return try store(options) { (path, now) throws(SkeinError) in
            // The body is hashed for signatures.
            let signing = keys.filter { $0.signs(for: composed.domain) }
            var bodyHash = RelaxedBodyHash()
            var isHeader = true
            return try SpoolFile.write(path, limit: limits.message, owner: owner) { (output) throws(SkeinError) in
                try composed.write { (bytes) throws(SkeinError) in
                    if !isHeader, !signing.isEmpty { bodyHash.append(bytes) }
                    isHeader = false
                    try output(bytes)
                }
            } envelope: { () throws(SkeinError) in
                var envelope = SpooledEnvelope(
                    sender: composed.sender, recipients: composed.recipients, created: now, lifetime: options.lifetime)
                let hash = bodyHash.finish()
                for key in signing {
                    envelope.prefix += try key.signature(header: composed.header, bodyHash: hash, now: now / 1000)
                }
                envelope.priority = message.priority
                envelope.needsUTF8 = composed.needsUTF8
                envelope.subject = message.subject
                envelope.messageID = composed.messageID
                return envelope.with(options)
            }
        }
    }

    /// Stores a composed message, and returns when it is on the disk. Blocks the thread. Its line ends are converted to
    /// CR LF.
    /// - Parameters:
    ///   - content: the message with its header.
    ///   - sender: the address for reports; empty for none.
    ///   - recipients: the recipients.
    public func store(
        _ content: [UInt8], from sender: String, to recipients: [String], _ options: Options = Options()
    ) throws(SkeinError) -> MailID {
        var addresses: [MailAddress] = []
        for text in recipients + (sender.isEmpty ? [] : [sender]) {
            let address = MailAddress(name: nil, text)
            if let problem = address.problem { throw SkeinError(.exception, because: problem) }
            addresses.append(address)
        }
        guard (1...10_000).contains(recipients.count) else {
            throw SkeinError(.exception, because: "a message needs 1 to 10 000 recipients")
        }
        var endings = LineEndings()
        let lines = content.withUnsafeBytes { endings.normalized($0) } + endings.end()
        return try store(options) { (path, now) throws(SkeinError) in
            try SpoolFile.write(path, limit: limits.message, owner: owner) { (output) throws(SkeinError) in
                try lines.give(to: output)
            } envelope: { () throws(SkeinError) in
                var envelope = SpooledEnvelope(
                    sender: sender.isEmpty ? "" : addresses[addresses.count - 1].mailbox,
                    recipients: addresses.prefix(recipients.count).map(\.mailbox), created: now,
                    lifetime: options.lifetime)
                envelope.isEightBit = lines.contains { $0 >= 0x80 }
                let header = RelaxedHeader.fields(Self.header(of: lines))
                envelope.subject =
                    header.first { $0.name.equalsIgnoringCase("subject") }.map {
                        String($0.value.trimmingBlanks().prefix(before: "\r"))
                    } ?? ""
                return envelope.with(options)
            }
        }
    }

    /// The header of a message, up to the limit that is parsed.
    private static func header(of lines: [UInt8]) -> [UInt8] {
        let start = lines.prefix(16 << 10)
        let end = start.indices.first { start[$0...].starts(with: [Bytes.cr, Bytes.lf, Bytes.cr, Bytes.lf]) }
        return Array(start[..<(end ?? start.endIndex)])
    }

    /// Writes a message to a temporary file, and then makes it appear atomically.
    /// - Parameter write: writes it to a path, and returns its size.
    private func store(
        _ options: Options, _ write: (String, _ now: Int) throws(SkeinError) -> Int
    ) throws(SkeinError) -> MailID {
        if let relay = options.relay { _ = try MailRelay(relay) }
        if let report = options.report { try MailPost.check(name: report) }
        let now = CivilTime.milliseconds
        let id = options.key.map { MailID(key: $0) } ?? MailID(at: now)
        if options.key != nil, isKnown(id) { return id }
        let temporary = "\(folder)/tmp/\(id).\(getpid()).\(Hex.random(4))"
        let limits = options.isReport ? Limits.none : limits
        try usage.add(count: 1, bytes: 0, limits: limits)
        var counted = 0
        var isStored = false
        defer {
            unlink(temporary)
            if !isStored { usage.remove(count: 1, bytes: counted) }
        }
        let stored = try write(temporary, now)
        try usage.add(count: 0, bytes: stored, limits: limits)
        counted = stored
        // Opened before the message appears: after that no error may occur for which the caller would store it again.
        let folder = try SpoolFolder("\(folder)/new")
        // Not rename(2): of two messages with one key the second one must not replace the first.
        if link(temporary, path(.new, id)) != 0 {
            if errno == EEXIST, options.key != nil { return id }
            throw MailFile.failure(path(.new, id), "the message cannot be stored")
        }
        isStored = true
        try folder.synchronize()
        return id
    }

    /// Whether a message with a key was stored in the last week.
    package func knows(key: String) -> Bool { isKnown(MailID(key: key)) }

    /// Whether the message with a key was stored before. States are searched in the order in which messages move, so
    /// that none is missed.
    /// - Parameter besides: a state that is not searched.
    func isKnown(_ id: MailID, besides: State? = nil) -> Bool {
        let states: [State] = State.allCases.filter { $0 != besides }
        let places = states.map { path($0, id) } + ["\(folder)/keys/\(id)", path(.queue, id)]
        return places.contains { access($0, F_OK) == 0 }
    }
}

extension SpooledEnvelope {
    /// The envelope with the options of the message.
    fileprivate func with(_ options: MailSpool.Options) -> SpooledEnvelope {
        var envelope = self
        envelope.isKeyed = options.key != nil
        envelope.notBefore = min(created + options.delay.clampedMilliseconds, SpoolFile.lastMoment)
        envelope.expires = min(envelope.notBefore + options.lifetime.clampedMilliseconds, SpoolFile.lastMoment)
        envelope.relay = options.relay
        envelope.notify = options.notify
        envelope.report = options.report
        return envelope
    }
}

/// A folder whose entries are synchronized with the disk.
private final class SpoolFolder {
    private let path: String
    private let descriptor: CInt

    init(_ path: String) throws(SkeinError) {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw MailFile.failure(path, "the folder cannot be opened") }
    }

    deinit { close(descriptor) }

    func synchronize() throws(SkeinError) {
        guard fsync(descriptor) == 0 else { throw MailFile.failure(path, "the folder cannot be synced to disk") }
    }
}
