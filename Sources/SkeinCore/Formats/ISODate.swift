// Timestamps as text (RFC 3339), without locale or time zone.

package enum ISODate {
    private static let day: Int64 = 86_400_000

    /// `2026-11-21T19:56:42.5Z`; nil outside of the years 1970 to 9999.
    package static func text(_ milliseconds: Int64) -> String? {
        guard (0..<253_402_300_800_000).contains(milliseconds) else { return nil }
        let rest = milliseconds % day
        let time = CivilTime(Int(milliseconds / 1000))
        let fraction = rest % 1000 == 0 ? "" : "." + CivilTime.padded(rest % 1000, to: 3)
        return "\(time.date.text)T\(time.clock)\(fraction)Z"
    }

    /// The moment of a text. Nil when the date does not exist, such as 30 February, or is finer than a millisecond,
    /// since digits would be lost.
    package static func milliseconds(_ text: String) -> Int64? {
        let expression = #/(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)/#
        guard let match = try? expression.wholeMatch(in: text)?.output, let year = Int64(match.1),
            let month = Int(match.2), let day = Int(match.3), let hour = Int64(match.4),
            let minute = Int64(match.5), let second = Int64(match.6), hour < 24, minute < 60, second <= 60,
            match.7?.utf8.dropFirst(3).allSatisfy({ $0 == UInt8(ascii: "0") }) ?? true
        else { return nil }
        let date = CivilDate(year: year, month: month, day: day)
        guard date.exists else { return nil }
        let fraction = Int64((match.7.map(String.init) ?? "").padded(to: 3)) ?? 0
        let time = ((hour * 60 + minute) * 60 + second) * 1000 + fraction
        return date.days * Self.day + time - offset(match.8)
    }

    private static func offset(_ zone: Substring) -> Int64 {
        guard zone != "Z", let hours = Int64(zone.dropFirst().prefix(2)), let minutes = Int64(zone.suffix(2)) else {
            return 0
        }
        return (hours * 60 + minutes) * 60_000 * (zone.first == "-" ? -1 : 1)
    }
}

extension String {
    /// The first characters up to a width, padded with zeros.
    fileprivate func padded(to width: Int) -> String {
        String((self + String(repeating: "0", count: width)).prefix(width))
    }
}
