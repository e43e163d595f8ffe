// Whether somebody still waits for a statement: asked by the thread that is about to carry it out.

import SkeinCore
import Synchronization

final class CallState: CallCarrier, Sendable {
    private let over = Atomic<Bool>(false)

    var isOver: Bool { over.load(ordering: .acquiring) }

    /// One that has begun goes on to its end; one that has not does not begin.
    func abandon(_ call: any PipelinedCall) { over.store(true, ordering: .releasing) }
}
