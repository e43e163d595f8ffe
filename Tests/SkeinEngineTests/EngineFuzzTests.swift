import Foundation
import NIOCore
import PeerSupport
import Testing

@testable import SkeinEngine

/// Mutated input causes no crash, and accepted input is valid. `SKEIN_FUZZ` sets the number of inputs.
@Suite("Engine fuzzed")
struct EngineFuzzTests {
    private static let inputs = ProcessInfo.processInfo.environment["SKEIN_FUZZ"].flatMap { Int($0) } ?? 24_000

    @Test("a path has one normal form, without dot segments")
    func paths() async {
        let seeds = [
            "/a/b/c.txt?x=y", "/%41%2f%2e%2e/%c3%a4", "/.well-known/./x", "http://host:80/a/../b", "/a%00/..%2f//<>|",
            "/a;b=c/@:,!$&'()*+~",
        ].map { Array($0.utf8) }
        var mutator = Mutator(random: SeededGenerator(seed: 1))
        for number in 0..<Self.inputs {
            if number % 100 == 0 { await Task.yield() }
            let input = mutator.mutate(seeds[number % seeds.count], with: seeds[(number / 5) % seeds.count])
            guard let path = try? RequestPath.of(ByteBuffer(bytes: input)) else { continue }
            let text = String(buffer: path)
            #expect((try? RequestPath.of(path)).map { String(buffer: $0) } == text, "\(input)")
            let segments = text.split(separator: "/")
            #expect(
                !segments.contains("..") && !segments.contains(".") && !text.lowercased().contains("%2e"), "\(text)")
        }
    }

    @Test("PROXY headers are parsed, incomplete, or refused")
    func proxyHeaders() async {
        let seeds = ProxyHeaderTests.good.map(\.0)
        var mutator = Mutator(random: SeededGenerator(seed: 2))
        for number in 0..<Self.inputs {
            if number % 100 == 0 { await Task.yield() }
            var bytes = ByteBuffer(
                bytes: mutator.mutate(seeds[number % seeds.count], with: seeds[(number / 3) % seeds.count]))
            let before = bytes.readableBytes
            switch ProxyHeader.read(&bytes) {
            case .incomplete: #expect(bytes.readableBytes == before && before < 4200)
            case .client: #expect(bytes.readableBytes < before)
            case .malformed: break
            }
        }
    }
}
