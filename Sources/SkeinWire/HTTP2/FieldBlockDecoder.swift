// Decodes header blocks to heads: HPACK, and the rules for fields of RFC 9113, sections 8.2 and 8.3.

import SkeinCore
import NIOCore
import NIOHPACK

/// Decodes the header blocks of one connection, in order, since each depends on the previous ones.
struct FieldBlockDecoder {
    /// An error in a header list that was decoded correctly: the stream is reset, the connection continues.
    enum Fault: Error, Equatable {
        case malformed(String)
        /// More fields or bytes than the limits allow.
        case tooLarge
    }

    /// The pseudo-header fields of a message (RFC 9113, section 8.3).
    struct PseudoFields {
        var method: String?
        var scheme: String?
        var authority: String?
        var path: String?
        var protocolName: String?
        var status: String?

        var isEmpty: Bool {
            method == nil && scheme == nil && authority == nil && path == nil && protocolName == nil && status == nil
        }

        /// Adds one field. Returns false when it is unknown or a duplicate.
        mutating func take(_ name: String, _ value: String) -> Bool {
            func set(_ field: inout String?) -> Bool {
                defer { field = value }
                return field == nil
            }
            switch name {
            case ":method": return set(&method)
            case ":scheme": return set(&scheme)
            case ":authority": return set(&authority)
            case ":path": return set(&path)
            case ":protocol": return set(&protocolName)
            case ":status": return set(&status)
            default: return false
            }
        }
    }

    private var decoder: HPACKDecoder
    private let limits: HTTP2Limits

    init(limits: HTTP2Limits) {
        self.limits = limits
        // Beyond this limit the connection fails; up to it, only the message.
        decoder = HPACKDecoder(
            allocator: ByteBufferAllocator(), maxDynamicTableSize: 4096,
            maxHeaderListSize: max(1, limits.headerList) * 4)
    }

    /// Decodes a block. Required for every block, even if its stream is ignored.
    mutating func unpack(_ block: ByteBuffer) throws(HTTP2Error) -> HPACKHeaders {
        var block = block
        do {
            return try decoder.decodeHeaders(from: &block)
        } catch is NIOHPACKErrors.MaxHeaderListSizeViolation {
            throw HTTP2Error(.enhanceYourCalm, "a header list is many times larger than the limit")
        } catch {
            throw HTTP2Error(.compressionError, "a header block cannot be unpacked: \(error)")
        }
    }

    /// A head, and its Content-Length.
    struct Announced<Head> {
        let head: Head
        let length: Int?
    }

    /// Parses the head of a request.
    func request(
        _ list: HPACKHeaders, isLast: Bool, allowsExtendedConnect: Bool
    ) throws(Fault) -> Announced<RequestHead> {
        var section = ReceivedSection(limits: limits)
        try section.read(list, isTrailer: false)
        let pseudo = section.pseudo
        guard pseudo.status == nil else { throw .malformed("a request with :status") }
        guard let method = pseudo.method, !method.isEmpty, method.utf8.allSatisfy(Bytes.isToken) else {
            throw .malformed("no valid :method")
        }
        let target: String
        if method == "CONNECT", pseudo.protocolName == nil {
            guard pseudo.scheme == nil, pseudo.path == nil, let authority = pseudo.authority, !authority.isEmpty else {
                throw .malformed("a CONNECT has :authority and neither :scheme nor :path")
            }
            target = authority
        } else {
            guard pseudo.protocolName == nil || (method == "CONNECT" && allowsExtendedConnect) else {
                throw .malformed(":protocol was not allowed")
            }
            guard let scheme = pseudo.scheme, Self.isScheme(scheme) else { throw .malformed("no valid :scheme") }
            guard let path = pseudo.path, path.hasBytePrefix("/") || (path == "*" && method == "OPTIONS") else {
                throw .malformed("no valid :path")
            }
            target = path
        }
        guard target.utf8.allSatisfy(Bytes.isTarget) else { throw .malformed("the target holds a forbidden byte") }
        if isLast, section.contentLength ?? 0 > 0 { throw .malformed("a Content-Length without content") }
        let head = RequestHead(
            method: HTTPMethod(rawValue: method), targetBytes: ByteBuffer(string: target), version: .http2,
            headers: try section.finishRequest(), bodyLength: section.bodyLength(isLast: isLast), keepAlive: true,
            expectsContinue: section.expectsContinue && !isLast, protocolName: pseudo.protocolName)
        return Announced(head: head, length: section.contentLength)
    }

    /// RFC 3986, section 3.1.
    private static func isScheme(_ text: String) -> Bool {
        guard let first = text.utf8.first, Bytes.lowercased(first) &- 0x61 < 26 else { return false }
        return text.utf8.allSatisfy { byte in
            Bytes.lowercased(byte) &- 0x61 < 26 || Bytes.isDigit(byte) || "+-.".utf8.contains(byte)
        }
    }

    /// Parses the head of a response.
    func response(_ list: HPACKHeaders, isLast: Bool, toHead: Bool) throws(Fault) -> Announced<ResponseHead> {
        var section = ReceivedSection(limits: limits)
        try section.read(list, isTrailer: false)
        guard let text = section.pseudo.status, text.utf8.count == 3, let code = Int(text), (100...999).contains(code),
            section.pseudo.method == nil, section.pseudo.path == nil, section.pseudo.scheme == nil,
            section.pseudo.authority == nil, section.pseudo.protocolName == nil
        else { throw .malformed("no valid :status") }
        guard code != 101 else { throw .malformed("a 101, which HTTP/2 does not have") }
        let status = HTTPStatus(code)
        if isLast {
            guard !status.isInformational else { throw .malformed("an interim response that ends the stream") }
            guard section.contentLength ?? 0 == 0 || toHead || status.forbidsBody else {
                throw .malformed("a Content-Length without content")
            }
        }
        let head = ResponseHead(
            status: status, reason: status.reason, version: .http2, headers: section.headers,
            bodyLength: section.bodyLength(isLast: isLast))
        return Announced(head: head, length: toHead || status.forbidsBody ? 0 : section.contentLength)
    }

    /// Parses a trailer section.
    func trailers(_ list: HPACKHeaders) throws(Fault) -> Headers {
        var section = ReceivedSection(limits: limits)
        try section.read(list, isTrailer: true)
        return section.headers
    }
}

/// The fields of one block, during the checks.
private struct ReceivedSection {
    let limits: HTTP2Limits
    var headers = Headers()
    var pseudo = FieldBlockDecoder.PseudoFields()
    var contentLength: Int?
    var expectsContinue = false
    private var cookie: String?

    init(limits: HTTP2Limits) { self.limits = limits }

    mutating func read(_ list: HPACKHeaders, isTrailer: Bool) throws(FieldBlockDecoder.Fault) {
        var size = 0
        var count = 0
        for (name, value, _) in list {
            size += name.utf8.count + value.utf8.count + 32
            count += 1
            guard size <= limits.headerList, count <= limits.fieldCount else { throw .tooLarge }
            guard name.utf8.first != Bytes.colon else {
                guard !isTrailer, headers.isEmpty, cookie == nil, pseudo.take(name, value) else {
                    throw .malformed("a pseudo-field that is unknown, repeated, or after a regular field")
                }
                continue
            }
            try add(name, value, isTrailer: isTrailer)
        }
        // Cookie crumbs are joined to one field (RFC 9113, section 8.2.3).
        if let cookie { headers.add("cookie", cookie) }
        if let problem = headers.problem { throw .malformed("\(problem)") }
    }

    private mutating func add(_ name: String, _ value: String, isTrailer: Bool) throws(FieldBlockDecoder.Fault) {
        var name = name
        var value = value
        let hasUppercase = name.withUTF8 { $0.contains { $0 &- 0x41 < 26 } }
        let hasOuterBlank = value.withUTF8 { bytes in
            guard let first = bytes.first, let last = bytes.last else { return false }
            return first == Bytes.space || first == Bytes.tab || last == Bytes.space || last == Bytes.tab
        }
        guard !hasUppercase else { throw .malformed("a field name in upper case") }
        guard !hasOuterBlank else { throw .malformed("a field value with whitespace at its start or end") }
        if name == "cookie", !isTrailer {
            cookie = cookie.map { "\($0); \(value)" } ?? value
            return
        }
        let seenBefore = headers.known
        headers.add(name, value)
        if let problem = headers.problem { throw .malformed("\(problem)") }
        guard let kind = headers.fields.last?.known, !kind.isEmpty else { return }
        try check(kind, value, seenBefore: seenBefore.contains(kind), isTrailer: isTrailer)
    }

    private mutating func check(
        _ kind: KnownFields, _ value: String, seenBefore: Bool, isTrailer: Bool
    ) throws(FieldBlockDecoder.Fault) {
        if isTrailer, !kind.isDisjoint(with: .forbiddenInTrailers) {
            throw .malformed("a field that is not allowed in trailers")
        }
        switch kind {
        case .connection, .keepAlive, .proxyConnection, .transferEncoding, .upgrade:
            throw .malformed("a connection-specific field")
        case .te where value != "trailers": throw .malformed("a TE that is not \"trailers\"")
        case .contentLength:
            guard value.utf8.count <= 18, !value.isEmpty, value.utf8.allSatisfy(Bytes.isDigit),
                let length = Int(value), contentLength == nil || contentLength == length
            else { throw .malformed("a Content-Length that is not a number, or two that differ") }
            contentLength = length
        case .expect: expectsContinue = value.lowercased() == "100-continue"
        case .host where seenBefore: throw .malformed("more than one Host")
        default: break
        }
    }

    /// The fields of a request, with a Host field for HTTP/1.1 code.
    func finishRequest() throws(FieldBlockDecoder.Fault) -> Headers {
        let host = headers.known.contains(.host) ? headers["host"] : nil
        guard let authority = pseudo.authority else {
            guard let host else { throw .malformed("neither :authority nor Host") }
            guard host.utf8.allSatisfy(Bytes.isHost) else { throw .malformed("an invalid Host") }
            return headers
        }
        guard !authority.isEmpty, authority.utf8.allSatisfy(Bytes.isHost) else {
            throw .malformed("an invalid :authority")
        }
        if let host {
            guard host.equalsIgnoringCase(authority) else {
                throw .malformed("a Host that is not the :authority")
            }
            return headers
        }
        var complete = headers
        complete.add("host", authority)
        return complete
    }

    func bodyLength(isLast: Bool) -> BodyLength {
        if isLast { return .none }
        if let contentLength, contentLength > 0 { return .known(contentLength) }
        return .streamed
    }
}
