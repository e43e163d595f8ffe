import NIOCore
import SkeinWire
import Testing

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A generator that gives the same numbers for the same seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

/// Changes messages in the ways in which they go wrong: bits, bytes, pieces lost, doubled, moved and spliced.
struct Mutator {
    private static let spice: [[UInt8]] = [
        "\r\n", "\r", "\n", "\0", ":", " ", "\t", "0", "ffffffffffffffff", "chunked", "Content-Length: ",
        "Transfer-Encoding: ",
        "HTTP/1.1", "Connection: close\r\n", "\u{7F}", "-1", "99999999999999999999",
    ].map { Array($0.utf8) }

    var random: SeededGenerator

    mutating func mutate(_ input: [UInt8], with other: [UInt8]) -> [UInt8] {
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

/// Mutated input finds no crash, no hang and no trap. `SKEIN_FUZZ` sets the number of inputs; `scripts/fuzz` runs ten million.
@Suite("Codecs fuzzed")
struct FuzzTests {
    static let inputs = ProcessInfo.processInfo.environment["SKEIN_FUZZ"].flatMap { Int($0) } ?? 24_000

    @Test("mutated requests", arguments: [1, 2])
    func requests(seed: UInt64) async {
        let seeds = RequestDecoderTests.wholesome.map { Array($0.0.utf8) }
        var mutator = Mutator(random: SeededGenerator(seed: seed))
        var refused = 0
        for number in 0..<(Self.inputs / 4) {
            if number % 100 == 0 { await Task.yield() }  // other tests are waiting for the thread
            let input = mutator.mutate(seeds[number % seeds.count], with: seeds[(number / 7) % seeds.count])
            var decoder = HTTP1RequestDecoder()
            if !drive(input, &mutator, { decoder.append($0) }, { try decoder.next() != nil }) { refused += 1 }
        }
        #expect(refused > Self.inputs / 40)
    }

    @Test("mutated responses", arguments: [3, 4])
    func responses(seed: UInt64) async {
        let seeds = ResponseDecoderTests.wholesome.map { (Array($0.0.utf8), $0.1) }
        var mutator = Mutator(random: SeededGenerator(seed: seed))
        var refused = 0
        for number in 0..<(Self.inputs / 4) {
            if number % 100 == 0 { await Task.yield() }  // other tests are waiting for the thread
            let (message, methods) = seeds[number % seeds.count]
            let input = mutator.mutate(message, with: seeds[(number / 7) % seeds.count].0)
            var decoder = HTTP1ResponseDecoder()
            for method in methods { decoder.expectResponse(to: method, mayUpgrade: number % 5 == 0) }
            if !drive(input, &mutator, { decoder.append($0) }, { try decoder.next() != nil }) { refused += 1 }
            _ = try? decoder.finish()
        }
        #expect(refused > Self.inputs / 40)
    }

    /// Feeds an input in two pieces. A decoder that gives more events than bytes would never end.
    /// - Returns: whether the decoder took it all.
    private func drive(
        _ input: [UInt8], _ mutator: inout Mutator, _ append: (ByteBuffer) -> Void, _ step: () throws -> Bool
    ) -> Bool {
        let cut = Int.random(in: 0...input.count, using: &mutator.random)
        var events = 0
        do {
            for piece in [input[..<cut], input[cut...]] {
                append(ByteBuffer(bytes: piece))
                while try step() {
                    events += 1
                    if events > input.count + 2 {
                        Issue.record(
                            "the decoder does not end: \(String(decoding: input, as: UTF8.self).debugDescription)")
                        return true
                    }
                }
            }
            return true
        } catch {
            return false
        }
    }
}
