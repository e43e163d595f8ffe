// What apps do when the server that serves them has stopped.

import SkeinHTTP
import Synchronization

/// Work for the end, in the reverse order of its registration: what was made ready first may be needed last.
final class ShutdownWork: Sendable {
    private let work = Mutex<[@Sendable () async -> Void]>([])
    /// The client of the server, which is there as long as this work is not done.
    let client: SkeinClient?

    init(_ client: SkeinClient? = nil) { self.client = client }

    func add(_ piece: @escaping @Sendable () async -> Void) { work.withLock { $0.append(piece) } }

    /// Does it all, once.
    func run() async {
        let pieces = work.withLock { work in
            defer { work = [] }
            return work
        }
        for piece in pieces.reversed() { await piece() }
    }
}

extension MountPoint {
    /// Registers work for the end of the server, for an app that is being made ready: `bootstrap(at:)` opens, this closes.
    ///
    /// It begins when the last request has been answered, and the server waits for it. Apps that were replaced end a minute later.
    public func atShutdown(_ work: @escaping @Sendable () async -> Void) { shutdown?.add(work) }
}
