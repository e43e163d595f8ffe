// The codes of failures by the names that aquests gave them.

import SkeinCore

extension SkeinError.Code {
    /// 703: no socket could be had, or a queue is full; `overloaded`.
    public static let socketPanic = overloaded
    /// 708: the connection ended before any byte of the answer; `noResponse`.
    public static let noData = noResponse
    /// 710: the connection was closed under the request; `connectionClosed`.
    public static let channelClosed = connectionClosed
    /// 712: the corequest was cancelled; `cancelled`.
    public static let controlledShutdown = cancelled
}
