// Reports outcomes to an app, from files written by the agent.

import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Checks once a second for new outcomes. Of several processes of an app, one at a time does so.
struct OutcomeWatcher: Sendable {
    let folder: String

    /// Passes on each outcome, and then deletes it, until the task is cancelled.
    func run(_ handle: (MailOutcome) async -> Void) async {
        mkdir(folder, 0o700)
        var lock: CInt = -1
        defer { if lock >= 0 { close(lock) } }
        while !Task.isCancelled {
            // Opening may have failed before, on a full disk or with too many open files.
            if lock < 0 { lock = open("\(folder)/.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600) }
            if lock >= 0, flock(lock, LOCK_EX | LOCK_NB) == 0 {
                for name in names where !Task.isCancelled {
                    let path = "\(folder)/\(name)"
                    guard let outcome = Self.read(path) else { continue }
                    await handle(outcome)
                    // An interrupted report is repeated.
                    if !Task.isCancelled { unlink(path) }
                }
            }
            try? await Task.sleep(for: .seconds(1))
        }
    }

    private var names: [String] {
        var names: [String] = []
        MailSpool.eachName(folder) { name in
            if name.hasByteSuffix(".json") { names.append(name) }
            return names.count < 1000
        }
        return names.sorted()
    }

    private static func read(_ path: String) -> MailOutcome? {
        guard let file = try? MailFile(reading: path), let bytes = try? file.read(upTo: 16 << 20) else { return nil }
        return try? JSON.decode(MailOutcome.self, from: bytes)
    }
}
