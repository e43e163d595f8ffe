// The descriptors and variables with which processes are started.

import CSkeinWorkers
import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The descriptors that a process is given, and how they are described to it.
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
    ///   - title: replaces the first of its arguments.
    ///   - variables: added to the environment of this process.
    /// - Returns: the process ID.
    func start(
        program: String, title: String, _ arguments: [String], _ variables: [String: String], inSession: Bool = false
    ) throws(SkeinError) -> Int32 {
        let own = [WorkerLink.Variable.listeners: names.joined(separator: "\n"), "SKEIN_PARENT": "\(getpid())"]
        let all = variables.merging(own) { given, _ in given }
        let environment = Environment.variables.filter { variable in
            // The service manager watches the master only.
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
                .exception, peer: program, because: "the program cannot be started: \(String(cString: strerror(error)))"
            )
        }
        return processID
    }
}
