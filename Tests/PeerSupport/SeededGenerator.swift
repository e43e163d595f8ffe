// Random values for generated test cases.

extension SeededGenerator {
    public mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

    public mutating func pick<T>(_ choices: [T]) -> T { choices[number(0...choices.count - 1)] }

    /// A number of decimal digits, the first of which is not 0.
    public mutating func digits(_ count: Int) -> String {
        (0..<count).map { "\(number($0 == 0 ? 1...9 : 0...9))" }.joined()
    }

    public mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(number(0...255)) } }

    /// A string that includes characters that are difficult to quote.
    public mutating func text(_ count: Int, from alphabet: String = "aZ09 ,;'\"\\{}()[]%_\n\r\tüß€😀\u{301}\u{600}")
        -> String
    {
        let scalars = Array(alphabet.unicodeScalars)
        return String(String.UnicodeScalarView((0..<count).map { _ in pick(scalars) }))
    }
}
