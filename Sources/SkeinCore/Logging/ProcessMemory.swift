// The memory usage of the process, by the system's count.

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The memory of this process.
package enum ProcessMemory {
    /// The resident bytes now, or nil where the system does not report them.
    package static var resident: Int? { status("VmRSS:") }

    /// The peak of resident bytes.
    package static var peak: Int? { status("VmHWM:") }

    private static func status(_ name: String) -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
            let line = text.splitBytes(separator: "\n").first(where: { $0.hasBytePrefix(name) }),
            let kibibytes = line.splitAtBlanks().dropFirst().first.flatMap({
                Int($0)
            })
        else { return nil }
        return kibibytes << 10
    }
}
