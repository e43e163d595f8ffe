// The framing of a handler's response, common to HTTP/1.1 and HTTP/2.

import NIOCore
import SkeinHTTP
import SkeinWire

/// The framing of a response.
struct ResponsePlan {
    /// The framing fields of the head (RFC 9110, section 8.6).
    enum Announcement: Equatable {
        /// Nothing: 1xx, 204, 304.
        case nothing
        case length(Int)
        /// The length is unknown; the framing delimits the content.
        case open
        /// No content, and trailers.
        case trailers
    }

    /// The content after the head.
    enum Content {
        case nothing
        case bytes(ByteBuffer)
        case stream(length: Int?, @Sendable () -> AsyncThrowingChunks)
    }

    let announcement: Announcement
    let content: Content
    /// The trailers that are sent; nil for none.
    let trailers: Headers?

    /// The plan for a response.
    /// - Parameter method: the request's method. A response to HEAD has the head of one to GET, and no content (RFC 9110, section 9.3.2).
    init(_ response: ServerResponse, to method: HTTPMethod) {
        let forbidsContent = response.status.forbidsBody
        let isHeadAlone = method == .head || forbidsContent
        trailers = isHeadAlone ? nil : response.trailers
        announcement =
            if forbidsContent {
                .nothing
            } else {
                switch response.body.length {
                case .none: response.trailers == nil ? .length(0) : .trailers
                case .known(let length): .length(length)
                case .streamed: .open
                }
            }
        content =
            switch response.body.content {
            case _ where isHeadAlone: .nothing
            case .none: .nothing
            case .bytes(let bytes): bytes.readableBytes == 0 ? .nothing : .bytes(bytes)
            case .stream(let length, _, let makeChunks): .stream(length: length, makeChunks)
            }
    }

    /// Whether neither content nor trailers follow the head.
    var isHeadAlone: Bool { if case .nothing = content { trailers == nil } else { false } }
}
