import NIOCore
import PeerSupport
import SkeinWire
import Testing

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Mutated input finds no crash, no hang and no trap. `SKEIN_FUZZ` sets the number of inputs; `scripts/fuzz` runs ten million.
@Suite("Fuzzed codecs")
struct FuzzTests {
    static let inputs = ProcessInfo.processInfo.environment["SKEIN_FUZZ"].flatMap { Int($0) } ?? 24_000

    @Test("mutated forms with files are parsed or refused")
    func forms() async {
        let seeds = [MultipartDecoderTests.form, "--b\r\n\r\n--b\r\n\r\n\r\n--b--"].map { Array($0.utf8) }
        var mutator = Mutator(random: SeededGenerator(seed: 3))
        for number in 0..<(Self.inputs / 4) {
            if number % 100 == 0 { await Task.yield() }
            let input = mutator.mutate(seeds[number % 2], with: seeds[(number + 1) % 2])
            guard var decoder = try? MultipartDecoder(boundary: "b") else { continue }
            var read = 0
            let isRead = drive(input, &mutator, { decoder.append($0) }) {
                guard let event = try decoder.next() else { return false }
                if case .data(let bytes) = event { read += bytes.readableBytes }
                return true
            }
            #expect(!isRead || read <= input.count)
        }
    }

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
            var found: [HTTPParsing: [String]] = [:]
            for parsing in HTTPParsing.allCases {
                var decoder = HTTP1ResponseDecoder(parsing: parsing)
                var events: [String] = []
                for method in methods { decoder.expectResponse(to: method, mayUpgrade: number % 5 == 0) }
                let isRead = drive(input, &mutator, { decoder.append($0) }) {
                    guard let event = try decoder.next() else { return false }
                    if case .head(let head) = event {
                        events.append("\(head.status) \(head.bodyLength) \(head.headers)")
                    }
                    return true
                }
                if isRead { found[parsing] = events } else { refused += 1 }
                _ = try? decoder.finish()
            }
            // Valid input gives the same result in both.
            if let strict = found[.strict] { #expect(found[.tolerant] == strict) }
        }
        #expect(refused > Self.inputs / 40)
    }

    /// Feeds an input in two pieces. A decoder that gives more events than bytes would never end.
    /// - Returns: whether the decoder accepted all of it.
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
