// What a service manager is told (sd_notify(3)).

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Tells the service manager that has started this process how it goes; does nothing where there is none.
package final class ServiceNotifier: Sendable {
    private let path: String?
    /// How often the manager wants to hear that the process lives; nil when it does not.
    package let watchdogInterval: Duration?

    /// The manager of the environment (`NOTIFY_SOCKET`, `WATCHDOG_USEC`).
    package convenience init() {
        self.init(
            path: getenv("NOTIFY_SOCKET").map { String(cString: $0) },
            watchdog: getenv("WATCHDOG_USEC").flatMap { Int(String(cString: $0)) },
            watchedProcess: getenv("WATCHDOG_PID").flatMap { Int32(String(cString: $0)) })
    }

    init(path: String?, watchdog: Int?, watchedProcess: Int32? = nil) {
        self.path = path
        let isWatched = watchedProcess == nil || watchedProcess == getpid()
        watchdogInterval = isWatched && path != nil ? watchdog.map { .microseconds(max(1000, $0 / 2)) } : nil
    }

    /// Says again and again that the process lives, if the manager wants to hear it. For a process without a master.
    package func stayAlive() async {
        guard let watchdogInterval else { return }
        while !Task.isCancelled {
            alive()
            try? await Task.sleep(for: watchdogInterval)
        }
    }

    /// The server serves.
    package func ready() { send("READY=1\nMAINPID=\(getpid())\nSTATUS=serving") }

    /// Settings are read again; `ready()` follows.
    package func reloading() {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        send("RELOADING=1\nMONOTONIC_USEC=\(now.tv_sec * 1_000_000 + now.tv_nsec / 1000)\nSTATUS=reloading")
    }

    /// The server finishes what is under way.
    package func stopping() { send("STOPPING=1\nSTATUS=finishing requests") }

    /// The process lives.
    package func alive() { send("WATCHDOG=1") }

    /// What people read in `systemctl status`.
    package func say(_ status: String) { send("STATUS=\(status.utf8.contains(10) ? "…" : status)") }

    private func send(_ text: String) {
        guard let path, var address = UnixSocketAddress(path) else { return }
        #if canImport(Glibc)
            let descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        #else
            let descriptor = socket(AF_UNIX, SOCK_DGRAM, 0)
        #endif
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        _ = address.sends(text, over: descriptor)
    }
}
