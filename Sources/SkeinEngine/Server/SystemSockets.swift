// Sockets that a service manager has opened for us.

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
    /// Whether the sockets of the environment are this process's. Found out once: the process that has passed them on may end.
    private static let isForThisProcess: Bool = {
        let environment = ProcessInfo.processInfo.environment
        // A master passes its sockets on to workers and to the master that replaces it, which find them by the same numbers.
        return environment["LISTEN_PID"].flatMap { Int32($0) } == getpid()
            || environment["SKEIN_PARENT"].flatMap { Int32($0) } == getppid()
    }()

    /// The sockets that systemd has handed over (sd_listen_fds(3)); none when it has not. They are not inherited further.
    /// - Parameter tls: the names, as they stand in the unit (`FileDescriptorName=`), of sockets on which TLS is spoken. Default: `https`.
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
