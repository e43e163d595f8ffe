// The environment of a command's work: a session, and an error message if it fails.

import ArgumentParser
import Skein

enum CommandSession {
    /// Runs work with a dedicated session, which has ended when this returns.
    /// - Throws: exit code 1 when the work throws; the error is printed.
    /// - Parameter aliases: the aliases of the session.
    static func run(_ aliases: AliasOptions? = nil, _ work: (SkeinClient) async throws -> Void) async throws {
        let skein = SkeinClient()
        var failure: (any Error)?
        do {
            try aliases?.register(on: skein)
            try await work(skein)
        } catch {
            failure = error
        }
        await skein.shutdown()
        guard let failure else { return }
        Terminal.complain("\(failure)")
        throw ExitCode(1)
    }
}
