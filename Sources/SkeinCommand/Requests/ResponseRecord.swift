// A response as a line of JSON, for scripts.

import Skein

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The output of `--json` for one response.
struct ResponseRecord: Encodable {
    struct Failure: Encodable {
        let code: Int
        let name: String
        let message: String
    }

    let id: Int
    let method: String
    let url: String
    let status: Int
    let reason: String
    let version: String?
    let bytes: Int
    let headers: [[String]]?
    let body: String?
    let bodyBase64: String?
    let redirects: [String]?
    let cache: String?
    let timings: [String: Double]?
    let error: Failure?

    enum CodingKeys: String, CodingKey {
        case id, method, url, status, reason, version, bytes, headers, body, redirects, cache, timings, error
        case bodyBase64 = "body_base64"
    }

    init(_ response: HTTPResponse, index: Int, url: String, options: RequestOptions) {
        id = index
        method = response.method
        self.url = url
        status = response.statusCode
        reason = response.reason
        version = response.failure == nil ? response.version.description : nil
        bytes = response.content.readableBytes
        headers = options.headers ? response.headers.map { [$0.name, $0.value] } : nil
        let text = options.body ? String(validating: response.content.readableBytesView, as: UTF8.self) : nil
        body = text
        bodyBase64 = options.body && text == nil ? Data(response.content.readableBytesView).base64EncodedString() : nil
        redirects =
            response.history.isEmpty ? nil : response.history.map(\.url.description) + [response.url.description]
        cache = response.cacheUse?.rawValue
        timings = response.timings.map { timings in
            Dictionary(
                uniqueKeysWithValues: timings.spans.map { ($0.name.replacingBytes(" ", with: "_"), $0.milliseconds) })
        }
        error = response.failure.map { Failure(code: $0.code.rawValue, name: $0.code.name, message: $0.description) }
    }

    /// The record on one line.
    var line: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{\"id\":\(id)}"
    }
}
