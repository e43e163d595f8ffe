// What commands do around their work: a session for it, a sentence for its failure.

import ArgumentParser
import Skein

enum CommandSession {
    /// Works with a session of its own, which has ended when this returns.
    /// - Throws: exit code 1 when the work throws, which is said.
    /// - Parameter aliases: what it knows by name.
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
