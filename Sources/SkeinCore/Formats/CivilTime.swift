// The proleptic Gregorian calendar in UTC, in whole numbers, without locale and time zone.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A date, which may not exist.
package struct CivilDate: Equatable, Sendable {
    package var year: Int64
    package var month: Int
    package var day: Int

    package init(year: Int64, month: Int, day: Int) {
        self.year = year
        self.month = month
        self.day = day
    }

    /// The date of a day since 1970.
    package init(days: Int64) {
        let shifted = days + 719_468
        let era = shifted.floored(by: 146_097)
        let ofEra = shifted - era * 146_097
        let yearOfEra = (ofEra - ofEra / 1460 + ofEra / 36524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let fromMarch = (5 * ofYear + 2) / 153
        day = Int(ofYear - (153 * fromMarch + 2) / 5 + 1)
        month = Int(fromMarch < 10 ? fromMarch + 3 : fromMarch - 9)
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    /// Days since 1970-01-01. The computation lets years begin in March, so that the leap day is the last day of its year.
    package var days: Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted.floored(by: 400)
        let ofEra = shifted - era * 400
        let ofYear = Int64((153 * ((month + 9) % 12) + 2) / 5 + day - 1)
        return era * 146_097 + ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear - 719_468
    }

    /// Whether the date exists; false for 30 February.
    package var exists: Bool { (1...12).contains(month) && CivilDate(days: days) == self }

    /// `2026-11-21`
    package var text: String {
        "\(CivilTime.padded(year, to: 4))-\(CivilTime.two(Int64(month)))-\(CivilTime.two(Int64(day)))"
    }
}

/// A moment as date and time of day, in UTC.
package struct CivilTime: Sendable {
    private static let dayNames = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let monthNames = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// The current time, in seconds since 1970.
    package static var now: Int { time(nil) }

    package let date: CivilDate
    /// Seconds since midnight.
    package let second: Int
    private let days: Int64

    /// - Parameter moment: in seconds since 1970.
    package init(_ moment: Int) {
        days = Int64(moment).floored(by: 86_400)
        date = CivilDate(days: days)
        second = moment - Int(days) * 86_400
    }

    package var monthName: String { Self.monthNames[date.month - 1] }
    package var twoDigitDay: String { Self.two(Int64(date.day)) }
    /// `18:05:06`
    package var clock: String {
        "\(Self.two(Int64(second / 3600))):\(Self.two(Int64(second / 60 % 60))):\(Self.two(Int64(second % 60)))"
    }
    /// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7)
    package var httpDate: String {
        let weekday = Self.dayNames[Int(days - days.floored(by: 7) * 7)]
        return "\(weekday), \(twoDigitDay) \(monthName) \(Self.padded(date.year, to: 4)) \(clock) GMT"
    }

    /// A number from 0 to 99 in two digits.
    package static func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }

    /// A number with leading zeros.
    package static func padded(_ number: Int64, to width: Int) -> String {
        let digits = "\(number)"
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}

extension Int64 {
    /// The quotient, rounded down, also for negative numbers.
    package func floored(by unit: Int64) -> Int64 { self / unit - (self % unit < 0 ? 1 : 0) }
}
