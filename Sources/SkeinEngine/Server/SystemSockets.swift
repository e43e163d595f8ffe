// Sockets from a service manager.

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension ServerConfiguration.Address {
    /// Whether the sockets of the environment are for this process. Determined once, since the process that passed them
    /// on may end.
    private static let isForThisProcess: Bool = {
        let environment = ProcessInfo.processInfo.environment
        // A master passes its sockets on to workers and to its successor, which find them by the same descriptor
        // numbers.
        return environment["LISTEN_PID"].flatMap { Int32($0) } == getpid()
            || environment["SKEIN_PARENT"].flatMap { Int32($0) } == getppid()
    }()

    /// The sockets from systemd (sd_listen_fds(3)); empty without them. They are not inherited further.
    /// - Parameter tls: the names in the unit (`FileDescriptorName=`) of sockets with TLS. Default: `https`.
    public static func systemd(tls: Set<String> = ["https"]) -> [Self] {
        let environment = ProcessInfo.processInfo.environment
        guard isForThisProcess,
            let count = environment["LISTEN_FDS"].flatMap({ Int32($0) }), (1...1000).contains(count)
        else { return [] }
        let names = environment["LISTEN_FDNAMES"]?.splitBytes(separator: ":", omittingEmptySubsequences: false) ?? []
        return (0..<count).map { index in
            let descriptor = 3 + index
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            let name = Int(index) < names.count ? String(names[Int(index)]) : ""
            return .inherited(descriptor: descriptor, isTLS: tls.contains(name))
        }
    }
}
