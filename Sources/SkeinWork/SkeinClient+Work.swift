// Blocking work and other programs, as corequests.

@_exported import SkeinHTTP

import SkeinCore

extension SkeinClient {
    /// Runs a blocking function on a thread, as a corequest (`Thread`):
    ///
    ///     let hash = client.thread { try slowHash(password) }
    ///     let text = try await hash.fetch()
    ///
    /// - Parameters:
    ///   - timeout: from now on, the wait for a thread included. Work that has started runs to its end, but its result
    ///     is dropped. Default: none.
    ///   - pool: the threads. Default: 16, with a queue of 1024; beyond it the corequest fails with code 701.
    ///   - meta: metadata that the response carries.
    ///   - work: the function; an error that it throws is the failure.
    /// - Returns: the corequest, already started. If it is cancelled before a thread was free, the work does not start.
    public func thread<Value: Sendable>(
        timeout: Duration? = nil, on pool: WorkPool = .standard, meta: RequestMetadata = RequestMetadata(),
        _ work: @escaping @Sendable () throws -> Value
    ) -> Corequest<ValueResponse<Value>> {
        let logger = session.logger
        @Sendable func response(_ result: Result<Value, SkeinError>) -> ValueResponse<Value> {
            ValueResponse(result, meta, method: "thread", logger: logger, peer: "")
        }
        let corequest = CorequestTask.start(
            session,
            {
                do {
                    return response(.success(try await pool.run(work)))
                } catch {
                    return response(.failure(Self.failure(error)))
                }
            },
            failed: { error, _ in response(.failure(error)) }, callback: nil)
        if let timeout { corequest.tighten(.after(timeout)) }
        return corequest
    }

    /// Runs a program, as a corequest (`Process`):
    ///
    ///     let version = try await client.process("git", "rev-parse", "HEAD").fetch().text
    ///
    /// The arguments are passed unchanged, without a shell.
    /// - Parameters:
    ///   - program: a path, or a name that is searched on the `PATH`.
    ///   - arguments: its arguments.
    ///   - input: its standard input. Default: empty.
    ///   - environment: variables that are added to those of this process, or override them.
    ///   - timeout: from now on. After the timeout or a cancellation, the program's process group is killed: by
    ///     SIGTERM, and by SIGKILL a second later. Default: none.
    ///   - maximumOutput: the size limit of standard output and of standard error, each; larger output ends the program
    ///     with code 719. Default: 16 MiB.
    ///   - pool: the threads; a running program occupies one. Default: 16, with a queue of 1024.
    ///   - meta: metadata that the response carries.
    /// - Returns: the corequest, already started. Its status is 200 for exit code 0, and 500 for others.
    public func process(
        _ program: String, _ arguments: String..., input: [UInt8] = [], environment: [String: String] = [:],
        timeout: Duration? = nil, maximumOutput: Int = 16 << 20, on pool: WorkPool = .standard,
        meta: RequestMetadata = RequestMetadata()
    ) -> Corequest<ProcessResponse> {
        let run = ProcessRun(
            program, arguments, input: ProcessInput(input), environment: environment,
            maximumOutput: max(0, maximumOutput))
        let logger = session.logger
        @Sendable func response(_ result: Result<ProcessOutput, SkeinError>) -> ProcessResponse {
            ProcessResponse(program: program, result, meta: meta, logger: logger)
        }
        let corequest = CorequestTask.start(
            session,
            {
                do {
                    return response(
                        .success(
                            try await pool.run {
                                try run.run()
                            } onCancel: {
                                run.cancel()
                            }))
                } catch {
                    return response(.failure(Self.failure(error)))
                }
            },
            failed: { error, _ in response(.failure(error)) }, callback: nil)
        if let timeout { corequest.tighten(.after(timeout)) }
        return corequest
    }

    /// Starts a program whose output is read while it runs (`Subprocess`):
    ///
    ///     for try await piece in client.subprocess("tail", "-f", "/var/log/syslog") { print(String(buffer: piece)) }
    ///
    /// It gets the arguments as they are; no shell reads them.
    /// - Parameters:
    ///   - program: a path, or a name that is looked for on the `PATH`.
    ///   - arguments: what it is called with.
    ///   - environment: variables beside those of this process, or in their place.
    ///   - timeout: from now on; then it is ended, and the sequence throws code 702. Default: none.
    ///   - pool: the threads, of which a running program takes one. Default: 64, with a queue of 1024.
    /// - Returns: the program; it is ended when it is let go of, and when the client is shut down.
    public func subprocess(
        _ program: String, _ arguments: String..., environment: [String: String] = [:], timeout: Duration? = nil,
        on pool: WorkPool = .programs
    ) -> Subprocess {
        backEnds.keep(Subprocess(program, arguments, environment: environment, timeout: timeout, pool: pool))
    }

    private static func failure(_ error: any Error) -> SkeinError {
        error as? SkeinError ?? SkeinError(.exception, because: "\(error)", cause: error)
    }
}
