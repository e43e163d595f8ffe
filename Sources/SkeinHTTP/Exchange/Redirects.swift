// The target and the request of a redirect (RFC 9110, section 15.4).

import SkeinCore
import SkeinWire

/// How a session handles redirects.
public struct RedirectPolicy: Sendable {
    /// Whether they are followed. Default: true.
    public var isEnabled = true
    /// The maximum number in a row; one more fails with code 711. Default: 10.
    public var maximum = 10
    /// Whether a redirect from https to http is followed. Default: false; it fails with code 711.
    public var allowsDowngrade = false

    /// The defaults.
    public init() {}
}

/// A response that led to another request.
public struct HTTPHop: Sendable {
    /// The request's method.
    public let method: HTTPMethod
    /// The requested URL.
    public let url: HTTPURL
    /// The status: 301, 302, 303, 307 or 308.
    public let status: HTTPStatus
    /// The header section of the answer.
    public let headers: Headers
    /// The cookies that the request was sent with.
    let cookies: String?
}

extension RedirectPolicy {
    /// The request that follows from a response; nil when the response is the final one.
    /// - Parameters:
    ///   - request: the request that was answered, as it was before cookies and credentials were added.
    ///   - history: the responses so far, this one included.
    ///   - cookies: the cookies that a request is sent with.
    /// - Throws: code 711 for a loop, too many redirects, or a target that is not allowed.
    func next(
        after head: ResponseHead, to request: HTTPRequest, _ history: [HTTPHop], cookies: (HTTPRequest) -> String?
    ) throws(SkeinError) -> HTTPRequest? {
        guard isEnabled, let method = Self.method(head.status, request.method),
            let location = head.headers.rawValue("Location").map(Percent.encodeNonASCII)
        else { return nil }
        func refuse(_ why: String) -> SkeinError {
            SkeinError(.redirectError, peer: request.url.origin.description, because: why)
        }
        guard history.count <= maximum else {
            throw refuse("more than \(maximum) redirects in a row; raise redirects.maximum")
        }
        let url: HTTPURL
        do {
            url = try request.url.resolving(location)
        } catch {
            throw refuse("a redirect leads to no usable URL: \(error.message)")
        }
        // A remote server must not direct requests to a unix socket of this machine.
        if case .unix = url.origin.endpoint, url.origin != request.url.origin {
            throw refuse("a redirect leads to a unix socket")
        }
        if request.url.origin.isSecure, !url.origin.isSecure, !allowsDowngrade {
            throw refuse("a redirect leads from https to \(url); set redirects.allowsDowngrade to follow it")
        }
        var next = request
        next.url = url
        if method != request.method {
            next.method = method
            next.body = .none
            next.trailers = nil
            for name in ["Content-Type", "Content-Encoding", "Content-Language", "Content-Location"] {
                next.headers.remove(name)
            }
        } else if !request.body.isReplayable {
            throw refuse(
                "a \(head.status.code) requires the content again, but it can be read only once; send a sequence or bytes"
            )
        }
        if url.origin != request.url.origin {
            // Credentials and cookies of one origin are not sent to another.
            if next.hasExtras {
                next.auth = nil
                next.cookies = [:]
            }
            for name in ["Authorization", "Cookie", "Host", "Proxy-Authorization"] { next.headers.remove(name) }
        }
        // A cookie set in between may change the response, as at a login, so the same request is not a loop.
        let sent = cookies(next)
        guard !history.contains(where: { $0.url == url && $0.method == method && $0.cookies == sent }) else {
            throw refuse("the redirects form a loop: \(url) was requested before, with the same cookies")
        }
        return next
    }

    /// The method of the request that follows; nil when there is none.
    private static func method(_ status: HTTPStatus, _ method: HTTPMethod) -> HTTPMethod? {
        switch status.code {
        case 307, 308: method
        case 303: method == .head ? .head : .get
        // All clients do so, and the RFC allows it (sections 15.4.2 and 15.4.3).
        case 301, 302: method == .post ? .get : method
        default: nil
        }
    }
}

extension HTTPURL {
    /// Resolves a reference, such as that of a Location field, against this URL (RFC 3986, section 5.2).
    func resolving(_ reference: String) throws(SkeinError) -> HTTPURL {
        let reference = reference.prefix(before: "#")
        // A reference with a scheme is a URL: `mailto:` and `javascript:` are not paths (section 4.1).
        if let colon = reference.firstByte(":"), let first = reference.utf8.first, Bytes.lowercased(first) &- 0x61 < 26,
            reference[..<colon].utf8.allSatisfy({
                Bytes.lowercased($0) &- 0x61 < 26 || Bytes.isDigit($0) || "+-.".utf8.contains($0)
            })
        {
            return try HTTPURL(String(reference))
        }
        if reference.hasBytePrefix("//") { return try HTTPURL("\(origin.scheme):\(reference)") }
        let path = target.prefix(before: "?")
        let merged: String
        if reference.isEmpty {
            merged = target
        } else if reference.hasBytePrefix("/") {
            merged = String(reference)
        } else if reference.hasBytePrefix("?") {
            merged = String(path + reference)
        } else {
            merged = String(path[...(path.lastByte("/") ?? path.startIndex)] + reference)
        }
        // Parsed again, so that an invalid target is refused.
        return HTTPURL(origin: origin, target: try HTTPURL("http://a\(Self.withoutDots(merged))").target)
    }

    /// Removes `.` and `..` from a path (RFC 3986, section 5.2.4).
    private static func withoutDots(_ target: String) -> String {
        let path = target.prefix(before: "?")
        var segments: [Substring] = []
        var endsInDirectory = false
        for segment in path.droppingBytes(first: 1).splitBytes(separator: "/", omittingEmptySubsequences: false) {
            endsInDirectory = segment == "." || segment == ".."
            if segment == ".." { _ = segments.popLast() } else if segment != "." { segments.append(segment) }
        }
        if endsInDirectory { segments.append("") }
        return "/" + segments.joined(separator: "/") + target[path.endIndex...]
    }
}
