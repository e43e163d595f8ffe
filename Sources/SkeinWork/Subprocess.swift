// A program whose output is read while it runs.

import NIOCore
import SkeinCore
import Synchronization

/// A program that runs, as the sequence of what it writes to its standard output.
///
///     let ping = client.subprocess("ping", "-c", "3", "localhost")
///     for try await piece in ping { print(String(buffer: piece)) }
///     print(try await ping.exit().code)
///
/// The program waits while its output is not read: at most 256 KiB are buffered. The program and its process group are ended when the sequence
/// is released, when the task that reads it is cancelled, when its time is up, and when its client is shut down.
public final class Subprocess: AsyncSequence, BackEnd {
    /// Bytes as they come; a piece need not end where a line does.
    public typealias Element = ByteBuffer
    /// Reads what the program writes, once.
    public typealias AsyncIterator = ByteStream<ProcessOutput>.AsyncIterator

    private let program: String
    private let input = ProcessInput([], isOpen: true)
    private let source = Source()
    private let stream: ByteStream<ProcessOutput>

    /// Wakes or ends the program when its reader wants more, or no more.
    private final class Source: ByteStreamSource {
        let run = Mutex<ProcessRun?>(nil)

        func streamWantsMore() { run.withLock { $0 }?.resumeOutput() }
        func streamWasCancelled() { run.withLock { $0 }?.cancel() }
    }

    init(
        _ program: String, _ arguments: [String], environment: [String: String], timeout: Duration?, pool: WorkPool
    ) {
        self.program = program
        stream = ByteStream(source: source)
        let inlet = stream.inlet
        let run = ProcessRun(
            program, arguments, input: input, environment: environment, maximumOutput: .max,
            take: { inlet.push(ByteBuffer(bytes: $0)) })
        source.run.withLock { $0 = run }
        let timer = timeout.map { limit in
            Task {
                try await Task.sleep(for: limit)
                inlet.fail(
                    SkeinError(.timeout, peer: program, because: "the program has not ended within \(limit)"))
                run.cancel()
            }
        }
        do throws(SkeinError) {
            try pool.submit {
                defer { timer?.cancel() }
                do {
                    inlet.finish(try run.run())
                } catch {
                    inlet.fail(error)
                }
            }
        } catch {
            timer?.cancel()
            input.end()
            inlet.fail(error)
        }
    }

    /// Starts the only pass over the output.
    public func makeAsyncIterator() -> AsyncIterator { stream.makeAsyncIterator() }

    /// Writes to the program's standard input; waits while more than 256 KiB of it are not read.
    /// - Throws: code 701 when the input is closed, or the program does not read it any more.
    public func write(_ bytes: [UInt8]) async throws {
        try await input.write(bytes) { source.run.withLock { $0 }?.wake() }
    }

    /// Ends the program's standard input.
    public func closeInput() {
        input.close()
        source.run.withLock { $0 }?.wake()
    }

    /// Waits for the end of the program. Output that was not read is dropped.
    /// - Returns: its exit code, and the last 64 KiB of its standard error.
    /// - Throws: code 701 when it could not be started, 702 when its time was up, 712 when it was cancelled.
    public func exit() async throws -> ProcessOutput {
        closeInput()
        while stream.ending == nil {
            if let failure = stream.failure { throw failure }
            _ = try await stream.inlet.nextFiltered()
        }
        guard let output = stream.ending else {
            throw SkeinError(.exception, peer: program, because: "the output is being read by another task")
        }
        return output
    }

    /// Ends the program and its process group: SIGTERM, and SIGKILL a second later.
    public func cancel() { stream.cancel() }

    /// Ends it with its client.
    package func shutdown() async { cancel() }
}
