// The request log: lines are formatted on the loops, and written by a thread that may block on the disk.

import Dispatch
import Logging
import NIOCore
import SkeinCore
import SkeinHTTP
import Synchronization

/// The file and the format of a request log.
public struct RequestLogConfiguration: Sendable {
    /// The format of a line.
    public enum Format: String, Sendable, CaseIterable {
        /// Blank-separated, with all data; `docs/Server.md` lists the columns.
        case skein
        /// The Common Log Format with referer and user agent, as written by Apache and nginx.
        case combined
        /// The Common Log Format.
        case common
        /// An object in JSON.
        case json
    }

    /// The file; `-` is standard output.
    public var path: String
    /// The format of a line. Default: `skein`.
    public var format = Format.skein
    /// The size at which a new file is started. Default: 100 MiB.
    public var maximumBytes = 100 << 20
    /// The number of full files that are retained. Default: 5.
    public var keep = 5
    /// Paths that are not logged: those that begin with `/static/`, or match `*.css`. Default: none.
    public var off: [String] = []

    /// A log in a file.
    public init(_ path: String) { self.path = path }
}

/// The file that the loops of a server share.
final class RequestLog: Sendable {
    /// Bytes that may wait for the disk; beyond that, lines are dropped, and counted.
    private static let maximumWaiting = 16 << 20

    /// Bytes that are written at once, with a reserve for the last line.
    private static let buffer = 40 << 10

    let configuration: RequestLogConfiguration
    let silence: LogSilence
    private let file: RotatingFile?
    private let logger: Logger
    private let queue = DispatchQueue(label: "skein.requests")
    private let waiting = Atomic<Int>(0)
    private let lost = Atomic<Int>(0)
    private let spare = Mutex<[ByteBuffer]>([])

    /// - Throws: code 701 when the file cannot be opened.
    init(_ configuration: RequestLogConfiguration, logger: Logger) throws {
        self.configuration = configuration
        self.logger = logger
        silence = LogSilence(configuration.off)
        file =
            configuration.path == "-"
            ? nil
            : try RotatingFile(
                path: configuration.path, maximumBytes: configuration.maximumBytes, keep: configuration.keep)
    }

    /// Adds whole lines.
    func write(_ lines: ByteBuffer) {
        let size = lines.readableBytes
        guard waiting.wrappingAdd(size, ordering: .relaxed).newValue <= Self.maximumWaiting else {
            waiting.wrappingSubtract(size, ordering: .relaxed)
            lost.wrappingAdd(size, ordering: .relaxed)
            return
        }
        queue.async { [self] in
            lines.withUnsafeReadableBytes { bytes in
                if let file { file.write(bytes) } else { FileDescriptorOutput(descriptor: 1).write(bytes) }
            }
            waiting.wrappingSubtract(size, ordering: .relaxed)
            spare.withLock { if $0.count < 8 { $0.append(lines) } }
            let lost = lost.exchange(0, ordering: .relaxed)
            if lost > 0 { logger.warning("the disk is too slow: \(lost) bytes of the request log were lost") }
        }
    }

    /// A buffer for lines, reused if possible, since fresh memory would have to be mapped.
    func emptyBuffer() -> ByteBuffer {
        var buffer = spare.withLock { $0.popLast() } ?? ByteBuffer()
        buffer.clear(minimumCapacity: Self.buffer)
        return buffer
    }

    func reopen() { queue.async { self.file?.reopen() } }

    /// Waits until everything is written.
    func flush() async {
        await withCheckedContinuation { continuation in queue.async { continuation.resume() } }
    }
}

/// Paths that are not logged.
struct LogSilence: Sendable {
    private let prefixes: [[UInt8]]
    private let suffixes: [[UInt8]]

    init(_ patterns: [String]) {
        suffixes = patterns.filter { $0.hasBytePrefix("*") }.map { Array($0.dropFirst().utf8) }
        prefixes = patterns.filter { !$0.hasBytePrefix("*") }.map {
            Array(($0.hasByteSuffix("*") ? $0.dropLast() : $0[...]).utf8)
        }
    }

    func covers(_ target: ByteBuffer) -> Bool {
        guard !prefixes.isEmpty || !suffixes.isEmpty else { return false }
        let path = target.readableBytesView.prefix { $0 != UInt8(ascii: "?") }
        return prefixes.contains { path.starts(with: $0) }
            || suffixes.contains { $0.count <= path.count && path.suffix($0.count).elementsEqual($0) }
    }
}

/// Collects the lines of one loop.
///
/// Unchecked: used on its shard's loop only.
final class ShardLog: TimerTarget, @unchecked Sendable {
    private static let enough = 32 << 10
    private static let pause = TimeAmount.milliseconds(200)

    let log: RequestLog
    private let shard: Shard
    @exclusivity(unchecked) private var lines = ByteBuffer()
    @exclusivity(unchecked) private var clock = LogClock()
    private var timer: ShardTimers.Token?

    init(_ log: RequestLog, shard: Shard) {
        self.log = log
        self.shard = shard
    }

    /// Adds a line for a response.
    func add(_ scope: RequestScope, finished: NIODeadline) {
        if log.silence.covers(scope.head.targetBytes) { return }
        let line = LogLine(scope: scope, finished: finished)
        switch log.configuration.format {
        case .skein: line.writeOwn(clock.own, to: &lines)
        case .common: line.writeCommon(clock.common, to: &lines)
        case .combined: line.writeCommon(clock.common, isCombined: true, to: &lines)
        case .json: line.writeJSON(clock.iso, to: &lines)
        }
        if lines.readableBytes >= Self.enough {
            flush()
        } else if timer == nil {
            timer = shard.timers.schedule(self, at: shard.now + Self.pause)
        }
    }

    func timerFired() {
        timer = nil
        flush()
    }

    func flush() {
        guard lines.readableBytes > 0 else { return }
        log.write(lines)
        lines = log.emptyBuffer()
    }
}
