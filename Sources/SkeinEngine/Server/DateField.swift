// The Date field, formatted once a second for all responses of a loop.

import NIOCore
import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The Date field (RFC 9110, section 6.6.1).
struct DateField {
    /// Seconds since 1970.
    private let clock: @Sendable () -> Int
    private var second = -1
    private var madeField = ByteBuffer()
    private var madeText = ""

    init(_ clock: (@Sendable () -> Int)?) { self.clock = clock ?? { time(nil) } }

    /// The field for now, in wire form.
    var field: ByteBuffer {
        mutating get {
            update()
            return madeField
        }
    }

    /// Its value alone.
    var text: String {
        mutating get {
            update()
            return madeText
        }
    }

    private mutating func update() {
        let now = clock()
        guard now != second else { return }
        second = now
        madeText = CivilTime(now).httpDate
        madeField = ByteBuffer(string: "Date: \(madeText)\r\n")
    }
}
