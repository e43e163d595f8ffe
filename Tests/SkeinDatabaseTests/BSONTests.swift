import Foundation
import NIOCore
import Testing

@testable import SkeinMongo

private func bytes(_ hex: String) -> ByteBuffer {
    let digits = Array(hex.filter { !$0.isWhitespace }.utf8)
    return ByteBuffer(
        bytes: stride(from: 0, to: digits.count - 1, by: 2).map {
            UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16) ?? 0
        })
}

/// Bytes, canonical extended JSON, and the relaxed form if it differs: the corpus of the specification, type by type.
@Suite("BSON")
struct BSONTests {
    static let valid: [(hex: String, canonical: String, relaxed: String?)] = [
        // double
        ("10000000016400000000000000F03F00", #"{"d": {"$numberDouble": "1.0"}}"#, #"{"d": 1.0}"#),
        ("10000000016400000000000000F0BF00", #"{"d": {"$numberDouble": "-1.0"}}"#, #"{"d": -1.0}"#),
        ("10000000016400000000008000F03F00", #"{"d": {"$numberDouble": "1.0001220703125"}}"#, nil),
        ("1000000001640081E97DF41022B14300", #"{"d": {"$numberDouble": "1.2345678901234568e+18"}}"#, nil),
        ("10000000016400000000000000000000", #"{"d": {"$numberDouble": "0.0"}}"#, #"{"d": 0.0}"#),
        ("10000000016400000000000000008000", #"{"d": {"$numberDouble": "-0.0"}}"#, #"{"d": -0.0}"#),
        ("10000000016400000000000000F87F00", #"{"d": {"$numberDouble": "NaN"}}"#, #"{"d": {"$numberDouble": "NaN"}}"#),
        ("10000000016400000000000000F07F00", #"{"d": {"$numberDouble": "Infinity"}}"#, nil),
        ("10000000016400000000000000F0FF00", #"{"d": {"$numberDouble": "-Infinity"}}"#, nil),
        // string
        ("0D000000026100010000000000", #"{"a": ""}"#, #"{"a": ""}"#),
        ("0E00000002610002000000620000", #"{"a": "b"}"#, #"{"a": "b"}"#),
        ("190000000261000D0000006162616261626162616261620000", #"{"a": "abababababab"}"#, nil),
        ("190000000261000D000000C3A9C3A9C3A9C3A9C3A9C3A90000", #"{"a": "éééééé"}"#, nil),
        ("190000000261000D000000E29886E29886E29886E298860000", #"{"a": "☆☆☆☆"}"#, nil),
        ("190000000261000D0000006162006261620062616261620000", #"{"a": "ab\u0000bab\u0000babab"}"#, nil),
        (
            "3200000002610026000000" + "61625C220102030405060708090A0B0C0D0E0F10"
                + "1112131415161718191A1B1C1D1E1F61620000",
            #"{"a": "ab\\\"\u0001\u0002\u0003\u0004\u0005\u0006\u0007\u0008\t\n\u000b\u000c\r\u000e\u000f\u0010"#
                + #"\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001fab"}"#,
            nil
        ),
        // document and array
        ("0D000000037800050000000000", #"{"x": {}}"#, #"{"x": {}}"#),
        ("150000000378000D00000002000200000062000000", #"{"x": {"": "b"}}"#, nil),
        ("160000000378000E0000000261000200000062000000", #"{"x": {"a": "b"}}"#, nil),
        ("170000000378000F000000022461000200000062000000", #"{"x": {"$a": "b"}}"#, nil),
        ("0D000000046100050000000000", #"{"a": []}"#, #"{"a": []}"#),
        ("140000000461000C0000001030000A0000000000", #"{"a": [{"$numberInt": "10"}]}"#, #"{"a": [10]}"#),
        (
            "1b000000046100130000001030000a000000103100140000000000",
            #"{"a": [{"$numberInt": "10"}, {"$numberInt": "20"}]}"#, #"{"a": [10, 20]}"#
        ),
        // binary
        ("0D000000057800000000000000", #"{"x": {"$binary": {"base64": "", "subType": "00"}}}"#, nil),
        ("0F0000000578000200000000FFFF00", #"{"x": {"$binary": {"base64": "//8=", "subType": "00"}}}"#, nil),
        ("0F0000000578000200000001FFFF00", #"{"x": {"$binary": {"base64": "//8=", "subType": "01"}}}"#, nil),
        ("13000000057800060000000202000000FFFF00", #"{"x": {"$binary": {"base64": "//8=", "subType": "02"}}}"#, nil),
        (
            "1D000000057800100000000473FFD26444B34C6990E8E7D1DFC035D400",
            #"{"x": {"$binary": {"base64": "c//SZESzTGmQ6OfR38A11A==", "subType": "04"}}}"#, nil
        ),
        ("0F0000000578000200000080FFFF00", #"{"x": {"$binary": {"base64": "//8=", "subType": "80"}}}"#, nil),
        // undefined, ObjectId, bool
        ("0800000006610000", #"{"a": {"$undefined": true}}"#, nil),
        ("1400000007610056E1FC72E0C917E9C471416100", #"{"a": {"$oid": "56e1fc72e0c917e9c4714161"}}"#, nil),
        ("1400000007610000000000000000000000000000", #"{"a": {"$oid": "000000000000000000000000"}}"#, nil),
        ("090000000862000100", #"{"b": true}"#, #"{"b": true}"#),
        ("090000000862000000", #"{"b": false}"#, #"{"b": false}"#),
        // date
        (
            "10000000096100000000000000000000", #"{"a": {"$date": {"$numberLong": "0"}}}"#,
            #"{"a": {"$date": "1970-01-01T00:00:00Z"}}"#
        ),
        (
            "10000000096100C5D8D6CC3B01000000", #"{"a": {"$date": {"$numberLong": "1356351330501"}}}"#,
            #"{"a": {"$date": "2012-12-24T12:15:30.501Z"}}"#
        ),
        ("10000000096100C33CE7B9BDFFFFFF00", #"{"a": {"$date": {"$numberLong": "-284643869501"}}}"#, nil),
        (
            "1000000009610000DC1FD277E6000000", #"{"a": {"$date": {"$numberLong": "253402300800000"}}}"#,
            #"{"a": {"$date": {"$numberLong": "253402300800000"}}}"#
        ),
        // null, regex, dbPointer, code, symbol
        ("080000000A610000", #"{"a": null}"#, #"{"a": null}"#),
        ("0A0000000B6100000000", #"{"a": {"$regularExpression": {"pattern": "", "options": ""}}}"#, nil),
        ("0F0000000B610061626300696D0000", #"{"a": {"$regularExpression": {"pattern": "abc", "options": "im"}}}"#, nil),
        (
            "1A0000000C610002000000620056E1FC72E0C917E9C471416100",
            #"{"a": {"$dbPointer": {"$ref": "b", "$id": {"$oid": "56e1fc72e0c917e9c4714161"}}}}"#, nil
        ),
        ("0D0000000D6100010000000000", #"{"a": {"$code": ""}}"#, nil),
        ("0E0000000D610002000000620000", #"{"a": {"$code": "b"}}"#, nil),
        ("0E0000000E610002000000620000", #"{"a": {"$symbol": "b"}}"#, nil),
        ("160000000F61000E0000000100000000050000000000", #"{"a": {"$code": "", "$scope": {}}}"#, nil),
        (
            "210000000F6100190000000500000061626364000C000000107800010000000000",
            #"{"a": {"$code": "abcd", "$scope": {"x": {"$numberInt": "1"}}}}"#, nil
        ),
        // integers and timestamps
        ("0C0000001069000000008000", #"{"i": {"$numberInt": "-2147483648"}}"#, #"{"i": -2147483648}"#),
        ("0C000000106900FFFFFF7F00", #"{"i": {"$numberInt": "2147483647"}}"#, #"{"i": 2147483647}"#),
        ("0C000000106900FFFFFFFF00", #"{"i": {"$numberInt": "-1"}}"#, #"{"i": -1}"#),
        (
            "10000000126100000000000000008000", #"{"a": {"$numberLong": "-9223372036854775808"}}"#,
            #"{"a": -9223372036854775808}"#
        ),
        (
            "10000000126100FFFFFFFFFFFFFF7F00", #"{"a": {"$numberLong": "9223372036854775807"}}"#,
            #"{"a": 9223372036854775807}"#
        ),
        (
            "100000001161002A00000015CD5B0700", #"{"a": {"$timestamp": {"t": 123456789, "i": 42}}}"#,
            #"{"a": {"$timestamp": {"t": 123456789, "i": 42}}}"#
        ),
        ("10000000116100FFFFFFFFFFFFFFFF00", #"{"a": {"$timestamp": {"t": 4294967295, "i": 4294967295}}}"#, nil),
        // decimal128
        ("180000001364000000000000000000000000000000007C00", #"{"d": {"$numberDecimal": "NaN"}}"#, nil),
        ("180000001364000000000000000000000000000000007800", #"{"d": {"$numberDecimal": "Infinity"}}"#, nil),
        ("18000000136400000000000000000000000000000000F800", #"{"d": {"$numberDecimal": "-Infinity"}}"#, nil),
        ("1800000013640000000000000000000000000000003CB000", #"{"d": {"$numberDecimal": "-0.00"}}"#, nil),
        ("180000001364000100000000000000000000000000403000", #"{"d": {"$numberDecimal": "1"}}"#, nil),
        ("18000000136400D204000000000000000000000000343000", #"{"d": {"$numberDecimal": "0.001234"}}"#, nil),
        ("180000001364000A00000000000000000000000000FE5F00", #"{"d": {"$numberDecimal": "1.0E+6112"}}"#, nil),
        (
            "18000000136400FFFFFFFF638E8D37C087ADBE09EDFF5F00",
            #"{"d": {"$numberDecimal": "9.999999999999999999999999999999999E+6144"}}"#, nil
        ),
        ("180000001364000100000000000000000000000000000000", #"{"d": {"$numberDecimal": "1E-6176"}}"#, nil),
        ("1800000013640000000000000000000000000000002A3000", #"{"d": {"$numberDecimal": "0E-11"}}"#, nil),
        // the ends of all keys, and the top of everything
        ("08000000FF610000", #"{"a": {"$minKey": 1}}"#, nil),
        ("080000007F610000", #"{"a": {"$maxKey": 1}}"#, nil),
        ("0500000000", "{}", "{}"),
    ]

    @Test("bytes, extended JSON and values are equivalent", arguments: valid)
    func sameThing(hex: String, canonical: String, relaxed: String?) throws {
        let encoded = bytes(hex)
        let document = try Document(bytes: encoded)
        #expect(document.extendedJSON(.canonical) == canonical)
        if let relaxed { #expect(document.extendedJSON() == relaxed) }
        #expect(try Document(extendedJSON: canonical).bytes == encoded)
        // Decoded and encoded again, by values and by Codable.
        #expect(Document(pairs: document.map { ($0.key, $0.value) }).bytes == encoded)
        struct Holder: Codable { let value: Document }
        let coded = try Document(encoding: Holder(value: document))
        #expect(try coded.decode(Holder.self).value.bytes == encoded)
        if let relaxed { #expect(try Document(extendedJSON: relaxed).map(\.key) == document.map(\.key)) }
    }

    @Test("arrays with non-numeric keys are accepted")
    func arrayKeys() throws {
        let strange = try Document(bytes: bytes("130000000461000B00000010000A0000000000"))
        #expect(strange == (try Document(bytes: bytes("130000000461000B00000010000A0000000000"))))
        #expect(
            Document(pairs: strange.map { ($0.key, $0.value) }).bytes
                == bytes("140000000461000C0000001030000A0000000000"))
    }

    static let invalid: [(hex: String, what: String)] = [
        ("0B0000000164FFFFFFFF00", "a double is cut"),
        ("0C0000000261000000000000", "a string without its zero"),
        ("0C000000026100FFFFFFFF00", "a string of length -1"),
        ("10000000026100050000006200620000", "a string that is too short"),
        ("120000000200FFFFFF00666F6F6261720000", "a string that is too long"),
        ("1000000002610004000000616263FF00", "a string whose end is no zero"),
        ("0E00000002610002000000E90000", "no UTF-8"),
        ("18000000037800050000001030000A00000000000000", "a document with something behind it"),
        ("1500000003666F6F000A0000000862617200010000", "a document that is too long"),
        ("1200000003666F6F0001000000620000000000", "a document that is too short"),
        ("1C00000003666F6F001B0000000862617200010000000000000000", "a document over the end"),
        ("140000000461000D0000001030000A0000000000", "an array that is too long"),
        ("140000000461000B0000001030000A0000000000", "an array that is too short"),
        ("1A00000004666F6F00100000001030000A0000000000", "an array over the end"),
        ("1D000000057800FF0000000573FFD26444B34C6990E8E7D1DFC035D400", "binary data that is too long"),
        ("0D000000057800FFFFFFFF0000", "binary data of length -1"),
        ("13000000057800060000000203000000FFFF00", "binary data of subtype 2, too long inside"),
        ("13000000057800060000000201000000FFFF00", "binary data of subtype 2, too short inside"),
        ("13000000057800060000000202FFFFFFFFFF00", "binary data of subtype 2 of length -1"),
        ("1200000007610056E1FC72E0C917E9C471", "an ObjectId is cut"),
        ("090000000862000200", "a bool of 2"), ("09000000086200FF00", "a bool of -1"),
        ("0C0000000961001234567800", "a date is cut"),
        ("0F0000000B610061626300696D00", "a regex without an end"),
        ("0E0000000B610061626300E900", "a regex that is no UTF-8"),
        ("1A0000000C6100030000006200000056E1FC72E0C917E9C471", "a DBPointer that is cut"),
        ("1A0000000C61000000000056E1FC72E0C917E9C471416100", "a DBPointer whose name has no length"),
        ("0C0000000D61000000000000", "code of length 0"),
        ("10000000_0D6100050000006200620000".replacing("_", with: ""), "code that is too short"),
        (
            "280000000F6100000000000500000061626364001300000010780001000000107900010000000000",
            "code with a scope of length 0"
        ),
        (
            "280000000F61001F0000000500000061626364001300000010780001000000107900010000000000",
            "code with a scope, too short"
        ),
        (
            "280000000F6100210000000500000061626364001300000010780001000000107900010000000000",
            "code with a scope, too long"
        ),
        (
            "280000000F6100200000000400000061626364001300000010780001000000107900010000000000",
            "code with a scope, its code too short"
        ),
        (
            "280000000F6100200000000600000061626364001300000010780001000000107900010000000000",
            "code with a scope, its code too long"
        ),
        ("0A000000106900FF00", "an int32 is cut"), ("0F000000116100FFFFFFFFFFFFFF00", "a timestamp is cut"),
        ("0C00000012610012345600", "an int64 is cut"),
        ("17000000136400000000000000000000000000000000_7C".replacing("_", with: ""), "a decimal is cut"),
        ("0100000000", "a document of length 1"), ("05000000", "a document without its end"),
        ("0500000001", "an end that is no zero"),
        ("05000000FF", "an end of 255"), ("0600000000", "a document longer than it is"),
        ("0400000000", "a document shorter than it is"),
        ("0500000000 00", "a byte behind the end"), ("0700000002610078563412", "a string of a gibibyte"),
        ("090000000161000000", "a length that reaches over the end"),
        ("0D000000010000F0FF00000000", "a double that is cut in its middle"),
        ("0800000080610000", "no type 0x80"), ("0800000000610000", "an end before the end"),
        ("0700000010E900", "a name that is no UTF-8"),
        ("", "nothing"), ("05", "one byte"),
    ]

    @Test("invalid documents are refused", arguments: invalid)
    func refused(hex: String, what: String) {
        #expect(throws: BSONError.self, "\(what)") { try Document(bytes: bytes(hex)) }
    }

    @Test(
        "what is no extended JSON is refused",
        arguments: [
            "", "{", "{}}", "[]", "{\"a\"}", "{\"a\": }", "{'a': 1}", "{\"a\": 01}", "{\"a\": \"\\x\"}",
            "{\"a\": \"\u{1}\"}",
            #"{"a": {"$oid": 1}}"#, #"{"a": {"$oid": "56e1fc72e0c917e9c471416"}}"#,
            #"{"a": {"$oid": "56e1fc72e0c917e9c4714161", "b": 1}}"#,
            #"{"a": {"$numberInt": 1}}"#, #"{"a": {"$numberInt": "2147483648"}}"#, #"{"a": {"$numberLong": "x"}}"#,
            #"{"a": {"$numberDouble": "0x1p3"}}"#, #"{"a": {"$numberDecimal": "1.2.3"}}"#,
            #"{"a": {"$numberDecimal": ""}}"#,
            #"{"a": {"$numberDecimal": "1E6145"}}"#,
            #"{"a": {"$numberDecimal": "1.0000000000000000000000000000000000000001"}}"#,
            #"{"a": {"$binary": {"base64": "//8="}}}"#, #"{"a": {"$binary": {"base64": "!", "subType": "00"}}}"#,
            #"{"a": {"$timestamp": {"t": -1, "i": 0}}}"#, #"{"a": {"$date": "yesterday"}}"#, #"{"a": {"$uuid": "12"}}"#,
            #"{"a": {"$regularExpression": {"pattern": "a\u0000", "options": ""}}}"#, #"{"a\u0000": 1}"#,
            #"{"a": "\ud800"}"#,
            #"{"a": {"$undefined": false}}"#, #"{"a": {"$minKey": 2}}"#, #"{"a": {"$code": 1}}"#,
            #"{"a": {"$code": "", "$scope": 1}}"#,
            #"{"a": {"$dbPointer": {"$ref": "b"}}}"#, String(repeating: "[", count: 1000),
        ])
    func invalidJSON(text: String) {
        #expect(throws: BSONError.self) { try Document(extendedJSON: text) }
    }

    @Test(
        "decimals are read in every spelling",
        arguments: [
            ("1", "1"), ("-0", "-0"), ("12345678901234567", "12345678901234567"), ("0.1", "0.1"), (".5", "0.5"),
            ("5.", "5"),
            ("1e3", "1E+3"), ("1E+3", "1E+3"), ("100E-10", "1.00E-8"), ("1.200", "1.200"),
            ("0.000001234567890123456789012345678901234", "0.000001234567890123456789012345678901234"),
            ("0E+8000", "0E+6111"), ("0E-8000", "0E-6176"), ("10E-6177", "1E-6176"),
            ("1E6144", "1.000000000000000000000000000000000E+6144"),
            ("nan", "NaN"), ("-INF", "-Infinity"), ("infinity", "Infinity"), ("-12.50", "-12.50"),
            ("1E6112", "1.0E+6112"),
        ])
    func decimals(text: String, canonical: String) throws {
        #expect("\(try Decimal128(text))" == canonical)
    }

    struct Post: Codable, Equatable {
        struct Author: Codable, Equatable { let name: String, age: Int? }
        enum State: String, Codable { case draft, read }
        let _id: ObjectID
        let title: String
        let authors: [Author]
        let state: State
        let hits: Int64
        let small: UInt8
        let score: Double
        let ratio: Float
        let date: Date
        let key: UUID
        let data: Data
        let price: Decimal128
        let tags: [String: [Int]]
        let anything: BSON
        let missing: String?
        let flags: Set<Int>
        let link: URL
    }

    @Test("Swift values are encoded and decoded")
    func coding() throws {
        let post = Post(
            _id: ObjectID(), title: "How to swim",
            authors: [.init(name: "Ada", age: 36), .init(name: "Bob", age: nil)],
            state: .read, hits: 1 << 40, small: 200, score: 0.5, ratio: 0.25,
            date: Date(timeIntervalSince1970: 1_700_000_000.125), key: UUID(),
            data: Data([0, 255]), price: try Decimal128("12.50"), tags: ["a": [1, 2]], anything: ["x": [1, "y"]],
            missing: nil, flags: [1, 2, 3], link: try #require(URL(string: "https://example.org/")))
        let document = try Document(encoding: post)
        #expect(try document.decode(Post.self) == post)
        #expect(document["_id"]?.objectID == post._id && document["price"]?.type == .decimal128)
        #expect(document["date"]?.type == .date && document["key"]?.type == .binary && document["hits"]?.type == .int64)
        #expect(!document.contains("missing") && document["authors"]?[0]?["age"]?.int == 36)
        #expect(
            try JSONDecoder().decode(Document.self, from: JSONEncoder().encode(document))["title"]?.string == post.title
        )
    }

    @Test("numbers are converted only if the conversion is exact")
    func numbers() throws {
        struct One<Value: Codable>: Codable { let v: Value }
        #expect(try Document(dictionaryLiteral: ("v", 7.0)).decode(One<Int>.self).v == 7)
        #expect(try Document(dictionaryLiteral: ("v", 7)).decode(One<Double>.self).v == 7)
        #expect(throws: DecodingError.self) { try Document(dictionaryLiteral: ("v", 7.5)).decode(One<Int>.self) }
        #expect(throws: DecodingError.self) { try Document(dictionaryLiteral: ("v", 300)).decode(One<UInt8>.self) }
        #expect(throws: DecodingError.self) { try Document(dictionaryLiteral: ("v", "7")).decode(One<Int>.self) }
        #expect(throws: DecodingError.self) { try Document(dictionaryLiteral: ("w", 7)).decode(One<Int>.self) }
        #expect(throws: EncodingError.self) { try Document(encoding: One(v: UInt64.max)) }
        #expect(throws: EncodingError.self) { try Document(encoding: ["a\0b": 1]) }
        #expect(throws: EncodingError.self) { try Document(encoding: [1, 2]) }
    }

    @Test("a document is ordered, and changed in place")
    func documents() {
        var document: Document = ["b": 1, "a": "x", "c": nil]
        #expect(document.keys == ["b", "a", "c"] && document.count == 3 && document["c"]?.isNull == true)
        document["a"] = ["y": [true]]
        document["d"] = 2.5
        document["b"] = nil
        #expect(document.description == #"{"a": {"y": [true]}, "c": null, "d": 2.5}"#)
        #expect(document["a"]?["y"]?[0]?.bool == true && document["nothing"] == nil)
        document.append("d", 3)
        #expect(document["d"]?.double == 2.5 && document.count == 4)
        #expect(Document().isEmpty && document != ["a": 1])
        // A NUL would cut the name, so that it became a different one.
        #expect(Document(dictionaryLiteral: ("is\0Admin", 1)).keys == ["is\u{FFFD}Admin"])
    }

    @Test("IDs are unique, ordered, and carry their time")
    func identifiers() throws {
        let ids = (0..<1000).map { _ in ObjectID() }
        #expect(Set(ids).count == 1000)
        #expect(abs(ids[0].date.timeIntervalSinceNow) < 5)
        #expect(ObjectID("56e1fc72e0c917e9c4714161")?.description == "56e1fc72e0c917e9c4714161")
        #expect(ObjectID("56e1fc72e0c917e9c471416") == nil && ObjectID("+6e1fc72e0c917e9c4714161") == nil)
    }

    @Test("mutated documents are refused or parsed, without a crash")
    func fuzz() throws {
        var generator = SystemRandomNumberGenerator()
        let seeds = try Self.valid.map { Array(try Document(bytes: bytes($0.hex)).bytes.readableBytesView) }
        for _ in 0..<fuzzInputs {
            var input = seeds[Int.random(in: 0..<seeds.count, using: &generator)]
            for _ in 0..<Int.random(in: 1...4) {
                guard !input.isEmpty else { break }
                let place = Int.random(in: 0..<input.count)
                switch Int.random(in: 0..<3) {
                case 0: input[place] = UInt8.random(in: 0...255)
                case 1: input.remove(at: place)
                default: input.insert(UInt8.random(in: 0...255), at: place)
                }
            }
            guard let document = try? Document(bytes: ByteBuffer(bytes: input)) else { continue }
            // Whatever is accepted as a document can be read to its end, and written.
            _ = try Document(bytes: Document(pairs: document.map { ($0.key, $0.value) }).bytes)
            _ = document.description
        }
    }
}
