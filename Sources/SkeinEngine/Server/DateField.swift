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
        madeText = Self.format(now)
        madeField = ByteBuffer(string: "Date: \(madeText)\r\n")
    }

    /// A moment in the fixed-length format of RFC 9110, section 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`.
    static func format(_ moment: time_t) -> String {
        var moment = moment
        var parts = tm()
        gmtime_r(&moment, &parts)
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        func two(_ number: CInt) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) "
            + "\(parts.tm_year + 1900) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) GMT"
    }
}
