// Dates and times as databases store them: integers of microseconds and days, which a floating-point number would not
// represent exactly.

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A timestamp, to the microsecond: with time zone, or without one as a local date and time.
public struct SQLTimestamp: Hashable, Sendable, CustomStringConvertible {
    /// Microseconds since 1970, in UTC or without zone. The largest and the smallest number are infinity.
    public var microseconds: Int64
    /// Whether it has a time zone: `timestamptz` or `timestamp`.
    public var isZoned: Bool

    /// A timestamp by its microseconds since 1970.
    public init(microseconds: Int64, isZoned: Bool = true) {
        self.microseconds = microseconds
        self.isZoned = isZoned
    }

    /// A timestamp with time zone.
    public init(_ date: Date) {
        self.init(microseconds: Int64(clamping: date.timeIntervalSince1970 * 1e6), isZoned: true)
    }

    /// Later than all others.
    public static let infinity = SQLTimestamp(microseconds: .max)
    /// Earlier than all others.
    public static let minusInfinity = SQLTimestamp(microseconds: .min)

    /// The date, to the precision of a `Double`; a timestamp without zone is taken as UTC.
    public var date: Date {
        switch microseconds {
        case .max: .distantFuture
        case .min: .distantPast
        default: Date(timeIntervalSince1970: Double(microseconds) / 1e6)
        }
    }

    /// `2026-03-01 12:00:00.5+00`
    public var description: String {
        switch microseconds {
        case .max: return "infinity"
        case .min: return "-infinity"
        default: break
        }
        let rest = microseconds % Clock.day
        return Self.text(
            days: microseconds.floored(by: Clock.day), microseconds: rest < 0 ? rest + Clock.day : rest,
            isZoned: isZoned)
    }

    /// The text of a timestamp that may exceed the range of values.
    /// - Parameters:
    ///   - days: since the beginning of 1970.
    ///   - microseconds: since midnight.
    package static func text(days: Int64, microseconds: Int64, isZoned: Bool) -> String {
        Clock.text(CivilDate(days: days), tail: " \(SQLTime(microseconds: microseconds))\(isZoned ? "+00" : "")")
    }

    /// Whether it is finite.
    public var isFinite: Bool { microseconds != .max && microseconds != .min }

    /// Parses `2026-03-01 12:00:00.5+01` and `2026-03-01T12:00:00Z`.
    public init?(_ text: some StringProtocol) {
        switch text.lowercased() {
        case "infinity": self = .infinity
        case "-infinity": self = .minusInfinity
        default:
            guard let parsed = TimeParser.timestamp(text) else { return nil }
            self = parsed
        }
    }
}

/// A date of the proleptic Gregorian calendar.
public struct SQLDate: Hashable, Sendable, CustomStringConvertible {
    /// Days since 1970-01-01. The largest and the smallest number are infinity.
    public var days: Int32

    /// A date by its number of days.
    public init(days: Int32) { self.days = days }

    /// A date of the calendar.
    public init(year: Int, month: Int, day: Int) {
        // A calendar date must not equal one of the infinities.
        let day = CivilDate(year: Int64(year), month: month, day: day).days
        days = min(max(Int32(clamping: day), .min + 1), .max - 1)
    }

    /// Whether it is finite.
    public var isFinite: Bool { days != .max && days != .min }

    /// Its year, month and day.
    public var components: (year: Int, month: Int, day: Int) {
        let date = CivilDate(days: Int64(days))
        return (Int(date.year), date.month, date.day)
    }

    /// Its start in UTC.
    public var date: Date { Date(timeIntervalSince1970: Double(days) * 86400) }

    /// `2026-03-01`
    public var description: String {
        switch days {
        case .max: "infinity"
        case .min: "-infinity"
        default: Clock.text(CivilDate(days: Int64(days)), tail: "")
        }
    }
}

/// A time of day.
public struct SQLTime: Hashable, Sendable, CustomStringConvertible {
    /// Microseconds since midnight.
    public var microseconds: Int64
    /// Seconds east of UTC; nil without a zone.
    public var offset: Int?

    /// A time by its microseconds.
    public init(microseconds: Int64, offset: Int? = nil) {
        self.microseconds = microseconds
        self.offset = offset
    }

    /// `12:00:00.5+01`
    public var description: String {
        let seconds = microseconds / 1_000_000
        let parts = [seconds / 3600, seconds / 60 % 60, seconds % 60].map(CivilTime.two)
        var text = parts.joined(separator: ":") + Clock.fraction(microseconds % 1_000_000)
        if let offset {
            let amount = offset.magnitude
            text += (offset < 0 ? "-" : "+") + CivilTime.two(Int64(amount / 3600))
            if amount % 3600 != 0 { text += ":" + CivilTime.two(Int64(amount / 60 % 60)) }
            if amount % 60 != 0 { text += ":" + CivilTime.two(Int64(amount % 60)) }
        }
        return text
    }
}

/// An interval as in databases: months and days have no fixed length.
public struct SQLInterval: Hashable, Sendable, CustomStringConvertible {
    /// Months; a year has twelve.
    public var months: Int32
    /// Days.
    public var days: Int32
    /// Microseconds.
    public var microseconds: Int64

    /// An interval.
    public init(months: Int32 = 0, days: Int32 = 0, microseconds: Int64 = 0) {
        self.months = months
        self.days = days
        self.microseconds = microseconds
    }

    /// `1 year 2 mons 3 days 04:05:06`: PostgreSQL's default style. A part after a negative one has an explicit sign,
    /// so that it is read the same in each of the server's styles.
    public var description: String {
        var parts: [String] = []
        var isBehindNegative = false
        for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] where value != 0 {
            parts.append("\(isBehindNegative && value > 0 ? "+" : "")\(value) \(unit)\(value == 1 ? "" : "s")")
            isBehindNegative = value < 0
        }
        if microseconds != 0 || parts.isEmpty {
            let amount = microseconds.magnitude
            let seconds = amount / 1_000_000
            let clock = [seconds / 3600, seconds / 60 % 60, seconds % 60].map { CivilTime.two(Int64($0)) }
            let sign = microseconds < 0 ? "-" : isBehindNegative ? "+" : ""
            parts.append(sign + clock.joined(separator: ":") + Clock.fraction(Int64(amount % 1_000_000)))
        }
        return parts.joined(separator: " ")
    }
}

/// The SQL format of dates and times.
enum Clock {
    /// In microseconds.
    static let day: Int64 = 86_400_000_000

    /// There is no year 0: the year before 1 is 1 BC.
    static func text(_ date: CivilDate, tail: String) -> String {
        if date.year > 0 { return date.text + tail }
        return CivilDate(year: 1 - date.year, month: date.month, day: date.day).text + tail + " BC"
    }

    /// `.5`, or an empty text.
    static func fraction(_ microseconds: Int64) -> String {
        guard microseconds != 0 else { return "" }
        var digits = CivilTime.padded(abs(microseconds), to: 6)
        while digits.hasByteSuffix("0") { digits.removeLast() }
        return "." + digits
    }
}

/// Parses dates and times of databases and RFC 3339.
enum TimeParser {
    static func timestamp(_ text: some StringProtocol) -> SQLTimestamp? {
        let text = String(text)
        guard let day = date(text.prefix(10)) else { return nil }
        var rest = text.dropFirst(10)
        guard let separator = rest.popFirst() else {
            return SQLTimestamp(microseconds: Int64(day.days) * Clock.day, isZoned: false)
        }
        guard separator == " " || separator == "T" || separator == "t", let time = time(rest) else { return nil }
        let local = Int64(day.days) * Clock.day + time.microseconds
        guard let offset = time.offset else { return SQLTimestamp(microseconds: local, isZoned: false) }
        return SQLTimestamp(microseconds: local - Int64(offset) * 1_000_000)
    }

    static func date(_ text: some StringProtocol) -> SQLDate? {
        let parts = text.splitBytes(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].count == 4, let year = Int(parts[0]), let month = Int(parts[1]),
            let day = Int(parts[2]), (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        let date = SQLDate(year: year, month: month, day: day)
        return date.components == (year, month, day) ? date : nil
    }

    static func time(_ text: some StringProtocol) -> SQLTime? {
        var clock = Substring(text)
        var offset: Int?
        if clock.last == "Z" || clock.last == "z" {
            clock = clock.dropLast()
            offset = 0
        } else if let sign = clock.lastIndex(where: { $0 == "+" || $0 == "-" }) {
            let parts = clock.text(after: sign).splitBytes(separator: ":").map { Int($0) }
            guard !parts.isEmpty, parts.count <= 3, parts.allSatisfy({ (0..<60).contains($0 ?? -1) }) else {
                return nil
            }
            let seconds = zip(parts, [3600, 60, 1]).reduce(0) { $0 + ($1.0 ?? 0) * $1.1 }
            offset = clock[sign] == "-" ? -seconds : seconds
            clock = clock[..<sign]
        }
        let halves = clock.splitBytes(separator: ".", maxSplits: 1)
        let parts = (halves.first ?? "").splitBytes(separator: ":").map { Int64($0) }
        guard (2...3).contains(parts.count), (0...24).contains(parts[0] ?? -1),
            parts.dropFirst().allSatisfy({ (0...60).contains($0 ?? -1) })
        else { return nil }
        var microseconds = zip(parts, [3600, 60, 1]).reduce(Int64(0)) { $0 + ($1.0 ?? 0) * $1.1 } * 1_000_000
        if halves.count == 2 {
            let digits = halves[1].prefix(6)
            guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let fraction = Int64(digits) else {
                return nil
            }
            microseconds += fraction * [1_000_000, 100_000, 10_000, 1000, 100, 10, 1][digits.count]
        }
        return SQLTime(microseconds: microseconds, offset: offset)
    }
}

extension Int64 {
    /// The nearest integer of a floating-point number.
    init(clamping value: Double) {
        self = value.isNaN ? 0 : value >= 0x1p63 ? .max : value < -0x1p63 ? .min : Int64(value.rounded())
    }
}
