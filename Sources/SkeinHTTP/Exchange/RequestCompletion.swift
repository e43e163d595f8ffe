// Completes a request from its own settings and the session's.

import SkeinCore
import SkeinWire

extension HTTPClientContext {
    /// The credentials that a request is sent with, its own or those of the session for its host.
    /// - Parameter first: the origin before any redirect.
    func credentials(for request: HTTPRequest, redirectedFrom first: HTTPOrigin? = nil) -> HTTPAuth? {
        request.auth ?? configuration.credentials.auth(for: request.url.origin, redirectedFrom: first)
    }

    /// The value of the Cookie field that a request is sent with.
    func cookies(for request: HTTPRequest) -> String? {
        let own = CookieJar.field(request.cookies)
        let kept = configuration.cookies?.field(for: request.url)
        let all = [request.headers.rawValue("Cookie").map(EscapedBytes.text), kept, own].compactMap(\.self).joined(
            separator: "; ")
        return all.isEmpty ? nil : all
    }

    /// Adds the fields that follow from the settings of the request and the session; not credentials, which may take a
    /// while.
    func complete(_ request: inout HTTPRequest) {
        if let cookies = cookies(for: request) {
            request.headers.remove("Cookie")
            request.headers.add("Cookie", bytes: EscapedBytes.bytes(cookies))
        }
        if !request.acceptedTypes.isEmpty, !request.headers.contains("Accept") {
            request.headers["Accept"] = request.acceptedTypes.joined(separator: ", ")
        }
        if let coding = request.body.contentEncoding, !request.headers.contains("Content-Encoding") {
            request.headers["Content-Encoding"] = coding
        }
        if expectsContinue(request), !request.headers.contains("Expect") {
            request.headers["Expect"] = "100-continue"
        }
    }

    private func expectsContinue(_ request: HTTPRequest) -> Bool {
        if let expects = request.expectsContinue { return expects && request.body.length != .none }
        guard let limit = configuration.expectContinueAbove else { return false }
        return switch request.body.length {
        case .none: false
        case .known(let length): length > limit
        case .streamed: true
        }
    }
}
