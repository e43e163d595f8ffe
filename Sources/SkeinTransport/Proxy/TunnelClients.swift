// The handshakes by which a proxy opens a tunnel, without I/O.

import NIOCore
import SkeinCore

/// The client's side of a handshake.
protocol TunnelClient {
    /// The first message.
    mutating func begin() -> ByteBuffer
    /// Handles received bytes, as far as they are complete.
    /// - Throws: the reason why there is no tunnel.
    mutating func receive(_ buffer: inout ByteBuffer) throws(SkeinError) -> TunnelProgress
}

/// The step after received bytes.
enum TunnelProgress: Equatable {
    case wait
    case send(ByteBuffer)
    /// The tunnel is open: the rest of the bytes, and all following ones, come from the other end.
    case open
}

/// A tunnel by CONNECT (RFC 9110, section 9.3.6).
struct HTTPTunnelClient: TunnelClient {
    private static let limit = 16 << 10

    let proxy: Proxy
    let host: String
    let port: Int
    /// Bytes of the response that were searched for its end.
    private var searched = 0

    init(proxy: Proxy, host: String, port: Int) {
        self.proxy = proxy
        self.host = host
        self.port = port
    }

    func begin() -> ByteBuffer {
        let authority = host.containsBytes(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        let authorization = proxy.authorization.map { "Proxy-Authorization: \($0)\r\n" } ?? ""
        return ByteBuffer(string: "CONNECT \(authority) HTTP/1.1\r\nHost: \(authority)\r\n\(authorization)\r\n")
    }

    /// The length of the head, which ends with an empty line, once it has arrived.
    private mutating func headLength(_ buffer: ByteBuffer) -> Int? {
        let end = Array("\r\n\r\n".utf8)
        let found = buffer.withUnsafeReadableBytes { bytes in
            stride(from: searched, to: bytes.count - 3, by: 1).first { bytes[$0..<($0 + 4)].elementsEqual(end) }
        }
        searched = max(0, buffer.readableBytes - 3)
        return found.map { $0 + 4 }
    }

    mutating func receive(_ buffer: inout ByteBuffer) throws(SkeinError) -> TunnelProgress {
        func failure(_ code: SkeinError.Code, _ message: String) -> SkeinError {
            SkeinError(code, peer: "\(proxy)", because: message)
        }
        guard let length = headLength(buffer) else {
            guard buffer.readableBytes <= Self.limit else {
                throw failure(.responseHeaderError, "the proxy's response to CONNECT is too long")
            }
            return .wait
        }
        let head = buffer.readString(length: length) ?? ""
        let words = head.prefix(before: "\r").splitBytes(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[0].hasBytePrefix("HTTP/1."), let status = Int(words[1]) else {
            throw failure(.responseHeaderError, "the proxy's response to CONNECT is not HTTP/1.1")
        }
        switch status {
        case 200..<300: return .open
        case 407 where proxy.user == nil:
            throw failure(.unknownAuthentication, "the proxy requires a user and a password; write them into its URL")
        case 407:
            let isBasic = head.lowercased().containsBytes("proxy-authenticate: basic")
            throw failure(
                .unknownAuthentication,
                isBasic
                    ? "the proxy does not accept the user and the password"
                    : "the proxy requires an authentication scheme other than basic, which is not supported")
        default:
            throw failure(
                .connectionFailed,
                "the proxy opens no tunnel to \(host):\(port) (\(words[1...].joined(separator: " ")))")
        }
    }
}

/// A tunnel by SOCKS (RFC 1928, RFC 1929).
struct SOCKS5Client: TunnelClient {
    private enum State {
        case method
        case authentication
        case reply
    }

    let proxy: Proxy
    let host: String
    let port: Int
    private var state = State.method

    init(proxy: Proxy, host: String, port: Int) {
        self.proxy = proxy
        self.host = host
        self.port = port
    }

    func begin() -> ByteBuffer { ByteBuffer(bytes: proxy.user == nil ? [5, 1, 0] : [5, 2, 0, 2]) }

    mutating func receive(_ buffer: inout ByteBuffer) throws(SkeinError) -> TunnelProgress {
        switch state {
        case .method:
            guard let (version, method) = buffer.readMultipleIntegers(as: (UInt8, UInt8).self) else { return .wait }
            guard version == 5 else { throw failure(.connectionFailed, "the proxy does not speak SOCKS 5") }
            switch method {
            case 0:
                state = .reply
                return .send(request)
            case 2 where proxy.user != nil:
                state = .authentication
                return .send(credentials)
            default:
                throw failure(
                    .unknownAuthentication,
                    proxy.user == nil
                        ? "the proxy requires a user and a password; write them into its URL"
                        : "the proxy requires an authentication method that is not supported")
            }
        case .authentication:
            guard let (_, status) = buffer.readMultipleIntegers(as: (UInt8, UInt8).self) else { return .wait }
            guard status == 0 else {
                throw failure(.unknownAuthentication, "the proxy does not accept the user and the password")
            }
            state = .reply
            return .send(request)
        case .reply: return try reply(&buffer)
        }
    }

    private var credentials: ByteBuffer {
        var buffer = ByteBuffer(bytes: [1])
        for text in [proxy.user ?? "", proxy.password ?? ""] {
            buffer.writeInteger(UInt8(text.utf8.count))
            buffer.writeString(text)
        }
        return buffer
    }

    private var request: ByteBuffer {
        var buffer = ByteBuffer(bytes: [5, 1, 0])
        if let address = IPAddress.bytes(host) {
            buffer.writeInteger(UInt8(address.count == 4 ? 1 : 4))
            buffer.writeBytes(address)
        } else {
            buffer.writeBytes([3, UInt8(clamping: host.utf8.count)])  // 255 at most, which was checked before
            buffer.writeBytes(host.utf8.prefix(255))
        }
        buffer.writeInteger(UInt16(port))
        return buffer
    }

    private func reply(_ buffer: inout ByteBuffer) throws(SkeinError) -> TunnelProgress {
        let start = buffer.readerIndex
        guard
            let (version, code, _, kind) = buffer.getMultipleIntegers(at: start, as: (UInt8, UInt8, UInt8, UInt8).self)
        else { return .wait }
        guard version == 5 else { throw failure(.connectionFailed, "the proxy does not speak SOCKS 5") }
        guard code == 0 else {
            let reason = code < Self.reasons.count ? Self.reasons[Int(code)] : "reply \(code)"
            throw failure(.connectionFailed, "the proxy opens no tunnel to \(host):\(port) (\(reason))")
        }
        let length: Int
        switch kind {
        case 1: length = 4
        case 4: length = 16
        case 3:
            guard let count = buffer.getInteger(at: start + 4, as: UInt8.self) else { return .wait }
            length = Int(count) + 1
        default: throw failure(.connectionFailed, "the proxy's reply is malformed")
        }
        guard buffer.readableBytes >= 4 + length + 2 else { return .wait }
        buffer.moveReaderIndex(forwardBy: 4 + length + 2)
        return .open
    }

    private static let reasons = [
        "", "general failure", "not allowed", "network unreachable", "host unreachable", "connection refused",
        "time to live expired", "command not supported", "address type not supported",
    ]

    private func failure(_ code: SkeinError.Code, _ message: String) -> SkeinError {
        SkeinError(code, peer: "\(proxy)", because: message)
    }
}
