// The user that a process runs as, and its limits.

import CSkeinWorkers
import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A user and a group of the system.
package struct ProcessIdentity: Sendable, Equatable {
    let user: uid_t
    let group: gid_t
    let name: String?

    /// - Parameters:
    ///   - user: a name or a number.
    ///   - group: a name or a number. Default: the user's first group.
    /// - Throws: code 701 for a name that the system does not know.
    package init(user: String, group: String? = nil) throws(SkeinError) {
        if let known = getpwnam(user) {
            (self.user, self.group) = (known.pointee.pw_uid, try group.map(Self.groupID) ?? known.pointee.pw_gid)
            name = user
        } else if let number = uid_t(user), let group {
            (self.user, self.group) = (number, try Self.groupID(group))
            name = nil
        } else {
            throw SkeinError(
                .exception,
                because: uid_t(user) == nil
                    ? "there is no user \(user.debugDescription)" : "a numeric user also needs a group")
        }
    }

    private static func groupID(_ text: String) throws(SkeinError) -> gid_t {
        if let known = getgrnam(text) { return known.pointee.gr_gid }
        guard let number = gid_t(text) else {
            throw SkeinError(.exception, because: "there is no group \(text.debugDescription)")
        }
        return number
    }

    /// Whether the process is this user already.
    var isCurrent: Bool { geteuid() == user && getegid() == group }

    /// Switches all threads of the process to this user, permanently.
    /// - Throws: code 701 when the process is not permitted to.
    package func assume() throws(SkeinError) {
        guard !isCurrent else { return }
        let error = skein_set_user(user, group, name)
        guard error == 0 else {
            throw SkeinError(
                .exception,
                because: "the process cannot become user \(name ?? String(user)): \(String(cString: strerror(error)))")
        }
    }
}

/// Limits of a process.
package enum ProcessLimits {
    /// Sets how many files the process may have open, as far as the system permits.
    /// - Throws: code 701 when the system does not permit it.
    package static func setOpenFiles(_ count: Int) throws(SkeinError) {
        var limit = rlimit()
        #if canImport(Glibc)
            let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        #else
            let kind = RLIMIT_NOFILE
        #endif
        getrlimit(kind, &limit)
        limit.rlim_cur = rlim_t(count)
        limit.rlim_max = max(limit.rlim_max, limit.rlim_cur)
        guard setrlimit(kind, &limit) == 0 else {
            throw SkeinError(
                .exception,
                because: "the limit of open files cannot be set to \(count): \(String(cString: strerror(errno)))"
            )
        }
    }
}

/// The name of a process in process lists.
package enum ProcessTitle {
    /// Gives this process a name.
    package static func set(_ title: String) {
        _ = CommandLine.arguments  // They are read before their memory is overwritten.
        skein_set_title(CommandLine.argc, CommandLine.unsafeArgv, title)
    }
}

/// The system's data about a process.
struct ProcessUsage {
    /// Seconds of processor time.
    var cpu: Double
    /// Resident bytes.
    var memory: Int

    /// Nil for a process that has ended, and where the system has no /proc.
    init?(of process: Int32) {
        guard let text = Self.read("/proc/\(process)/stat"), let end = text.lastByte(")") else { return nil }
        // After the name, which may contain any character, come the state and the numbers (proc(5)): utime is the 12th,
        // rss the 22nd.
        let fields = text[end...].splitBytes(separator: " ")
        guard fields.count > 22, let user = Double(fields[12]), let system = Double(fields[13]),
            let pages = Int(fields[22])
        else { return nil }
        cpu = (user + system) / Double(sysconf(CInt(_SC_CLK_TCK)))
        memory = pages * sysconf(CInt(_SC_PAGESIZE))
    }

    private static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return withUnsafeTemporaryAllocation(byteCount: 1024, alignment: 1) { bytes in
            let count = readBytes(descriptor, bytes)
            return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
        }
    }
}

private func readBytes(_ descriptor: CInt, _ bytes: UnsafeMutableRawBufferPointer) -> Int {
    read(descriptor, bytes.baseAddress, bytes.count)
}
