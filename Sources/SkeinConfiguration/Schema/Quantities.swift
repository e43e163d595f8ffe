// Durations, sizes and rates as people write them.

import SkeinCore

/// Reads quantities with their units.
enum Quantity {
    /// `30s`, `1.5h`, `500ms`; a bare number is seconds.
    static func duration(_ text: String) -> Duration? {
        let units: [(String, Double)] = [
            ("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800),
        ]
        let number = digits(text)
        let unit = text.droppingBytes(first: number.utf8.count).trimmingBlanks()
        guard let value = Double(number),
            let factor = unit.isEmpty ? 1 : units.first(where: { $0.0.equalsBytes(unit) })?.1
        else { return nil }
        return duration(value * factor)
    }

    static func duration(_ seconds: Double) -> Duration? {
        seconds >= 0 && seconds < 1e10 ? .seconds(seconds) : nil
    }

    /// `64K`, `16M`, `1G`, with or without `iB` or `B`; powers of 1024.
    static func bytes(_ text: String) -> Int? {
        let units: [(String, Int)] = [("", 0), ("K", 10), ("M", 20), ("G", 30), ("T", 40)]
        let number = digits(text)
        var unit = text.droppingBytes(first: number.utf8.count).trimmingBlanks()
        if unit.hasByteSuffix("iB") {
            unit = unit.dropLast(2)
        } else if unit.hasByteSuffix("B") {
            unit = unit.dropLast()
        }
        guard let value = Double(number), let shift = units.first(where: { $0.0.equalsBytes(unit) })?.1 else {
            return nil
        }
        let count = value * Double(1 << shift)
        return count < 1e15 ? Int(count) : nil
    }

    /// `100/minute`, `5/10s`.
    static func rate(_ text: String) -> (Int, Duration)? {
        let parts = text.splitBytes(separator: "/", omittingEmptySubsequences: false).map { $0.trimmingBlanks() }
        guard parts.count == 2, let limit = Int(parts[0]), (1...1 << 40).contains(limit) else { return nil }
        let words = ["second": 1, "minute": 60, "hour": 3600, "day": 86_400]
        if let seconds = words.first(where: { $0.key.equalsBytes(parts[1]) })?.value {
            return (limit, .seconds(seconds))
        }
        guard let window = duration(String(parts[1])), window > .zero else { return nil }
        return (limit, window)
    }

    private static func digits(_ text: String) -> String {
        String(decoding: text.utf8.prefix { Bytes.isDigit($0) || $0 == UInt8(ascii: ".") }, as: UTF8.self)
    }
}
