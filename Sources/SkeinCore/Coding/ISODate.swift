// Moments as text (RFC 3339), counted without a calendar's locale or zone.

package enum ISODate {
    private static let day: Int64 = 86_400_000

    /// `2026-11-21T19:56:42.5Z`; nil outside of the years 1970 to 9999.
    package static func text(_ milliseconds: Int64) -> String? {
        guard (0..<253_402_300_800_000).contains(milliseconds) else { return nil }
        let rest = milliseconds % day
        // Days since the first of March of the year 0, so that a leap day is the last of its year.
        let days = milliseconds / day + 719_468
        let era = days / 146_097
        let dayOfEra = days % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let date = [
            padded(yearOfEra + era * 400 + (month >= 10 ? 1 : 0), 4), padded(month < 10 ? month + 3 : month - 9, 2),
            padded(dayOfYear - (153 * month + 2) / 5 + 1, 2),
        ].joined(separator: "-")
        let time = [rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60].map { padded($0, 2) }
        let fraction = rest % 1000 == 0 ? "" : "." + padded(rest % 1000, 3)
        return "\(date)T\(time.joined(separator: ":"))\(fraction)Z"
    }

    private static func padded(_ number: Int64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// The moment of a text. Nil when the date does not exist, such as 30 February, or is finer than a millisecond, which would be lost.
    package static func milliseconds(_ text: String) -> Int64? {
        let expression = #/(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)/#
        guard let match = try? expression.wholeMatch(in: text)?.output, let year = Int64(match.1),
            let month = Int64(match.2), let date = Int64(match.3), let hour = Int64(match.4),
            let minute = Int64(match.5), let second = Int64(match.6), (1...12).contains(month),
            (1...Self.days(inMonth: month, of: year)).contains(date), hour < 24, minute < 60, second <= 60,
            match.7?.utf8.dropFirst(3).allSatisfy({ $0 == UInt8(ascii: "0") }) ?? true
        else { return nil }
        let yearFromMarch = month > 2 ? year : year - 1
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + date - 1
        let leaps = yearFromMarch / 4 - yearFromMarch / 100 + yearFromMarch / 400
        let days = yearFromMarch * 365 + leaps + dayOfYear - 719_468
        let fraction = Int64((match.7.map(String.init) ?? "").padded(to: 3)) ?? 0
        let time = ((hour * 60 + minute) * 60 + second) * 1000 + fraction
        return days * day + time - offset(match.8)
    }

    private static func days(inMonth month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    private static func offset(_ zone: Substring) -> Int64 {
        guard zone != "Z", let hours = Int64(zone.dropFirst().prefix(2)), let minutes = Int64(zone.suffix(2)) else {
            return 0
        }
        return (hours * 60 + minutes) * 60_000 * (zone.first == "-" ? -1 : 1)
    }
}

extension String {
    /// The first so many characters, with zeros where there are not so many.
    fileprivate func padded(to width: Int) -> String {
        String((self + String(repeating: "0", count: width)).prefix(width))
    }
}
