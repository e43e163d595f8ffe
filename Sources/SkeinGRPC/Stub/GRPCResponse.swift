// The answer to a call by name, in the shape that all answers have.

import GRPCCore
import Logging
import SkeinCore
import SwiftProtobuf

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The answer to a call, or the failure that stood in its way. A status of gRPC other than ok is one of HTTP's, by the mapping that
/// gRPC's gateways use.
public struct GRPCResponse<Answer: SwiftProtobuf.Message>: Response {
    /// What the caller attached.
    public let meta: RequestMetadata
    /// The name of what was called.
    public let method: String
    /// The origin that was asked.
    public let peer: String
    /// The session's logger.
    public let logger: Logger
    /// The answer; empty when there is none.
    public private(set) var content = Answer()
    /// What the server said behind its answer, or along with its error.
    public private(set) var trailers: Metadata = [:]
    /// The server's status, when it is not ok.
    public private(set) var error: RPCError?
    /// The failure below the call, if there was one.
    public private(set) var failure: SkeinError?

    init(meta: RequestMetadata, method: String, peer: String, logger: Logger) {
        self.meta = meta
        self.method = method
        self.peer = peer
        self.logger = logger
    }

    func answered(_ answer: Answer, _ trailers: Metadata) -> Self {
        var response = self
        response.content = answer
        response.trailers = trailers
        return response
    }

    func refused(_ error: RPCError) -> Self {
        if let cause = error.cause as? SkeinError { return failed(cause) }
        var response = self
        response.error = error
        response.trailers = error.metadata
        return response
    }

    func failed(_ failure: SkeinError) -> Self {
        var response = self
        response.failure = failure
        return response
    }

    /// 200, the status of HTTP that stands for the server's, or 700 to 722 for a failure.
    public var statusCode: Int { failure?.code.rawValue ?? error?.code.httpStatus ?? 200 }
    /// The status in words; those of an error.
    public var reason: String { failure?.code.name ?? error.map { "\($0.code): \($0.message)" } ?? "OK" }
    /// 299.
    public static var highestSuccess: Int { 299 }

    /// The answer as one of a type, by protobuf's JSON.
    /// - Throws: code 709 when it is none.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T {
        do {
            return try JSONDecoder().decode(type, from: try content.jsonUTF8Data())
        } catch {
            throw SkeinError(
                .invalidContent, peer: peer, because: "the answer is not a \(type): \(error)", cause: error)
        }
    }

    /// The answer as a list of one.
    public func decodeRecords<T: Decodable>(_ type: T.Type) throws -> [T] { [try decode(type)] }
}
