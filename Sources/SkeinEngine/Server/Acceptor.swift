// Accepts connections on sockets that other processes listen on, too.

import CSkeinWorkers
import Logging
import NIOCore
import NIOPosix
import SkeinCore
import SkeinWorkers
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A thread that accepts the connections of a worker, and passes each to the event loop with the fewest connections.
///
/// The master owns the listening sockets: their queues outlive a worker, and every worker may accept from them. A NIO
/// channel expects to be the only acceptor, so it is not used here. All workers are woken for a connection; a worker
/// with more connections than another waits briefly, so that the other one accepts it.
final class Acceptor: Sendable {
    /// A listening socket.
    struct Listener: Sendable {
        let descriptor: CInt
        /// Creates a connection from a descriptor; called on the thread.
        let accept: @Sendable (CInt) -> Void
    }

    /// The delay of a worker with more connections than others.
    private static let courtesy: useconds_t = 300

    private let worker: WorkerLink
    private let logger: Logger
    private let wake: (read: CInt, write: CInt)
    private let ended: EventLoopFuture<Void>

    /// Starts to accept.
    /// - Throws: `IOError` when no pipe can be opened.
    init(_ listeners: [Listener], _ worker: WorkerLink, _ logger: Logger, on loop: any EventLoop) throws {
        self.worker = worker
        self.logger = logger
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { throw IOError(errnoCode: errno, reason: "pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        wake = (ends[0], ends[1])
        let promise = loop.makePromise(of: Void.self)
        ended = promise.futureResult
        let thread = NIOThreadPool(numberOfThreads: 1)
        thread.start()
        thread.submit { [self] _ in
            run(listeners)
            thread.shutdownGracefully { _ in promise.succeed() }
        }
    }

    /// Stops accepting; queued connections are left for other workers.
    func stop() async {
        close(wake.write)
        try? await ended.get()
        close(wake.read)
    }

    private func run(_ listeners: [Listener]) {
        defer { for listener in listeners { close(listener.descriptor) } }
        var entries = ([wake.read] + listeners.map(\.descriptor)).map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        while true {
            guard poll(&entries, nfds_t(entries.count), -1) >= 0 || errno == EINTR else { return }
            if entries[0].revents != 0 { return }
            if hasMore { usleep(Self.courtesy) }
            for (listener, entry) in zip(listeners, entries.dropFirst()) where entry.revents != 0 {
                // A few at a time, so that other workers get some, too.
                for _ in 0..<4 where !accept(of: listener) { break }
            }
        }
    }

    /// Whether the worker has clearly more connections than another one.
    private var hasMore: Bool {
        let own = worker.record.openConnections
        guard own > 2 else { return false }
        let least = worker.page.records.lazy
            .filter { [slot = self.worker.slot] in $0.phase == .ready && $0.slot != slot }.map(\.openConnections).min()
        return least.map { own > $0 + max(2, $0 / 8) } ?? false
    }

    /// - Returns: whether there was a connection.
    private func accept(of listener: Listener) -> Bool {
        let descriptor = skein_accept(listener.descriptor)
        if descriptor >= 0 {
            listener.accept(descriptor)
            return true
        }
        switch errno {
        case EMFILE, ENFILE, ENOBUFS, ENOMEM:
            logger.error("no connection can be accepted: \(String(cString: strerror(errno)))")
            // The queue stays full; without a pause, this would be a busy loop.
            sleep(1)
            return false
        default: return false  // Another worker was faster, or the client is gone.
        }
    }
}
