// What a master inherits from the one that it replaces.

import CSkeinWorkers
import Logging
import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The descriptors and state that a master has from the one that it replaces.
package struct Inheritance {
    static let variable = "SKEIN_MASTER"
    static let pidFileVariable = "SKEIN_PID_FILE"

    /// Whether this process was started to replace a master, which may have ended meanwhile.
    package static var isThere: Bool {
        var facts = stat()
        return getenv(variable) != nil && fstat(WorkerLink.Descriptor.control, &facts) == 0
            && facts.st_mode & S_IFMT == S_IFSOCK
    }

    /// The pid file of the master that is replaced.
    package static var pidFilePath: String? { getenv(pidFileVariable).map { String(cString: $0) } }

    let control: ControlSocket
    /// Nil when it belongs to another version of the program.
    let page: SharedPage?
    let pidFile: CInt?
    let listeners: [(address: ListenerAddress, descriptor: CInt)]

    /// Takes the inheritance, if there is one.
    static func take(logger: Logger) -> Inheritance? {
        defer {
            unsetenv(variable)
            unsetenv(pidFileVariable)
            unsetenv(WorkerLink.Variable.listeners)
        }
        guard let words = getenv(variable).map({ String(cString: $0).splitBytes(separator: ",") }), words.count == 2,
            isThere
        else { return nil }
        let names = (getenv(WorkerLink.Variable.listeners).map { String(cString: $0) } ?? "").splitBytes(
            separator: "\n")
        var page: SharedPage?
        let descriptor = FileNumbers.raised(WorkerLink.Descriptor.page)
        do throws(SkeinError) {
            page = try SharedPage(descriptor: descriptor)
        } catch {
            close(descriptor)
            logger.warning("the shared states are reset: \(error.message)")
        }
        return Inheritance(
            control: ControlSocket(descriptor: FileNumbers.raised(WorkerLink.Descriptor.control)), page: page,
            pidFile: words[1] == "1" ? WorkerLink.Descriptor.report : nil,
            listeners: names.enumerated().compactMap { index, name in
                ListenerAddress(String(name)).map { ($0, WorkerLink.Descriptor.firstListener + CInt(index)) }
            })
    }
}

extension ListenerAddress {
    /// Reads the output of `description`.
    init?(_ text: String) {
        if text.hasBytePrefix("unix:") {
            self = .unix(String(text.droppingBytes(first: 5)))
        } else if text.hasBytePrefix("descriptor ") {
            guard let number = CInt(text.droppingBytes(first: 11)) else { return nil }
            self = .inherited(number)
        } else {
            guard let colon = text.lastByte(":"), let port = UInt16(text.text(after: colon)) else { return nil }
            var host = text[..<colon]
            if host.hasBytePrefix("[") { host = Substring(host.utf8.dropFirst().dropLast()) }
            self = .tcp(String(host), port: Int(port))
        }
    }
}
