// How an app hears of its messages: files that the agent has written for it.

import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Looks once a second for what the agent has written. Of several processes of an app, one at a time does.
struct OutcomeWatcher: Sendable {
    let folder: String

    /// Hands on each outcome, and then removes it, until the task is cancelled.
    func run(_ handle: (MailOutcome) async -> Void) async {
        mkdir(folder, 0o700)
        var lock: CInt = -1
        defer { if lock >= 0 { close(lock) } }
        while !Task.isCancelled {
            // There may have been no room for it, or too many files were open.
            if lock < 0 { lock = open("\(folder)/.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600) }
            if lock >= 0, flock(lock, LOCK_EX | LOCK_NB) == 0 {
                for name in names where !Task.isCancelled {
                    let path = "\(folder)/\(name)"
                    guard let outcome = Self.read(path) else { continue }
                    await handle(outcome)
                    // One that was cut short is told again.
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
