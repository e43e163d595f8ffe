// Requests signed for Amazon Web Services, Signature Version 4
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html).

import Crypto
import NIOCore
import SkeinCore
import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A key, and what requests are signed for with it.
public struct AWSSignature: HTTPAuthenticator {
    /// The name of the key.
    public var accessKey: String
    /// The key.
    public var secretKey: String
    /// The token that temporary keys come with.
    public var sessionToken: String?
    /// The region, such as `eu-central-1`.
    public var region: String
    /// The service, such as `sqs` or `s3`. The paths of `s3` are signed as they are, those of others encoded once more.
    public var service: String

    var now: @Sendable () -> Date = { Date() }

    /// A key for a service in a region.
    public init(accessKey: String, secretKey: String, sessionToken: String? = nil, region: String, service: String) {
        self.accessKey = accessKey
        self.secretKey = secretKey
        self.sessionToken = sessionToken
        self.region = region
        self.service = service
    }

    /// Adds the signature. A 401 is final.
    public func authorize(
        _ request: HTTPRequest, after answer: HTTPResponse?, using service: HTTPService
    ) -> HTTPRequest? {
        answer == nil ? signed(request) : nil
    }

    /// A request with its signature. Content that is still to be made is not covered by it.
    package func signed(_ request: HTTPRequest) -> HTTPRequest {
        var signed = request
        let time = Self.time(now())
        let hash = request.body.bytes.map { Hex.encode(SHA256.hash(data: Array($0.readableBytesView))) }
        signed.headers["X-Amz-Date"] = time
        if let sessionToken { signed.headers["X-Amz-Security-Token"] = sessionToken }
        if service == "s3" || hash == nil { signed.headers["X-Amz-Content-SHA256"] = hash ?? "UNSIGNED-PAYLOAD" }

        let covered = Self.covered(signed)
        let names = covered.map(\.name).joined(separator: ";")
        let canonical = [
            request.method.rawValue, path(request), Self.query(request),
            covered.map { "\($0.name):\($0.value)\n" }.joined(), names, hash ?? "UNSIGNED-PAYLOAD",
        ].joined(separator: "\n")
        let scope = "\(time.prefix(8))/\(region)/\(service)/aws4_request"
        let text = "AWS4-HMAC-SHA256\n\(time)\n\(scope)\n\(Hex.encode(SHA256.hash(data: Array(canonical.utf8))))"
        let key = [region, service, "aws4_request"].reduce(
            Self.code(String(time.prefix(8)), SymmetricKey(data: Array("AWS4\(secretKey)".utf8)))
        ) { Self.code($1, SymmetricKey(data: $0)) }
        let signature = Hex.encode(Self.code(text, SymmetricKey(data: key)))
        signed.headers["Authorization"] =
            "AWS4-HMAC-SHA256 Credential=\(accessKey)/\(scope), SignedHeaders=\(names), Signature=\(signature)"
        return signed
    }

    private static func code(_ text: String, _ key: SymmetricKey) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: key))
    }

    /// `20150830T123600Z`, whatever the calendar of the machine.
    private static func time(_ date: Date) -> String {
        date.formatted(.iso8601.dateSeparator(.omitted).timeSeparator(.omitted))
    }

    private func path(_ request: HTTPRequest) -> String {
        let path = String(request.url.target.prefix { $0 != "?" })
        return service == "s3" ? path : Percent.encodePath(path)
    }

    private static func query(_ request: HTTPRequest) -> String {
        let query = request.url.target.drop { $0 != "?" }.dropFirst()
        return Percent.decodeForm(query).map { name, value in
            (Percent.encodeUnreserved(name), Percent.encodeUnreserved(value))
        }.sorted(by: <).map { "\($0.0)=\($0.1)" }.joined(separator: "&")
    }

    /// The fields that are covered: host, content type, and what the service has a name for; what proxies change is not.
    private static func covered(_ request: HTTPRequest) -> [(name: String, value: String)] {
        var fields = [(name: "host", value: request.url.origin.authority)]
        let type = request.headers["Content-Type"] ?? request.body.contentType
        if let type { fields.append(("content-type", type)) }
        let names = Set(
            request.headers.map { $0.name.lowercased() }.filter { $0.hasPrefix("x-amz-") || $0 == "content-md5" })
        for name in names {
            let value = request.headers.values(name).map { value in
                value.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
            }
            fields.append((name, value.joined(separator: ",")))
        }
        return fields.sorted { $0.name < $1.name }
    }
}
