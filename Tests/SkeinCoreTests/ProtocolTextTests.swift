import SkeinCore
import Testing

/// Text as bytes: where Swift's own functions would give other results.
@Suite("Text of protocols")
struct ProtocolTextTests {
    @Test("delimiters are found before combining marks")
    func found() {
        for text in ["a\"\u{301}b", "a\u{600}\"b", "\"", "x\"\r\n"] {
            #expect(text.containsBytes("\"") && text.containsByte("\""))
            #expect(text.replacingBytes("\"", with: "\"\"").utf8.count { $0 == 0x22 } == 2)
            #expect(text.splitBytes(separator: "\"", omittingEmptySubsequences: false).count == 2)
        }
        #expect("a\r\nb".splitBytes(separator: "\n") == ["a\r", "b"])
        #expect("a\r\nb\n\nc\rd".lines() == ["a", "b", "c", "d"])
        #expect(
            "a\u{301}=\u{301}b".firstByte("=").map { "a\u{301}=\u{301}b".text(after: $0) }?.equalsBytes("\u{301}b")
                == true)
    }

    @Test(
        "what is equal only as characters is not equal, and is two keys",
        arguments: [("\u{E9}", "e\u{301}"), ("K", "\u{212A}")])
    func equality(pair: (String, String)) {
        #expect(pair.0 == pair.1)
        #expect(!pair.0.equalsBytes(pair.1) && ByteKey(pair.0) != ByteKey(pair.1))
        #expect(!("x" + pair.0).hasByteSuffix(pair.1) && !(pair.0 + "x").hasBytePrefix(pair.1))
        var dictionary: ByteDictionary<Int> = [pair.0: 1]
        dictionary[pair.1] = 2
        #expect(dictionary.count == 2 && dictionary[pair.0] == 1 && dictionary[pair.1] == 2)
        #expect(!pair.0.equalsIgnoringCase(pair.1) && "aK".equalsIgnoringCase("Ak"))
    }

    @Test("trimming, whitespace and case follow ASCII")
    func ends() {
        #expect(" \t a \u{A0}".trimmingBlanks() == "a \u{A0}")
        #expect("W/\u{301}x".droppingBytes(first: 2).equalsBytes("\u{301}x"))
        #expect("ABC\u{130}".asciiLowercased.equalsBytes("abc\u{130}"))
        #expect("a,b;c".prefix(before: ";", ",") == "a" && "abc".prefix(before: ",") == "abc")
        #expect("aXbXX".replacingBytes("X", with: "--") == "a--b----" && "abc".replacingBytes("X", with: "") == "abc")
        #expect("abab".rangeOfBytes("aba") != nil && "ab".rangeOfBytes("abc") == nil && "ab".rangeOfBytes("") == nil)
    }
}
