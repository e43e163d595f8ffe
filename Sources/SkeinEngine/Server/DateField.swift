// The Date field, made once a second for all responses of a loop.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The Date field (RFC 9110, section 6.6.1).
struct DateField {
    private var second: time_t = -1
    private var madeField = ByteBuffer()
    private var madeText = ""

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
        let now = time(nil)
        guard now != second else { return }
        second = now
        madeText = CivilTime(now).httpDate
        madeField = ByteBuffer(string: "Date: \(madeText)\r\n")
    }
}
