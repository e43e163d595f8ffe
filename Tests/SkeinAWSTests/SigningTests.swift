import Foundation
import NIOCore
import SkeinCore
import SkeinHTTP
import Testing

@testable import SkeinAWS

/// The signatures in the AWS documentation.
@Suite("AWS signatures")
struct SigningTests {
    private static let key = AWSCredentials(
        accessKey: "AKIDEXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    private static let moment = Date(timeIntervalSince1970: 1_440_938_160)  // 20150830T123600Z
    private static let s3 = AWSSigner(
        AWSCredentials(accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        region: "us-east-1", service: "s3")
    private static let s3Moment = Date(timeIntervalSince1970: 1_369_353_600)  // 20130524T000000Z
    private static let bucket = "https://examplebucket.s3.amazonaws.com"

    private func authorization(_ request: HTTPRequest, _ service: String = "service", token: String? = nil) -> String {
        var key = Self.key
        key.sessionToken = token
        return AWSSigner(key, region: "us-east-1", service: service).sign(request, at: Self.moment).headers[
            "Authorization"] ?? ""
    }

    @Test("requests are signed as in the test suite of version 4")
    func suite() throws {
        let base = "https://example.amazonaws.com"
        #expect(
            authorization(HTTPRequest(.get, try HTTPURL("\(base)/")))
                == "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
                + "SignedHeaders=host;x-amz-date, "
                + "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
        #expect(
            authorization(HTTPRequest(.get, try HTTPURL("\(base)/a%20b/c?Param2=value2&Param1=va%20lue1")))
                .hasSuffix("1e9d0be74821481a10054f9d1e41fc6816922701e45163a9dbe339bcbda27008"))
        let call = HTTPRequest(
            .post, try HTTPURL("\(base)/"), headers: ["X-Amz-Target": "DynamoDB_20120810.ListTables"],
            body: .text(#"{"a":1}"#, contentType: "application/x-amz-json-1.0"))
        #expect(
            authorization(call, "dynamodb", token: "token/+=")
                .hasSuffix("036a1d2bb495a68faccfdbcce4a60eae1b1a4607a7209d0c80f9d7c781c554a7"))
    }

    @Test(
        "requests to S3 are signed as its manual signs them",
        arguments: [
            ("?lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            ("?max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ])
    func storage(query: String, signature: String) throws {
        let signed = Self.s3.sign(HTTPRequest(.get, try HTTPURL("\(Self.bucket)/\(query)")), at: Self.s3Moment)
        #expect(signed.headers["Authorization"]?.hasSuffix("Signature=\(signature)") == true)
    }

    @Test("a presigned URL equals that of the manual")
    func presigned() throws {
        let url = try Self.s3.presign(.get, "\(Self.bucket)/test.txt", for: .seconds(86400), at: Self.s3Moment)
        #expect(
            url == "\(Self.bucket)/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
                + "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
                + "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
                + "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")
        #expect(throws: SkeinError.self) { try Self.s3.presign(.get, Self.bucket, for: .seconds(604_801)) }
        #expect(throws: SkeinError.self) { try Self.s3.presign(.get, "nonsense", for: .seconds(60)) }
    }

    @Test("chunks are signed in a chain, as in the manual")
    func chunks() throws {
        let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
        let pieces = (0..<65).map { _ in ByteBuffer(repeating: UInt8(ascii: "a"), count: 1024) }
        let chunks = Array(
            SignedChunks(signer: Self.s3, moment: AWSMoment(Self.s3Moment), seed: seed, content: pieces, size: 65536)
        ).map { String(buffer: $0) }
        #expect(
            chunks.map { String($0.prefix { $0 != "\r\n" }) } == [
                "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
                "400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
                "0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
            ])
        let request = Self.s3.signChunked(
            HTTPRequest(.put, try HTTPURL("\(Self.bucket)/chunkObject.txt")), content: pieces, length: 66560,
            at: Self.s3Moment)
        #expect(
            request.headers["X-Amz-Decoded-Content-Length"] == "66560"
                && request.headers["Content-Encoding"] == "aws-chunked")
        #expect(chunks.map(\.utf8.count).reduce(0, +) == 66824)
    }

    // MARK: Credentials

    @Test("profiles: both files, names with a prefix, comments, indented lines")
    func profiles() throws {
        let parsed = AWSProfiles.parse(
            """
            # mine
            [default]
            aws_access_key_id = A # here
            aws_secret_access_key=s=/+
            [ profile  other ]
            region = eu-west-1
            s3 =
              signature = x
            ; end
            """)
        #expect(parsed["default"] == ["aws_access_key_id": "A", "aws_secret_access_key": "s=/+"])
        #expect(parsed["profile other"]?["region"] == "eu-west-1" && parsed["profile other"]?["signature"] == nil)
    }

    @Test(
        "regions are found in options, environment, hosts",
        arguments: [
            (AWSConfiguration(region: "a-b-1", environment: ["AWS_REGION": "x"]), nil, "a-b-1"),
            (AWSConfiguration(environment: ["AWS_DEFAULT_REGION": "eu-west-2"]), nil, "eu-west-2"),
            (AWSConfiguration(environment: ["HOME": "/nowhere"]), "sqs.ap-southeast-2.amazonaws.com", "ap-southeast-2"),
            (AWSConfiguration(environment: ["HOME": "/nowhere"]), "us-gov-west-1.queue.amazonaws.com", "us-gov-west-1"),
            (AWSConfiguration(endpoint: "http://localhost:1", environment: ["HOME": "/nowhere"]), nil, "us-east-1"),
        ] as [(AWSConfiguration, String?, String)])
    func regions(options: AWSConfiguration, host: String?, region: String) throws {
        #expect(try options.region(host) == region)
    }

    @Test("a missing region is an error with a remedy, and endpoints are those of the region")
    func endpoints() throws {
        let nothing = AWSConfiguration(environment: ["HOME": "/nowhere"])
        let error = #expect(throws: SkeinError.self) { try nothing.endpoint(of: "sqs") }
        #expect(error?.message.contains("AWS_REGION") == true)
        #expect(
            try AWSConfiguration(region: "eu-west-1").endpoint(of: "dynamodb").description
                == "https://dynamodb.eu-west-1.amazonaws.com/")
        #expect(
            try AWSConfiguration(region: "cn-north-1").endpoint(of: "sqs").description
                == "https://sqs.cn-north-1.amazonaws.com.cn/")
        let own = AWSConfiguration(environment: [
            "AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_SQS": "http://b:2",
        ])
        #expect(
            try own.endpoint(of: "sqs").description == "http://b:2/"
                && own.endpoint(of: "dynamodb").description == "http://a:1/")
    }
}

@Suite("DynamoDB values")
struct AttributeTests {
    struct User: Codable, Equatable {
        struct Address: Codable, Equatable { let city: String, zip: Int? }
        let id: String
        let age: Int
        let score: Double
        let balance: Decimal
        let isActive: Bool
        let address: Address
        let tags: Set<String>
        let list: [Int]
        let data: Data
        let key: UUID
        let date: Date
        let raw: AttributeValue
        let nothing: String?
        let small: UInt8
    }

    @Test("Swift values are encoded and decoded, through the wire format")
    func coding() throws {
        let user = User(
            id: "x", age: -7, score: 0.5, balance: try #require(Decimal(string: "12.50")), isActive: true,
            address: .init(city: "Köln", zip: nil), tags: ["a", "b"], list: [3, 1], data: Data([0, 255]), key: UUID(),
            date: Date(timeIntervalSince1970: 1_700_000_000.25), raw: .binarySet([Data([1])]), nothing: nil, small: 200)
        let item = try DynamoItem(encoding: user)
        #expect(
            item["tags"] == .stringSet(["a", "b"]) && item["data"] == .binary(Data([0, 255])) && item["nothing"] == nil)
        #expect(item["age"] == .number("-7") && item["raw"] == .binarySet([Data([1])]))
        let wire = try JSONEncoder().encode(item)
        #expect(try JSONDecoder().decode(DynamoItem.self, from: wire).decode(User.self) == user)
    }

    @Test("every type has its wire format")
    func wire() throws {
        let forms: [(AttributeValue, String)] = [
            (.string("a"), #"{"S":"a"}"#), (1.5, #"{"N":"1.5"}"#), (.binary(Data([255])), #"{"B":"/w=="}"#),
            (true, #"{"BOOL":true}"#),
            (nil, #"{"NULL":true}"#), ([1, "b"], #"{"L":[{"N":"1"},{"S":"b"}]}"#),
            (["k": []], #"{"M":{"k":{"L":[]}}}"#),
            (.stringSet(["b", "a"]), #"{"SS":["a","b"]}"#), (.numberSet(["1"]), #"{"NS":["1"]}"#),
            (.binarySet([Data([255])]), #"{"BS":["/w=="]}"#),
        ]
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        for (value, text) in forms {
            #expect(String(decoding: try encoder.encode(value), as: UTF8.self) == text)
            #expect(try JSONDecoder().decode(AttributeValue.self, from: Data(text.utf8)) == value)
        }
        for text in ["{}", #"{"X":1}"#, #"{"S":"a","N":"1"}"#, #"{"B":"!"}"#, #"{"N":1}"#, "[]"] {
            #expect(throws: DecodingError.self) { try JSONDecoder().decode(AttributeValue.self, from: Data(text.utf8)) }
        }
        #expect(throws: EncodingError.self) { try AttributeValue(encoding: [Double.nan]) }
        #expect(throws: DecodingError.self) { try AttributeDecoder.decode(UInt8.self, from: 300) }
        #expect(throws: DecodingError.self) { try AttributeDecoder.decode(Int.self, from: "7") }
        #expect(throws: DecodingError.self) { try AttributeDecoder.decode(Int.self, from: 7.5) }
    }

    @Test("names and values are separate from expressions, and cannot change them")
    func expressions() {
        let evil = "x OR attribute_exists(id)"
        let condition: DynamoExpression = "\(name: "status") = \(evil)" && !"\(name: "year") < \(1990)"
        var attributes = ExpressionAttributes()
        #expect(attributes.text(condition) == "(#n0 = :v0) AND (NOT (#n1 < :v1))")
        #expect(attributes.text("SET \(name: "status") = \(evil)") == "SET #n0 = :v0")
        #expect(attributes.allNames == ["#n0": "status", "#n1": "year"])
        #expect(attributes.allValues == [":v0": .string(evil), ":v1": .number("1990")])
        #expect(attributes.text(.names(["a", "year"])) == "#n2, #n1")
    }
}
