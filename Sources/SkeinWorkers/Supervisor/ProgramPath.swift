// The path of the program, and the environment that it was started with.

import CSkeinWorkers
import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Where the program is.
package enum ProgramPath {
    /// The running program, even if another one is at its path by now.
    static let own: String = access("/proc/self/exe", X_OK) == 0 ? "/proc/self/exe" : CommandLine.arguments[0]

    /// The path of the program on the disk, as it was started, so that a link may lead to another program later. It
    /// must be read once before the working folder changes.
    package static let current: String = {
        let named = CommandLine.arguments[0]
        if named.utf8.contains(UInt8(ascii: "/")), access(named, X_OK) == 0 {
            if named.hasBytePrefix("/") { return named }
            let folder = getcwd(nil, 0)
            defer { free(folder) }
            return "\(folder.map { String(cString: $0) } ?? ".")/\(named)"
        }
        let real = realpath("/proc/self/exe", nil)
        defer { free(real) }
        return real.map { String(cString: $0) } ?? named
    }()
}

/// The variables of this process.
package enum Environment {
    package static var variables: [String] {
        var all: [String] = []
        var next = skein_environment()
        while let place = next, let variable = place.pointee {
            all.append(String(cString: variable))
            next = place.successor()
        }
        return all
    }
}

/// Lists of strings in the form of C.
package enum CStrings {
    package static func with<Result>(
        _ texts: [String], _ work: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        var pointers = texts.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return withUnsafePointer(to: &pointers[0], work)
    }
}
