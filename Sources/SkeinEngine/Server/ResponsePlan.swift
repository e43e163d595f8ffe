// What is sent of a handler's answer, decided once for every version of HTTP.

import SkeinHTTP
import SkeinWire

/// How an answer goes out.
struct ResponsePlan {
    /// What the head says about the content (RFC 9110, section 8.6).
    enum Announcement: Equatable {
        /// Nothing: 1xx, 204, 304.
        case nothing
        case length(Int)
        /// The content tells where it ends.
        case open
        /// There is none, and trailers follow.
        case trailers
    }

    /// What follows the head.
    enum Content {
        case nothing
        case bytes(ByteBuffer)
        case stream(length: Int?, @Sendable () -> AsyncThrowingChunks)
    }

    let announcement: Announcement
    let content: Content
    /// What follows the content, if anything may.
    let trailers: Headers?

    /// The plan for an answer.
    /// - Parameter method: of the request; HEAD has the head of GET and nothing behind it (RFC 9110, section 9.3.2).
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

    /// Whether nothing at all follows the head.
    var isHeadAlone: Bool { if case .nothing = content { trailers == nil } else { false } }
}
