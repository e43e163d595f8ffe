// Whether a caller still waits for a statement: checked by the thread that is about to execute it.

import SkeinCore
import Synchronization

final class CallState: CallCarrier, Sendable {
    private let over = Atomic<Bool>(false)

    var isOver: Bool { over.load(ordering: .acquiring) }

    /// A statement that has started is completed; one that has not does not start.
    func abandon(_ call: any PipelinedCall) { over.store(true, ordering: .releasing) }
}
