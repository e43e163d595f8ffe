// What a request gets from its settings and its session's on the way out.

import SkeinCore
import SkeinWire

extension HTTPClientContext {
    /// The credentials that a request is sent with, its own or those of the session for its host.
    func credentials(for request: HTTPRequest) -> HTTPAuth? {
        request.auth ?? configuration.credentials.auth(for: request.url.origin)
    }

    /// Adds the fields that follow from the request's settings and the session's; not credentials, which may take a while.
    func complete(_ request: inout HTTPRequest) {
        let own = CookieJar.field(request.cookies)
        let kept = configuration.cookies?.field(for: request.url)
        let set = request.headers["Cookie"]
        let cookies = [set, kept, own].compactMap(\.self).joined(separator: "; ")
        if !cookies.isEmpty, cookies != set { request.headers["Cookie"] = cookies }
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
