// A moment as people write it, in UTC.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A moment taken apart.
struct CivilTime {
    private static let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// The moment itself, in seconds since 1970.
    static var now: Int { time(nil) }

    private var parts = tm()

    init(_ moment: time_t) {
        var moment = moment
        gmtime_r(&moment, &parts)
    }

    var year: Int { Int(parts.tm_year) + 1900 }
    var monthName: String { Self.months[Int(parts.tm_mon)] }
    var dayName: String { Self.days[Int(parts.tm_wday)] }
    var twoDigitDay: String { Self.two(parts.tm_mday) }
    /// `2026-11-21`
    var day: String { "\(year)-\(Self.two(parts.tm_mon + 1))-\(twoDigitDay)" }
    /// `18:05:06`
    var clock: String { "\(Self.two(parts.tm_hour)):\(Self.two(parts.tm_min)):\(Self.two(parts.tm_sec))" }
    /// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7)
    var httpDate: String { "\(dayName), \(twoDigitDay) \(monthName) \(year) \(clock) GMT" }

    private static func two(_ number: CInt) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
