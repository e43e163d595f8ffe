// What processes are started with, and what they find when they begin.

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

/// Where the program is.
package enum ProgramPath {
    /// The program that runs, even when there is another one at its place by now.
    static let own: String = access("/proc/self/exe", X_OK) == 0 ? "/proc/self/exe" : CommandLine.arguments[0]

    /// The place of the program on the disk, whatever is there: as it was started, so that a link may lead to another program later on. Asked
    /// for first before the working folder changes.
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

/// The descriptors that a process is given, and how it is told of them.
struct Given {
    private var descriptors: [skein_descriptor] = []
    private var names: [String] = []

    init(_ listeners: Listeners) {
        for (index, socket) in listeners.sockets.enumerated() {
            add(socket.descriptor, as: WorkerLink.Descriptor.firstListener + CInt(index))
            names.append("\(socket.address)")
        }
    }

    mutating func add(_ descriptor: CInt, as target: CInt) {
        descriptors.append(skein_descriptor(source: descriptor, target: target))
    }

    /// Starts a program with them.
    /// - Parameters:
    ///   - title: the first of its arguments, in place of that which is there.
    ///   - variables: what its environment has beside that of this process.
    /// - Returns: its number.
    func start(
        program: String, title: String, _ arguments: [String], _ variables: [String: String], inSession: Bool = false
    ) throws(SkeinError) -> Int32 {
        let own = [WorkerLink.Variable.listeners: names.joined(separator: "\n"), "SKEIN_PARENT": "\(getpid())"]
        let all = variables.merging(own) { given, _ in given }
        let environment = Environment.variables.filter { variable in
            // The manager watches whoever is the master.
            !all.keys.contains { variable.hasBytePrefix("\($0)=") } && !variable.hasBytePrefix("WATCHDOG_PID=")
        }
        var processID: pid_t = 0
        let error = CStrings.with([title] + arguments.dropFirst()) { arguments in
            CStrings.with(environment + all.map { "\($0)=\($1)" }) { environment in
                skein_spawn(program, arguments, environment, descriptors, descriptors.count, inSession, &processID)
            }
        }
        guard error == 0 else {
            throw SkeinError(
                .exception, peer: program, because: "it cannot be started: \(String(cString: strerror(error)))")
        }
        return processID
    }
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

/// Lists of text as C has them.
package enum CStrings {
    package static func with<Result>(
        _ texts: [String], _ work: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        var pointers = texts.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return withUnsafePointer(to: &pointers[0], work)
    }
}

/// What a master has from the one that it replaces.
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
    /// Nil when it is that of another version of the program.
    let page: SharedPage?
    let pidFile: CInt?
    let listeners: [(address: ListenerAddress, descriptor: CInt)]

    /// Takes it, if there is any.
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
            logger.warning("shared states begin anew: \(error.message)")
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
    /// Reads what `description` has written.
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

/// Signals, as something to read.
struct SignalPipe {
    let descriptor: CInt

    init(_ signals: [CInt]) throws(SkeinError) {
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw SkeinError(.exception, because: "no pipe can be had: \(String(cString: strerror(errno)))")
        }
        for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        descriptor = FileNumbers.raised(ends[0])
        let error = skein_signals_write(FileNumbers.raised(ends[1]), signals, signals.count)
        guard error == 0 else {
            throw SkeinError(.exception, because: "signals cannot be caught: \(String(cString: strerror(error)))")
        }
    }

    /// Those that have come, each once.
    func received() -> [CInt] {
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = read(descriptor, &bytes, bytes.count)
        guard count > 0 else { return [] }
        var seen: [CInt] = []
        for byte in bytes[..<count] where !seen.contains(CInt(byte)) { seen.append(CInt(byte)) }
        return seen
    }
}

/// Tells whoever has started this process in the background that it serves.
struct Readiness {
    static let variable = "SKEIN_READY"

    private let descriptor: CInt?

    init() {
        descriptor = getenv(Self.variable).flatMap { CInt(String(cString: $0)) }.map(FileNumbers.raised)
        unsetenv(Self.variable)
    }

    func tell() {
        guard let descriptor else { return }
        _ = write(descriptor, "R", 1)
        close(descriptor)
    }
}

/// Files as they were seen last.
struct FileStates {
    private struct Seen: Equatable {
        var inode: UInt64 = 0
        var size: Int64 = 0
        var changed: Int64 = 0
    }

    private let paths: [String]
    private var known: [Seen]
    private var last: [Seen]

    init(_ paths: [String]) {
        self.paths = paths
        known = paths.map(Self.look)
        last = known
    }

    private static func look(_ path: String) -> Seen {
        var facts = stat()
        guard stat(path, &facts) == 0 else { return Seen() }
        #if canImport(Darwin)
            let time = facts.st_mtimespec
        #else
            let time = facts.st_mtim
        #endif
        return Seen(
            inode: UInt64(facts.st_ino), size: Int64(facts.st_size),
            changed: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// Whether they are others, and are not being written: the same twice in a row.
    mutating func haveChanged() -> Bool {
        guard !paths.isEmpty else { return false }
        let now = paths.map(Self.look)
        defer { last = now }
        guard now == last, now != known, !now.contains(Seen()) else { return false }
        known = now
        return true
    }
}

extension SupervisorMachine.Reason {
    /// Why, in words.
    var sentence: String {
        switch self {
        case .reload: "everything is read again"
        case .silent: "it does not answer"
        case .cpu: "it uses too much of the processor"
        case .memory: "it uses too much memory"
        case .requests: "it has answered enough requests"
        case .age: "it is old enough"
        }
    }
}
