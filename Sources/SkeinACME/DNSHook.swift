// A program that sets DNS records.

import Foundation
import SkeinCore
import SkeinHTTP

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

enum DNSHook {
    /// Seconds for one call.
    private static let limit = 120

    /// Calls a program and waits for its end.
    /// - Throws: ``ACMEProblem`` if its exit code is not 0.
    static func run(_ program: String, _ arguments: String...) async throws {
        let code = await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: spawn(program, arguments)) }
        }
        guard code == 0 else {
            throw ACMEProblem(
                kind: "dns", detail: "\(program) \(arguments[0]) exited with code \(code)", retryAfter: nil)
        }
    }

    private static func spawn(_ program: String, _ arguments: [String]) -> Int32 {
        var words = ([program] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var id: pid_t = 0
        // Its own process group, so that processes started by a script end with it.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
        let started = posix_spawn(&id, program, nil, &attributes, &words, environ)
        guard started == 0 else { return 127 }
        var status: Int32 = 0
        for _ in 0..<limit * 20 {
            let ended = waitpid(id, &status, WNOHANG)
            if ended == id {
                let signal = status & 0x7F
                return signal == 0 ? status >> 8 & 0xFF : 128 + signal
            }
            if ended < 0, errno != EINTR { return 126 }
            usleep(50_000)
        }
        kill(-id, SIGKILL)
        _ = waitpid(id, &status, 0)
        return 124
    }
}
