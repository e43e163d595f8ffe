import SkeinCore
import Testing

/// The formats that several protocols share, with the examples of their specifications.
@Suite("Formats")
struct FormatsTests {
    @Test(
        "a date and its day since 1970",
        arguments: [
            (1970, 1, 1, 0), (1969, 12, 31, -1), (2000, 2, 29, 11_016), (2000, 3, 1, 11_017), (1900, 3, 1, -25_508),
            (0, 1, 1, -719_528), (-4713, 11, 24, -2_440_588), (9999, 12, 31, 2_932_896), (294_247, 1, 9, 106_751_990),
        ] as [(Int64, Int, Int, Int64)])
    func days(year: Int64, month: Int, day: Int, expected: Int64) {
        let date = CivilDate(year: year, month: month, day: day)
        #expect(date.days == expected && date.exists)
        #expect(CivilDate(days: expected) == date)
    }

    @Test(
        "dates that do not exist",
        arguments: [(2023, 2, 29), (2024, 4, 31), (2024, 0, 1), (2024, 13, 1), (1900, 2, 29)])
    func missing(year: Int, month: Int, day: Int) {
        #expect(!CivilDate(year: Int64(year), month: month, day: day).exists)
    }

    @Test("every day of 140 years has one date, in order")
    func everyDay() {
        var last = CivilDate(days: -20_001)
        for day in Int64(-20_000)...30_000 {
            let date = CivilDate(days: day)
            #expect(date.days == day)
            #expect((last.year, last.month, last.day) < (date.year, date.month, date.day))
            last = date
        }
    }

    @Test(
        "the date of a field, written and read",
        arguments: [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (-1, "Wed, 31 Dec 1969 23:59:59 GMT"), (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        ])
    func httpDate(seconds: Int, text: String) {
        #expect(CivilTime(seconds).httpDate == text)
        #expect(HTTPDate.seconds(text) == seconds)
    }

    @Test("the three formats of RFC 9110, section 5.6.7, are the same moment")
    func forms() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            #expect(HTTPDate.seconds(text) == 784_111_777, "\(text)")
        }
        for text in ["", "Sun, 31 Feb 1994 08:49:37 GMT", "06 Nov 1994 24:00:00", "06 Nov 1600 08:49:37"] {
            #expect(HTTPDate.seconds(text) == nil, "\(text)")
        }
    }

    @Test("percent-encoding: malformed text is refused, or left unchanged")
    func percent() {
        #expect(Percent.decode("a%20%C3%A9") == "a é")
        for text in ["%", "%1", "%G0", "a%2"] {
            #expect(Percent.bytes(text) == nil, "\(text)")
            #expect(Percent.lenientBytes(text) == Array(text.utf8))
        }
        #expect(Percent.decode("%FF") == nil, "no UTF-8")
        #expect(Percent.encodeUnreserved("a b/é~") == "a%20b%2F%C3%A9~")
        #expect(Percent.encodePath("/a b") == "/a%20b")
    }

    @Test("base 64 for URLs, markup and hexadecimal digits")
    func others() {
        #expect(Base64URL.encode([0xFB, 0xFF, 0xFE]) == "-__-")
        #expect(Base64URL.decode("-__-").map { Array($0) } == [0xFB, 0xFF, 0xFE])
        #expect(Base64URL.decode("Zg").map { Array($0) } == [0x66])
        #expect(Base64URL.decode("*") == nil)
        #expect(
            Markup.escape("<a href=\"x\">'&\u{301}</a>") == "&lt;a href=&quot;x&quot;&gt;&#39;&amp;\u{301}&lt;/a&gt;")
        #expect(Hex.encode([0, 0x9F, 255]) == "009fff")
        #expect(RandomBytes.make(16).count == 16 && RandomBytes.make(16) != RandomBytes.make(16))
    }
}

/// The delay before the next attempt.
@Suite("Back-off")
struct BackoffTests {
    @Test("each wait is longer than the one before, up to the longest")
    func growing() {
        let backoff = Backoff(first: .milliseconds(100), longest: .seconds(1), jitter: .none)
        #expect((1...6).map { backoff.delay(after: $0) } == [100, 200, 400, 800, 1000, 1000].map { .milliseconds($0) })
        #expect(backoff.delay(after: 1_000_000) == .seconds(1))
    }

    @Test("jitter shortens a wait, never extends it", arguments: [(Backoff.Jitter.half, 50), (.full, 0)])
    func jitter(jitter: Backoff.Jitter, least: Int) {
        let backoff = Backoff(first: .milliseconds(100), longest: .seconds(1), jitter: jitter)
        let waits = (0..<1000).map { _ in backoff.delay(after: 1) }
        #expect(waits.allSatisfy { $0 >= .milliseconds(least) && $0 <= .milliseconds(100) })
        #expect(Set(waits).count > 900)
    }

    @Test("a wait beyond the deadline is not started")
    func deadline() async throws {
        let backoff = Backoff(first: .seconds(100), longest: .seconds(100), jitter: .none)
        try await withDeadline(.after(.seconds(1))) {
            let mayGoOn = try await backoff.wait(after: 1)
            #expect(!mayGoOn)
        }
        #expect(try await Backoff.wait(.zero))
    }
}
