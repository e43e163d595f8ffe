// A running program, from its start to the last byte of its output.

import CSkeinWorkers
import SkeinCore
import SkeinWorkers
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Runs a program once, on the calling thread.
final class ProcessRun: Sendable {
    private struct State {
        var processID: pid_t?
        var isCancelled = false
        /// Wakes the thread.
        var alarm: CInt = -1
        var wantsOutput = false
    }

    /// Standard error of a program whose output is streamed: the end of it is kept.
    private static let keptErrors = 64 << 10

    /// A program that ends before it has read its input must not end this process.
    private static let ignoresBrokenPipes: Void = { signal(SIGPIPE, SIG_IGN) }()

    private let program: String
    private let arguments: [String]
    private let input: ProcessInput
    /// Takes the output as it comes, instead of collecting it; returns false when it wants no more for now.
    private let take: (@Sendable ([UInt8]) -> Bool)?
    private let environment: [String: String]
    private let maximumOutput: Int
    private let state = Mutex(State())

    init(
        _ program: String, _ arguments: [String], input: ProcessInput, environment: [String: String],
        maximumOutput: Int, take: (@Sendable ([UInt8]) -> Bool)? = nil
    ) {
        self.take = take
        self.program = program
        self.arguments = arguments
        self.input = input
        self.environment = environment
        self.maximumOutput = maximumOutput
    }

    /// Kills the program and its process group. From any thread, at any time.
    func cancel() {
        state.withLock { state in
            state.isCancelled = true
            // The process ID is valid until the process was waited for, which happens under this lock.
            if let id = state.processID { kill(-id, SIGTERM) }
        }
        wake()
    }

    /// There is more input. From any thread, at any time.
    func wake() { wake { _ in } }

    /// The output is wanted again. From any thread, at any time.
    func resumeOutput() { wake { $0.wantsOutput = true } }

    private func wake(_ change: (inout State) -> Void) {
        state.withLock { state in
            change(&state)
            if state.alarm >= 0 { withUnsafeBytes(of: UInt8(1)) { _ = writeSome(state.alarm, $0) } }
        }
    }

    /// Runs the program, and blocks the thread until it has ended.
    /// - Throws: code 701 when it cannot be started, 719 when its output is too large.
    func run() throws -> ProcessOutput {
        _ = Self.ignoresBrokenPipes
        defer { input.end() }
        var pipes = try Pipes()
        state.withLock { $0.alarm = pipes.alarm }
        defer {
            state.withLock { $0.alarm = -1 }
            pipes.closeAll()
        }
        try start(&pipes)
        var output = ProcessOutput()
        let failure = exchange(&pipes, &output)
        output.code = untilEnded()
        if let failure { throw failure }
        return output
    }

    private func start(_ pipes: inout Pipes) throws(SkeinError) {
        let path = try Self.find(program)
        var processID: pid_t = 0
        let variables = Environment.variables.filter { variable in
            !environment.keys.contains { variable.hasBytePrefix("\($0)=") }
        }
        let error: CInt = state.withLock { state in
            guard !state.isCancelled else { return ECANCELED }
            let error = CStrings.with([program] + arguments) { arguments in
                CStrings.with(variables + environment.map { "\($0)=\($1)" }) { environment in
                    skein_spawn(path, arguments, environment, pipes.given, pipes.given.count, false, &processID)
                }
            }
            if error == 0 { state.processID = processID }
            return error
        }
        guard error == 0 else {
            throw SkeinError(
                .exception, peer: program, because: "the program cannot be started: \(String(cString: strerror(error)))"
            )
        }
        pipes.closeGiven()
    }

    /// Writes the input and reads standard output and error, until the program has closed them or has ended.
    private func exchange(_ pipes: inout Pipes, _ output: inout ProcessOutput) -> SkeinError? {
        var rest: ArraySlice<UInt8> = []
        var exchange = ProcessExchange()
        // A program may close its output and go on to read its input.
        while pipes.output >= 0 || pipes.errors >= 0 || pipes.input >= 0 && !isOver {
            if rest.isEmpty, pipes.input >= 0 {
                if let more = input.take() { rest = more[...] } else { pipes.close(\.input) }
            }
            // A descriptor that is negative is not looked at.
            var entries = [
                pollfd(fd: exchange.isPaused ? -1 : pipes.output, events: Int16(POLLIN), revents: 0),
                pollfd(fd: pipes.errors, events: Int16(POLLIN), revents: 0),
                pollfd(fd: rest.isEmpty ? -1 : pipes.input, events: Int16(POLLOUT), revents: 0),
                pollfd(fd: pipes.alarmed, events: Int16(POLLIN), revents: 0),
            ]
            _ = poll(&entries, 4, 100)
            if entries[3].revents != 0 {
                var signals: [UInt8] = []
                _ = pipes.read(\.alarmed, into: &signals)
                let isWanted = state.withLock { state in
                    defer { state.wantsOutput = false }
                    return state.wantsOutput
                }
                if isWanted { exchange.resume(at: .now) }
            }
            if entries[0].revents != 0, !pipes.read(\.output, into: &output.output) { pipes.close(\.output) }
            if entries[1].revents != 0, !pipes.read(\.errors, into: &output.errors) { pipes.close(\.errors) }
            if entries[2].revents != 0, !pipes.write(&rest) {
                rest = []
                pipes.close(\.input)
                input.end()
            }
            if let take {
                if !output.output.isEmpty {
                    if !take(output.output) { exchange.pause() }
                    output.output = []
                }
                output.errors.removeFirst(max(0, output.errors.count - Self.keptErrors))
            }
            if output.output.count > maximumOutput || output.errors.count > maximumOutput {
                finish(SIGKILL)
                return SkeinError(
                    .contentTooLarge, peer: program, because: "the program writes more than \(maximumOutput) bytes")
            }
            switch exchange.step(
                isOver: isOver, isCancelled: state.withLock { $0.isCancelled }, hasRead: entries[0].revents != 0,
                at: .now)
            {
            case .goOn: break
            case .kill: finish(SIGKILL)
            case .leave: return nil
            }
        }
        pipes.close(\.input)
        return nil
    }

    /// Whether the program has ended. Its process ID stays valid until it was waited for.
    private var isOver: Bool {
        guard let id = state.withLock({ $0.processID }) else { return true }
        var facts = siginfo_t()
        return waitid(P_PID, id_t(id), &facts, WEXITED | WNOHANG | WNOWAIT) != 0 || skein_ended_process(&facts) == id
    }

    private func finish(_ signal: CInt) {
        state.withLock { state in if let id = state.processID { _ = kill(-id, signal) } }
    }

    /// Waits for its end; a program that has closed its output may run on for a while.
    private func untilEnded() -> Int {
        while !isOver {
            if state.withLock({ $0.isCancelled }) { finish(SIGKILL) }
            usleep(5000)
        }
        return state.withLock { state in
            guard let id = state.processID else { return 0 }
            state.processID = nil
            // The rest of its process group is killed, too.
            kill(-id, SIGKILL)
            var status: CInt = 0
            while waitpid(id, &status, 0) < 0, errno == EINTR {}
            var (code, signal): (CInt, CInt) = (0, 0)
            _ = skein_has_exited(status, &code, &signal)
            return Int(signal != 0 ? 128 + signal : code)
        }
    }

    private static func find(_ program: String) throws(SkeinError) -> String {
        if program.utf8.contains(UInt8(ascii: "/")) { return program }
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        for folder in path.splitBytes(separator: ":") where access("\(folder)/\(program)", X_OK) == 0 {
            return "\(folder)/\(program)"
        }
        throw SkeinError(.exception, peer: program, because: "the program is not on the PATH")
    }
}

/// The pipes between this process and a program.
private struct Pipes {
    var input: CInt
    var output: CInt
    var errors: CInt
    /// Ends of a pipe of this process's own, by which other threads wake this one.
    var alarm: CInt
    var alarmed: CInt
    private(set) var given: [skein_descriptor]

    init() throws(SkeinError) {
        var ends: [CInt] = []
        for _ in 0..<4 {
            var pair: [CInt] = [-1, -1]
            guard pipe(&pair) == 0 else {
                for end in ends { closeEnd(end) }
                throw SkeinError(.exception, because: "no pipe can be created: \(String(cString: strerror(errno)))")
            }
            ends += pair.map(FileNumbers.raised)
        }
        input = ends[1]
        output = ends[2]
        errors = ends[4]
        alarmed = ends[6]
        alarm = ends[7]
        given = [
            skein_descriptor(source: ends[0], target: 0), skein_descriptor(source: ends[3], target: 1),
            skein_descriptor(source: ends[5], target: 2),
        ]
        for end in [input, output, errors, alarm, alarmed] { _ = fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK) }
    }

    mutating func closeGiven() {
        for end in given { closeEnd(end.source) }
        given = []
    }

    mutating func close(_ end: WritableKeyPath<Pipes, CInt>) {
        if self[keyPath: end] >= 0 { closeEnd(self[keyPath: end]) }
        self[keyPath: end] = -1
    }

    mutating func closeAll() {
        closeGiven()
        close(\.input)
        close(\.output)
        close(\.errors)
        close(\.alarm)
        close(\.alarmed)
    }

    /// - Returns: false at the end.
    func read(_ end: KeyPath<Pipes, CInt>, into bytes: inout [UInt8]) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 1) { buffer in
            let count = readSome(self[keyPath: end], buffer)
            if count > 0 { bytes.append(contentsOf: buffer[..<count]) }
            return count > 0 || count < 0 && (errno == EAGAIN || errno == EINTR)
        }
    }

    /// - Returns: false when the program does not read any more.
    func write(_ rest: inout ArraySlice<UInt8>) -> Bool {
        let count = rest.withUnsafeBytes { writeSome(input, $0) }
        if count > 0 { rest = rest.dropFirst(count) }
        return count >= 0 || errno == EAGAIN || errno == EINTR
    }
}

private func closeEnd(_ descriptor: CInt) { close(descriptor) }
private func readSome(_ descriptor: CInt, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
    read(descriptor, buffer.baseAddress, buffer.count)
}
private func writeSome(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) -> Int {
    write(descriptor, bytes.baseAddress, min(bytes.count, 64 << 10))
}
