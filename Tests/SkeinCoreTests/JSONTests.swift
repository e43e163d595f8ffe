import Foundation
import PeerSupport
import SkeinCore
import Testing

@Suite("JSON")
struct JSONTests {
    @Test(
        "a document is read and written as it is",
        arguments: [
            "null", "true", "0", "-0", "1.10", "1e3", "1E-400", "12345678901234567890123456789012345678901234567890",
            "\"\"", "[]", "{}",
            "[1,[2,{\"a\":[]}]]", "{\"z\":1,\"a\":2,\"m\":{\"y\":1,\"b\":2}}", "\"ü😀\u{301}\"",
            "{\"\u{E9}\":1,\"e\u{301}\":2}",
            "\"\\n\\t\\r\\\\\\\"\\u0001\"",
        ])
    func same(text: String) throws { #expect(try JSONValue(json: text).json.equalsBytes(text)) }

    @Test(
        "what is none is refused, with what is wrong and where",
        arguments: [
            ("", "ends", 0), ("[1,]", "comma", 3), ("{\"a\":1,}", "name", 7), ("[1 2]", "comma", 3),
            ("[01]", "begin with 0", 1),
            ("[+1]", "not a JSON value", 1), ("[.5]", "not a JSON value", 1), ("[1.]", "digit", 3),
            ("[1e]", "digit", 3),
            ("[-]", "digit", 2),
            ("nul", "not a JSON value", 0), ("NaN", "not a JSON value", 0), ("1 1", "follows", 2),
            ("\"\\ud800\"", "surrogate", 1),
            ("\"\\ud800\\u0041\"", "surrogate", 1), ("\"\\udc00\"", "surrogate", 1), ("\"\\u12\"", "four digits", 1),
            ("\"\\u-000\"", "four digits", 1), ("\"\\u+041\"", "four digits", 1), ("\"\\x\"", "escape", 1),
            ("\"a\nb\"", "control", 2), ("\"a", "no closing", 2), ("1E400", "1E400", 0),
            ("{\"a\":1,\"a\":2}", "twice", 7), ("{\"a\":1,\"\\u0061\":2}", "twice", 7), ("{1:2}", "name", 1),
            ("{\"a\" 1}", "colon", 5),
            ("\u{FEFF}1", "mark", 0), ("'a'", "not a JSON value", 0), ("[1]]", "follows", 3),
            ("// a", "not a JSON value", 0),
            (String(repeating: "[", count: 600), "nested", 512),
        ])
    func refused(text: String, word: String, offset: Int) {
        let error = #expect(throws: JSONError.self) { try JSONValue(json: text) }
        #expect(error?.message.contains(word) == true && error?.offset == offset, "\(String(describing: error))")
        // Typed values are decoded as strictly.
        #expect(throws: JSONError.self) { try JSON.decode([String: Int].self, from: text.utf8) }
    }

    @Test("invalid UTF-8 is refused")
    func notUTF8() {
        #expect(throws: JSONError.self) { try JSONValue(json: [0x22, 0xFF, 0x22]) }
        #expect(throws: JSONError.self) { try JSONValue(json: [0x22, 0x5C, 0x6E, 0xC3, 0x22]) }
        #expect(throws: (any Error).self) { try JSON.decode([String].self, from: [0x5B, 0x22, 0xFF, 0x22, 0x5D]) }
    }

    @Test("numbers keep their digits; conversion is up to the reader")
    func numbers() throws {
        let value = try JSONValue(
            json: "[1.10, 12345678901234567890, -7, 1e2, 0.1, 123456789012345678901234567890123456789012]")
        let numbers =
            value.elements?.compactMap { value -> JSONNumber? in
                if case .number(let number) = value { number } else { nil }
            } ?? []
        #expect(numbers.map(\.int) == [nil, nil, -7, 100, nil, nil])
        for (text, int) in [
            ("5.0", 5), ("-12.50e1", -125), ("0.0", 0), ("1e18", 1_000_000_000_000_000_000), ("1e19", nil),
            ("1e-1", nil),
        ] {
            #expect(JSONNumber(text)?.int == int, "\(text)")
        }
        #expect(
            numbers[0].decimal == Decimal(string: "1.1")
                && numbers[1].decimal == Decimal(string: "12345678901234567890"))
        #expect(numbers[5].decimal == nil)
        #expect(numbers.map(\.isExactDouble) == [true, false, true, true, true, false])
        #expect(
            JSONNumber("01") == nil && JSONNumber("") == nil && JSONNumber("1 ") == nil && JSONNumber("-5")?.int == -5)
        #expect(JSONNumber(Double.infinity) == nil && JSONNumber(1.0)?.text == "1")
    }

    @Test("mutated documents: accepted ones are accepted by Foundation, too, and written back unchanged")
    func fuzzed() throws {
        let seeds = [
            "{\"a\": [1, -2.50e+3, true, null, \"x\\u00e9\\n\\\"\"], \"b\": {\"c\": {}, \"d\": []}, \"ü\": \"😀\\ud83d\\ude00\"}",
            "[[[[0.1, 1e-7, 12345678901234567890]]], \"\\\\/\\/\\b\\f\\r\\t\", false]",
        ].map { Array($0.utf8) }
        var mutator = Mutator(random: SeededGenerator(seed: 8))
        let inputs = ProcessInfo.processInfo.environment["SKEIN_FUZZ"].flatMap { Int($0) } ?? 20_000
        var read = 0
        for number in 0..<inputs {
            let input = mutator.mutate(seeds[number % 2], with: seeds[(number + 1) % 2])
            guard let value = try? JSONValue(json: input) else { continue }
            read += 1
            #expect(
                (try? JSONSerialization.jsonObject(with: Data(input), options: .fragmentsAllowed)) != nil,
                "\(String(decoding: input, as: UTF8.self))")
            let text = value.json
            #expect(try JSONValue(json: text) == value)
            #expect(try JSONValue(json: text).json.equalsBytes(text))
        }
        #expect(read > inputs / 40)
    }

    private struct Ordered: Codable, Equatable {
        var zebra = 1
        var apple = [1.5, 2]
        var mango: String? = nil
        var data = Data([1])
        var link = URL(string: "http://a/b")
        var price = Decimal(string: "1.10") ?? 0
        var other: JSONValue = ["y": 12_345_678_901, "b": nil]
    }

    @Test("members are written in the order in which their type declares them")
    func order() throws {
        let text = String(decoding: try JSON.encode(Ordered()), as: UTF8.self)
        #expect(
            text
                == "{\"zebra\":1,\"apple\":[1.5,2],\"data\":\"AQ==\",\"link\":\"http://a/b\",\"price\":1.1,\"other\":{\"y\":12345678901,\"b\":null}}"
        )
        #expect(throws: EncodingError.self) { try JSON.encode([Double.nan]) }
    }

    @Test("a value survives other encoders and decoders, and is equal in any member order")
    func coders() throws {
        let value = try JSONValue(json: "{\"a\":[1,2.5,\"x\",null,true],\"b\":{\"c\":18446744073709551615}}")
        let data = try JSONEncoder().encode(value)
        #expect(try JSONDecoder().decode(JSONValue.self, from: data) == value)
        #expect(try JSONValue(json: "{\"x\":1,\"y\":2}") == (try JSONValue(json: "{\"y\":2,\"x\":1}")))
        var object: JSONObject = ["a": 1]
        for number in 0..<40 { object["k\(number)"] = .integer(number) }
        object["k3"] = nil
        object["a"] = 2
        #expect(object.count == 40 && object["k39"]?.integer == 39 && object["a"]?.integer == 2 && object["k3"] == nil)
        #expect(object.names.first == "a")
    }
}

@Suite("JSON text")
struct JSONTextTests {
    @Test("strings are escaped compatibly, and stay on one line")
    func strings() throws {
        #expect(JSONText.string("a\"b\\c/d") == #""a\"b\\c/d""#)
        #expect(JSONText.string("\n\r\t\u{0}\u{1F}\u{7F}") == #""\n\r\t\u0000\u001f\u007f""#)
        #expect(JSONText.string("\u{80}\u{9F}\u{A0}é") == "\"\\u0080\\u009f\u{A0}é\"")
        #expect(JSONText.string("\u{2027}\u{2028}\u{2029}\u{202A}") == "\"\u{2027}\\u2028\\u2029\u{202A}\"")
        let all = String(String.UnicodeScalarView((0..<0x3000).compactMap(Unicode.Scalar.init)))
        #expect(try JSONValue(json: JSONText.string(all)) == .string(all))
        #expect(JSONText.object([("a", "1"), ("\"", "[]")]) == #"{"a": 1, "\"": []}"#)
    }
}
