// The response to a call of a stub.

import GRPCCore
import Logging
import SkeinCore
import SwiftProtobuf

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The response to a call, or a failure. A gRPC status other than ok is mapped to an HTTP status, as in gRPC's
/// gateways.
public struct GRPCResponse<Answer: SwiftProtobuf.Message>: Response {
    /// The caller's metadata.
    public let meta: RequestMetadata
    /// The name of the method.
    public let method: String
    /// The origin of the server.
    public let peer: String
    /// The session's logger.
    public let logger: Logger
    /// The response message; empty when there is none.
    public private(set) var content = Answer()
    /// The server's trailing metadata, after the message or with an error.
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

    /// 200, the HTTP status for the server's error, or 700 to 722 for a failure.
    public var statusCode: Int { failure?.code.rawValue ?? error?.code.httpStatus ?? 200 }
    /// The server's error message, or the name of the failure.
    public var reason: String { failure?.code.name ?? error.map { "\($0.code): \($0.message)" } ?? "OK" }
    /// 299.
    public static var highestSuccess: Int { 299 }

    /// The message, decoded as a type through protobuf's JSON.
    /// - Throws: code 709 when it cannot be decoded.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T {
        do {
            return try JSONDecoder().decode(type, from: try content.jsonUTF8Data())
        } catch {
            throw SkeinError(
                .invalidContent, peer: peer, because: "the answer is not a \(type): \(error)", cause: error)
        }
    }

    /// The message as a list of one.
    public func decodeRecords<T: Decodable>(_ type: T.Type) throws -> [T] { [try decode(type)] }
}
