// Locks that processes share.

import CSkeinWorkers
import SkeinCore
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Named locks. Each has at most one holder among all tasks of all processes of a server.
///
/// The system releases a lock when its holder's process ends, however it ends (open file description locks, fcntl(2)),
/// so that no lock is lost, and none has two holders. Waiters get it in no particular order.
package final class NamedLocks: Sendable {
    /// Shows that a lock is held, and the order of its holders.
    package struct Hold: Sendable {
        /// A number that is larger for each holder of the lock: a store that has seen a larger one refuses the writes of an earlier holder.
        package let fence: Int
        package let index: CInt
        let name: String
    }

    private struct State {
        /// Locks of this process, by their numbers.
        var held: Set<CInt> = []
    }

    private let page: SharedPage
    private let descriptor: CInt
    private let state = Mutex(State())

    /// - Throws: code 701 when the system has no descriptor left.
    package init(_ page: SharedPage) throws(SkeinError) {
        self.page = page
        descriptor = skein_locks_open(page.descriptor)
        guard descriptor >= 0 else {
            throw SkeinError(.exception, because: "locks cannot be created: \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(descriptor) }

    /// Takes a lock if no task has it.
    package func tryLock(_ name: String) throws(SkeinError) -> Hold? {
        let (entry, index) = try page.lock(name)
        guard state.withLock({ $0.held.insert(index).inserted }) else { return nil }
        let error = skein_locks_try(descriptor, index)
        guard error == 0 else {
            _ = state.withLock { $0.held.remove(index) }
            if error == EAGAIN { return nil }
            throw SkeinError(
                .exception, because: "the lock \(name.debugDescription) fails: \(String(cString: strerror(error)))")
        }
        return Hold(fence: Int(skein_add(&entry.pointee.fence, 1)), index: index, name: name)
    }

    /// Releases a lock.
    package func release(_ hold: Hold) {
        // The system first: a task of this process that takes the lock next must not find it held.
        skein_locks_release(descriptor, hold.index)
        _ = state.withLock { $0.held.remove(hold.index) }
    }
}
