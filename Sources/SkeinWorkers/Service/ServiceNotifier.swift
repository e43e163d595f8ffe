// Notifications to a service manager (sd_notify(3)).

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Notifies the service manager that has started this process of its state; does nothing without a service manager.
package final class ServiceNotifier: Sendable {
    private let path: String?
    /// The interval at which the manager expects a sign of life; nil if it expects none.
    package let watchdogInterval: Duration?

    /// The manager from the environment (`NOTIFY_SOCKET`, `WATCHDOG_USEC`).
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

    /// Notifies the manager regularly that the process is alive, if it expects that. For a process without a master.
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

    /// The server finishes the requests in progress.
    package func stopping() { send("STOPPING=1\nSTATUS=finishing requests") }

    /// The process is alive.
    package func alive() { send("WATCHDOG=1") }

    /// Sets the text that `systemctl status` shows.
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
