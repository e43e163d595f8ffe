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
    private var made = (field: ByteBuffer(), text: "")

    /// The field for now, in wire form and as its value alone.
    mutating func current() -> (field: ByteBuffer, text: String) {
        let now = time(nil)
        if now != second {
            second = now
            let text = Self.format(now)
            made = (ByteBuffer(string: "Date: \(text)\r\n"), text)
        }
        return made
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
