import SkeinWire
import Testing

@testable import SkeinEngine

/// The rules about ranges, preconditions and codings of files (RFC 9110).
@Suite("Rules of files")
struct FileRuleTests {
    @Test(
        "ranges",
        arguments: [
            ("bytes=0-9", .parts([0..<10])), ("bytes=90-", .parts([90..<100])), ("bytes=-5", .parts([95..<100])),
            ("bytes=0-0,-1", .parts([0..<1, 99..<100])), ("bytes=95-200", .parts([95..<100])),
            ("bytes=100-", .unsatisfiable), ("bytes=-0", .unsatisfiable), ("bytes=-1000", .parts([0..<100])),
            ("bytes=100-200, 5-6", .parts([5..<7])), ("BYTES=1-2", .parts([1..<3])), ("bytes = 1-2", .parts([1..<3])),
            ("bytes=2-1", .whole), ("bytes=a-b", .whole), ("bytes=", .whole), ("bytes", .whole), ("lines=1-2", .whole),
            ("bytes=1", .whole), ("bytes=1-2-3", .whole), ("bytes=-", .whole), ("bytes=0-99,0-99,0-99", .whole),
            ("bytes=99999999999999999999-", .unsatisfiable), ("bytes=0-99999999999999999999", .parts([0..<100])),
            ("bytes=" + (0..<33).map { "\($0)-\($0)" }.joined(separator: ","), .whole), ("bytes=+1-2", .whole),
        ] as [(String, ByteRanges)])
    func ranges(field: String, expected: ByteRanges) { #expect(ByteRanges(field, length: 100) == expected) }

    @Test("a range of an empty file is not satisfiable")
    func emptyFile() {
        #expect(ByteRanges("bytes=0-", length: 0) == .unsatisfiable)
        #expect(ByteRanges("bytes=-5", length: 0) == .unsatisfiable)
    }

    private static let modified = 784_111_777  // Sun, 06 Nov 1994 08:49:37 GMT

    @Test(
        "preconditions, in their order",
        arguments: [
            ([:], .proceed), (["If-None-Match": "\"a\""], .notModified), (["If-None-Match": "W/\"a\""], .notModified),
            (["If-None-Match": "\"b\", \"a\""], .notModified), (["If-None-Match": "*"], .notModified),
            (["If-None-Match": "\"b\""], .proceed), (["If-None-Match": "a"], .proceed),
            (["If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"], .notModified),
            (["If-Modified-Since": "Sun, 06 Nov 1994 08:49:36 GMT"], .proceed),
            (["If-Modified-Since": "nonsense"], .proceed),
            // The tag takes precedence over the date (section 13.2.2).
            (["If-None-Match": "\"b\"", "If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"], .proceed),
            (["If-Match": "\"a\""], .proceed), (["If-Match": "*"], .proceed), (["If-Match": "\"b\""], .failed),
            (["If-Match": "W/\"a\""], .failed),
            (["If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"], .proceed),
            (["If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:36 GMT"], .failed),
            (["If-Match": "\"a\"", "If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:36 GMT"], .proceed),
            (["If-Match": "\"a\"", "If-None-Match": "\"a\""], .notModified),
        ] as [(Headers, Preconditions.Outcome)])
    func preconditions(headers: Headers, expected: Preconditions.Outcome) {
        let validators = Validators(tag: "\"a\"", modified: Self.modified)
        #expect(Preconditions.weigh(headers, .get, validators) == expected)
    }

    @Test("an unsafe method fails with 412 where a safe one gets 304")
    func changing() {
        let validators = Validators(tag: "\"a\"", modified: Self.modified)
        #expect(Preconditions.weigh(["If-None-Match": "*"], .put, validators) == .failed)
        #expect(
            Preconditions.weigh(["If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"], .put, validators) == .proceed)
    }

    @Test(
        "a range counts for the state that the client has",
        arguments: [
            (nil, true), ("\"a\"", true), ("\"b\"", false), ("W/\"a\"", false), ("Sun, 06 Nov 1994 08:49:37 GMT", true),
            ("Sun, 06 Nov 1994 08:49:38 GMT", false), ("x", false),
        ] as [(String?, Bool)])
    func ifRange(field: String?, expected: Bool) {
        let headers = field.map { Headers(dictionaryLiteral: ("If-Range", $0)) } ?? Headers()
        #expect(Preconditions.allowsRange(headers, Validators(tag: "\"a\"", modified: Self.modified)) == expected)
    }

    @Test(
        "codings by the client's taste",
        arguments: [
            ("gzip, deflate, br", .brotli), ("gzip", .gzip), ("br;q=0.5, gzip;q=0.8", .gzip), ("*", .brotli),
            ("gzip;q=0", nil), ("identity", nil), ("", nil), ("br;q=0, *;q=0.1", .zstd), ("GZIP", .gzip),
            ("zstd", .zstd),
            ("br;q=nonsense, gzip", .gzip),
        ] as [(String, ContentCoding?)])
    func codings(field: String, expected: ContentCoding?) {
        #expect(AcceptedCodings(["Accept-Encoding": field]).best(of: [.brotli, .zstd, .gzip]) == expected)
    }
}
