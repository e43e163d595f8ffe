// A worker's connection to its master.

import CSkeinWorkers
import Dispatch
import SkeinCore
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The resources that a worker has from its master: listening sockets, the shared page, and the connection to it.
package final class WorkerLink: Sendable {
    /// The numbers of the descriptors that a worker is started with.
    enum Descriptor {
        static let control: CInt = 3
        static let page: CInt = 4
        static let report: CInt = 5
        static let firstListener: CInt = 6
    }

    /// The variables of the environment that a worker is started with.
    enum Variable {
        static let worker = "SKEIN_WORKER"
        static let listeners = "SKEIN_LISTENERS"
    }

    private struct State {
        var sequence: UInt64 = 0
        var order = BroadcastOrder()
        var receive: (@Sendable (Broadcast) -> Void)?
        var masterHasGone: (@Sendable () -> Void)?
        var grace = Duration.seconds(30)
        var areListenersClosed = false
    }

    /// The number of the worker, from 0.
    package let slot: Int
    /// The memory that all workers share.
    package let page: SharedPage
    package let record: ProcessRecord
    private let listeners: [String: CInt]
    private let control: ControlSocket
    private let sender: UInt64
    private let state = Mutex(State())

    /// The link of this process to its master; nil if it is not a worker.
    package static let current: WorkerLink? = WorkerLink()

    private init?() {
        guard let given = getenv(Variable.worker).map({ String(cString: $0) }) else { return nil }
        let names = getenv(Variable.listeners).map { String(cString: $0) } ?? ""
        // Programs that the worker starts are not workers.
        unsetenv(Variable.worker)
        unsetenv(Variable.listeners)
        let words = given.splitBytes(separator: ",")
        guard words.count == 3, let parent = Int32(words[0]), let slot = Int(words[1]), let index = Int(words[2]),
            parent == getppid(), let page = try? SharedPage(descriptor: Descriptor.page)
        else {
            // The master has ended meanwhile; without it, this would become a server of its own.
            _exit(1)
        }
        self.slot = slot
        self.page = page
        record = ProcessRecord(page: page, index: index)
        control = ControlSocket(descriptor: Descriptor.control)
        var listeners: [String: CInt] = [:]
        for (index, line) in names.splitBytes(separator: "\n").enumerated() {
            listeners[String(line)] = Descriptor.firstListener + CInt(index)
        }
        self.listeners = listeners
        // Process IDs are reused; the start time distinguishes them.
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        sender =
            UInt64(truncatingIfNeeded: getpid()) << 40 | UInt64(truncatingIfNeeded: now.tv_nsec / 1000) << 20
            | UInt64(truncatingIfNeeded: now.tv_sec) & 0xfffff
        for descriptor in [Descriptor.control, Descriptor.page, Descriptor.report] + Array(listeners.values) {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }
        ProcessTitle.set(CommandLine.arguments[0])
        watch()
        // The runtime's own report is more detailed, but slower; it is used if the environment asks for it.
        if getenv("SWIFT_BACKTRACE") == nil {
            skein_report_crashes(Descriptor.report, skein_page_record(page.page, CInt(index)))
        }
    }

    /// A listening socket of the master; nil if it has none for this address.
    package func listener(_ address: ListenerAddress) -> CInt? { listeners["\(address)"] }

    /// Closes the master's sockets, so that clients are refused once all processes have closed them.
    package func closeListeners() {
        let isFirst = state.withLock { state in
            defer { state.areListenersClosed = true }
            return !state.areListenersClosed
        }
        if isFirst { for descriptor in listeners.values { close(descriptor) } }
    }

    /// The worker serves.
    package func ready() { _ = control.send(.ready) }

    /// Sends a message to all other workers.
    /// - Throws: code 719 for a message that is too long, 701 when the master does not accept it because too many are
    ///   in transit.
    package func send(_ broadcast: Broadcast) throws(SkeinError) {
        guard broadcast.topic.utf8.count + broadcast.bytes.count <= Broadcast.maximumSize else {
            throw SkeinError(
                .contentTooLarge,
                because: "a broadcast is limited to \(Broadcast.maximumSize) bytes, its topic included")
        }
        let sent = state.withLock { state in
            let sent = control.send(.broadcast(broadcast.encoded(from: sender, number: state.sequence + 1)))
            // A message that was not sent leaves no gap.
            if case .done = sent { state.sequence += 1 }
            return sent
        }
        switch sent {
        case .done: break
        case .full: throw SkeinError(.exception, because: "too many broadcasts are under way; send fewer")
        case .closed: throw SkeinError(.connectionClosed, because: "the master process has ended")
        }
    }

    /// Starts to receive the messages of other workers, one after the other, on a separate thread.
    package func onBroadcast(_ receive: @escaping @Sendable (Broadcast) -> Void) {
        state.withLock { $0.receive = receive }
    }

    /// Begins to listen to the master.
    /// - Parameters:
    ///   - grace: how long the worker may take to end when the master has ended.
    ///   - masterHasGone: ends the worker.
    package func listen(grace: Duration, masterHasGone: @escaping @Sendable () -> Void) {
        state.withLock { state in
            state.masterHasGone = masterHasGone
            state.grace = grace
        }
    }

    /// Waits for the master's end from the start: a worker that hangs while it starts must not stay behind.
    private func watch() {
        DispatchQueue(label: "skein.worker").async { [self] in
            read()
            let (end, grace) = state.withLock { ($0.masterHasGone, $0.grace) }
            guard let end else { _exit(1) }
            end()
            // Whatever hangs.
            usleep(useconds_t(clamping: Int(grace / .microseconds(1))))
            _exit(1)
        }
    }

    private func read() {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: ControlSocket.maximumMessage + 64, alignment: 8)
        defer { buffer.deallocate() }
        while true {
            switch control.receive(into: buffer) {
            case .nothing: control.wait()
            case .message where state.withLock({ $0.receive == nil }): continue  // There is no listener yet.
            case .message(.ready): break
            case .message(.broadcast(let bytes)):
                guard let (broadcast, sender, number) = Broadcast.decode(bytes) else { continue }
                let (missed, receive) = state.withLock { ($0.order.receive(number, from: sender), $0.receive) }
                receive?(Broadcast(topic: broadcast.topic, bytes: broadcast.bytes, missed: missed))
            case .closed: return
            }
        }
    }
}
