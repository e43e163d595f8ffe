// The dates of HTTP fields and cookies.

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Parses dates as cookies are parsed (RFC 6265bis, section 5.1.1), which includes the three formats of RFC 9110, section 5.6.7.
/// ``CivilTime/httpDate`` writes the preferred format.
package enum HTTPDate {
    private static let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]

    /// The moment; nil when there is no such date.
    package static func parse(_ text: String) -> Date? {
        seconds(text).map { Date(timeIntervalSince1970: Double($0)) }
    }

    /// Seconds since 1970 of a date in one of the three formats, and in no other; the name of the weekday is not checked.
    package static func strict(_ text: String) -> Int? {
        guard let seconds = seconds(text) else { return nil }
        let words = CivilTime(seconds).httpDate.splitBytes(separator: " ").map(String.init)
        guard words.count == 6 else { return nil }
        let (day, month, year, clock) = (words[1], words[2], words[3], words[4])
        let spacedDay = day.hasBytePrefix("0") ? " \(day.dropFirst())" : day
        let given = text[...].trimmingBlanks()
        guard let comma = given.rangeOfBytes(", ") else {
            return "\(month) \(spacedDay) \(clock) \(year)".equalsBytes(given.dropFirst(4)) ? seconds : nil
        }
        let formats = ["\(day) \(month) \(year) \(clock) GMT", "\(day)-\(month)-\(year.dropFirst(2)) \(clock) GMT"]
        return formats.contains { $0.equalsBytes(given[comma.upperBound...]) } ? seconds : nil
    }

    /// Seconds since 1970; nil when there is no such date.
    package static func seconds(_ text: String) -> Int? {
        var time: (hour: Int, minute: Int, second: Int)?
        var day: Int?
        var month: Int?
        var year: Int?
        let words = text.utf8.split { byte in
            byte == 0x09 || (0x20...0x2F).contains(byte) || (0x3B...0x40).contains(byte)
                || (0x5B...0x60).contains(byte) || (0x7B...0x7E).contains(byte)
        }
        for word in words {
            let word = String(Substring(word)).lowercased()
            if time == nil, let found = Self.time(word) {
                time = found
            } else if day == nil, let found = number(word, digits: 1...2) {
                day = found
            } else if month == nil, let found = months.firstIndex(of: String(word.prefix(3))) {
                month = found + 1
            } else if year == nil, let found = number(word, digits: 2...4) {
                year = found < 70 ? found + 2000 : found < 100 ? found + 1900 : found
            }
        }
        guard let time, let day, let month, let year, year >= 1601, time.hour < 24, time.minute < 60, time.second < 60
        else { return nil }
        let date = CivilDate(year: Int64(year), month: month, day: day)
        return date.exists ? Int(date.days) * 86_400 + time.hour * 3600 + time.minute * 60 + time.second : nil
    }

    /// A moment in the preferred format.
    package static func text(_ date: Date) -> String { CivilTime(Int(date.timeIntervalSince1970)).httpDate }

    private static func time(_ word: String) -> (Int, Int, Int)? {
        let parts = word.splitBytes(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, let hour = number(String(parts[0]), digits: 1...2, isWhole: true),
            let minute = number(String(parts[1]), digits: 1...2, isWhole: true),
            let second = number(String(parts[2]), digits: 1...2)
        else { return nil }
        return (hour, minute, second)
    }

    /// The number at the start of a word; no further digit may follow.
    private static func number(_ word: String, digits: ClosedRange<Int>, isWhole: Bool = false) -> Int? {
        let found = word.utf8.prefix(while: Bytes.isDigit)
        guard digits.contains(found.count), !isWhole || found.count == word.utf8.count else { return nil }
        return Int(String(Substring(found)))
    }
}
