// Requests signed for Amazon Web Services, Signature Version 4
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html).

import Crypto
import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinWire
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Signs requests for a service in a region.
public struct AWSSigner: Sendable {
    /// The credentials.
    public var credentials: AWSCredentials
    /// The region, such as `eu-central-1`.
    public var region: String
    /// The service, such as `sqs` or `s3`. The paths of `s3` are signed unchanged, those of others are encoded once
    /// more.
    public var service: String
    private let keys = SigningKeys()

    /// A signer for a service in a region.
    public init(_ credentials: AWSCredentials, region: String, service: String) {
        self.credentials = credentials
        self.region = region
        self.service = service
    }

    /// A request with its signature in the header. Streamed content is not covered by it.
    /// - Parameter moment: the time of the signature; it is valid for some minutes. Default: now.
    public func sign(_ request: HTTPRequest, at moment: Date = Date()) -> HTTPRequest {
        let hash = request.body.bytes.map(SHA256.hex)
        return sign(request, contentHash: hash ?? "UNSIGNED-PAYLOAD", isNamed: hash == nil, AWSMoment(moment)).request
    }

    /// - Parameter isNamed: whether the hash must be in the header.
    func sign(
        _ request: HTTPRequest, contentHash: String, isNamed: Bool, _ moment: AWSMoment
    ) -> (request: HTTPRequest, signature: String) {
        var signed = request
        signed.headers["X-Amz-Date"] = moment.time
        if let token = credentials.sessionToken { signed.headers["X-Amz-Security-Token"] = token }
        if service == "s3" || isNamed { signed.headers["X-Amz-Content-SHA256"] = contentHash }
        let covered = Self.covered(signed)
        var names = ""
        // Most calls of services are a POST to the root.
        let isRoot = request.url.target == "/"
        var canonical = "\(request.method.rawValue)\n\(isRoot ? "/" : path(request.url))\n"
        if !isRoot { canonical += Self.query(Self.parameters(request.url)) }
        canonical += "\n"
        for field in covered {
            if !names.isEmpty { names += ";" }
            names += field.name
            canonical += "\(field.name):\(field.value)\n"
        }
        canonical += "\n\(names)\n\(contentHash)"
        let signature = signature(of: canonical, moment)
        signed.headers["Authorization"] =
            "AWS4-HMAC-SHA256 Credential=\(credentials.accessKey)/\(scope(moment)), SignedHeaders=\(names), Signature=\(signature)"
        return (signed, signature)
    }

    /// A presigned URL, which can be used without credentials for a limited time: its signature is in the query.
    /// - Parameters:
    ///   - method: the allowed method. Default: GET.
    ///   - lifetime: the lifetime, at most seven days. Default: 15 minutes.
    ///   - moment: the start. Default: now.
    /// - Throws: code 701 when the URL is malformed or the lifetime out of range.
    public func presign(
        _ method: HTTPMethod = .get, _ url: String, for lifetime: Duration = .seconds(900), at moment: Date = Date()
    ) throws(SkeinError) -> String {
        let seconds = Int(lifetime / .seconds(1))
        guard (1...604_800).contains(seconds) else {
            throw SkeinError(
                .exception, because: "a presigned URL is valid for one second to seven days, not for \(seconds) s")
        }
        let url = try HTTPURL(url)
        let moment = AWSMoment(moment)
        var parameters = Self.parameters(url)
        parameters += [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-Credential", "\(credentials.accessKey)/\(scope(moment))"),
            ("X-Amz-Date", moment.time), ("X-Amz-Expires", "\(seconds)"), ("X-Amz-SignedHeaders", "host"),
        ]
        if let token = credentials.sessionToken { parameters.append(("X-Amz-Security-Token", token)) }
        let query = Self.query(parameters)
        let hash = service == "s3" ? "UNSIGNED-PAYLOAD" : SHA256.hex(ByteBuffer())
        let canonical = [
            method.rawValue, path(url), query, "host:\(url.origin.authority)\n", "host", hash,
        ].joined(separator: "\n")
        let plain = url.target.prefix(before: "?")
        return "\(url.origin)\(plain)?\(query)&X-Amz-Signature=\(signature(of: canonical, moment))"
    }

    // MARK: Parts

    func scope(_ moment: AWSMoment) -> String { "\(moment.day)/\(region)/\(service)/aws4_request" }

    private func signature(of canonical: String, _ moment: AWSMoment) -> String {
        sign(
            "AWS4-HMAC-SHA256\n\(moment.time)\n\(scope(moment))\n\(SHA256.hex(ByteBuffer(string: canonical)))",
            moment)
    }

    func sign(_ text: String, _ moment: AWSMoment) -> String {
        let key = keys.key(credentials.secretKey, moment.day, region, service)
        return Hex.encode(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: key))
    }

    private func path(_ url: HTTPURL) -> String {
        let path = String(url.target.prefix(before: "?"))
        return service == "s3" ? path : Percent.encodePath(Self.normalised(path))
    }

    /// The path without dot segments and doubled slashes (the rules of Signature Version 4 for all services but S3).
    private static func normalised(_ path: String) -> String {
        var segments: [Substring] = []
        for segment in path.splitBytes(separator: "/") {
            if segment == ".." { _ = segments.popLast() } else if segment != "." { segments.append(segment) }
        }
        return "/" + segments.joined(separator: "/") + (path.hasByteSuffix("/") && !segments.isEmpty ? "/" : "")
    }

    private static func parameters(_ url: HTTPURL) -> [(String, String)] {
        Percent.decodeForm(url.target.firstByte("?").map { url.target.text(after: $0) } ?? "")
    }

    private static func query(_ parameters: [(String, String)]) -> String {
        parameters.map { (Percent.encodeUnreserved($0.0), Percent.encodeUnreserved($0.1)) }
            .sorted(by: <).map { "\($0.0)=\($0.1)" }.joined(separator: "&")
    }

    /// The signed fields: host, content type, and the service's own; not those that proxies change.
    private static func covered(_ request: HTTPRequest) -> [(name: String, value: String)] {
        var fields = [(name: "host", value: request.url.origin.authority)]
        let type = request.headers["Content-Type"] ?? request.body.contentType
        if let type { fields.append(("content-type", type)) }
        for field in request.headers {
            let name = field.name.lowercased()
            guard name.hasBytePrefix("x-amz-") || name == "content-md5" || name == "content-encoding" else { continue }
            let value = field.value.splitAtBlanks().joined(separator: " ")
            if let known = fields.firstIndex(where: { $0.name == name }) {
                fields[known].value += ",\(value)"
            } else {
                fields.append((name, value))
            }
        }
        return fields.sorted { $0.name < $1.name }
    }
}

extension AWSSigner: HTTPAuthenticator {
    /// Adds the signature. A 401 is final.
    public func authorize(
        _ request: HTTPRequest, after answer: HTTPResponse?, using service: HTTPService
    ) -> HTTPRequest? {
        answer == nil ? sign(request) : nil
    }
}

extension HTTPAuth {
    /// A request signed for Amazon Web Services (Signature Version 4).
    public static func aws(_ signer: AWSSigner) -> HTTPAuth { .custom(signer) }
}

/// A time in the format of signatures: `20150830T123600Z`, independent of the machine's calendar.
struct AWSMoment {
    let time: String
    var day: Substring { time.prefix(8) }

    init(_ date: Date) {
        let text = ISODate.text(Int64(date.timeIntervalSince1970) * 1000) ?? ""
        time = String(decoding: text.utf8.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: ":") }, as: UTF8.self)
    }
}

/// The signing key of a day: derived in four steps, and cached for all requests of the day.
private final class SigningKeys: Sendable {
    private let last = Mutex<(names: [String], key: SymmetricKey)?>(nil)

    func key(_ secret: String, _ day: Substring, _ region: String, _ service: String) -> SymmetricKey {
        let names = [secret, String(day), region, service]
        return last.withLock { last in
            if let last, last.names == names { return last.key }
            let key = [String(day), region, service, "aws4_request"].reduce(
                SymmetricKey(data: Array("AWS4\(secret)".utf8))
            ) { SymmetricKey(data: HMAC<SHA256>.authenticationCode(for: Array($1.utf8), using: $0)) }
            last = (names, key)
            return key
        }
    }
}

extension SHA256 {
    /// The hash of bytes, in hexadecimal digits.
    static func hex(_ bytes: ByteBuffer) -> String {
        var hash = SHA256()
        bytes.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        return Hex.encode(hash.finalize())
    }
}
