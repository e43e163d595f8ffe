// Inputs for fuzz tests: messages, and how they are corrupted.

/// A generator that gives the same numbers for the same seed (SplitMix64).
public struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    /// A generator with a seed.
    public init(seed: UInt64) { state = seed }

    /// The next number.
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

/// Corrupts messages in the usual ways: bits, bytes, pieces lost, doubled, moved and spliced.
public struct Mutator {
    private static let spice: [[UInt8]] = [
        "\r\n", "\r", "\n", "\0", ":", " ", "\t", "0", "ffffffffffffffff", "chunked", "Content-Length: ",
        "Transfer-Encoding: ",
        "HTTP/1.1", "Connection: close\r\n", "\u{7F}", "-1", "99999999999999999999",
    ].map { Array($0.utf8) }

    /// The source of randomness.
    public var random: SeededGenerator

    /// A mutator with its own random numbers.
    public init(random: SeededGenerator) { self.random = random }

    /// The input, changed in one to four places.
    public mutating func mutate(_ input: [UInt8], with other: [UInt8]) -> [UInt8] {
        var bytes = input
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            guard !bytes.isEmpty else { return other }
            let place = Int.random(in: bytes.indices, using: &random)
            switch Int.random(in: 0..<7, using: &random) {
            case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: bytes[place] = UInt8.random(in: 0...255, using: &random)
            case 2: bytes.remove(at: place)
            case 3: bytes.insert(contentsOf: Self.spice.randomElement(using: &random) ?? [], at: place)
            case 4: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...16, using: &random)))
            case 5: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 16)], at: place)
            default: bytes = Array(bytes[..<place]) + other.dropFirst(Int.random(in: 0...other.count, using: &random))
            }
        }
        return bytes
    }
}
