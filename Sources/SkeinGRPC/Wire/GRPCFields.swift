// Converts between header fields and gRPC's metadata, status and errors ("gRPC over HTTP2", Responses).

import GRPCCore
import SkeinCore
import SkeinWire

extension Metadata {
    /// The metadata of the application, without the protocol's fields.
    init(_ headers: Headers) {
        self.init()
        for field in headers {
            let name = field.name.lowercased()
            switch name {
            case "content-type", "te", "host", "grpc-encoding", "grpc-accept-encoding", "grpc-status", "grpc-message",
                "content-length", "date":
                continue
            default:
                // One field may hold several base64 values.
                guard name.hasByteSuffix("-bin") else {
                    addString(field.value, forKey: name)
                    continue
                }
                for value in field.value.splitBytes(separator: ",") {
                    addString(String(Substring(value.utf8.drop { $0 == 0x20 })), forKey: name)
                }
            }
        }
    }
}

extension Headers {
    /// Adds metadata of the application. Names of the protocol are skipped.
    mutating func add(_ metadata: Metadata) {
        for (key, value) in metadata { add(key, value.encoded()) }
    }

    /// The trailers that end a call.
    init(_ status: Status, _ metadata: Metadata) {
        self.init()
        add("grpc-status", String(status.code.rawValue))
        if !status.message.isEmpty { add("grpc-message", GRPCMessageText.encode(status.message)) }
        add(metadata)
    }

    /// The status in a header section, if there is one.
    var grpcStatus: Status? {
        guard let text = self["grpc-status"] else { return nil }
        let message = GRPCMessageText.decode(self["grpc-message"] ?? "")
        guard let number = Int(text), let code = Status.Code(rawValue: number) else {
            return Status(code: .unknown, message: "the status is \(text.debugDescription): \(message)")
        }
        return Status(code: code, message: message)
    }
}

/// Percent-encoding of a status message: everything but visible ASCII and spaces, and the percent sign itself.
enum GRPCMessageText {
    static func encode(_ text: String) -> String {
        Percent.encode(text) { (0x20...0x7E).contains($0) && $0 != UInt8(ascii: "%") }
    }

    /// Invalid encodings are left unchanged.
    static func decode(_ text: String) -> String { String(decoding: Percent.lenientBytes(text), as: UTF8.self) }
}

extension RPCError {
    /// The error for a stream or connection that ended early.
    init(_ error: any Error) {
        switch error {
        case let error as RPCError: self = error
        case let reset as HTTP2Engine.StreamReset:
            let code: RPCError.Code =
                switch reset.code {
                case _ where reset.isUnprocessed: .unavailable
                case .refusedStream: .unavailable
                case .cancel: .cancelled
                case .enhanceYourCalm: .resourceExhausted
                case .inadequateSecurity: .permissionDenied
                default: .internalError
                }
            self.init(code: code, message: "the peer reset the stream (\(reset.code)) \(reset.reason)")
        case let error as SkeinError:
            let code: RPCError.Code =
                switch error.code {
                case .timeout: .deadlineExceeded
                case .exception: .internalError
                case .cancelled: .cancelled
                default: .unavailable
                }
            self.init(code: code, message: "\(error)", cause: error)
        case is CancellationError: self.init(code: .cancelled, message: "the call was cancelled")
        default: self.init(code: .unavailable, message: "the connection failed: \(error)", cause: error)
        }
    }
}

extension RPCError.Code {
    /// The HTTP status that gRPC's gateways use for it.
    package var httpStatus: Int {
        switch self {
        case .cancelled: 499
        case .invalidArgument, .failedPrecondition, .outOfRange: 400
        case .deadlineExceeded: 504
        case .notFound: 404
        case .alreadyExists, .aborted: 409
        case .permissionDenied: 403
        case .unauthenticated: 401
        case .resourceExhausted: 429
        case .unimplemented: 501
        case .unavailable: 503
        default: 500
        }
    }
}
