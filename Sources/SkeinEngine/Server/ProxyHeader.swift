// The PROXY protocol, versions 1 and 2, by which a load balancer states the client's address.

import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

/// The header of the PROXY protocol (HAProxy, "The PROXY protocol", versions 1 and 2), read from the start of a connection.
enum ProxyHeader {
    /// The longest line of version 1, including its end.
    private static let maximumLine = 107
    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

    /// The result of parsing the first bytes.
    enum Outcome: Equatable {
        /// The header is incomplete.
        case incomplete
        /// The client's address; nil for a connection of the balancer itself, or when it does not know the address.
        case client(SocketAddress?)
        case malformed
    }

    /// Consumes a header at the start of the bytes.
    static func read(_ bytes: inout ByteBuffer) -> Outcome {
        let view = bytes.readableBytesView
        if view.starts(with: signature.prefix(view.count)) {
            return view.count < 16 ? .incomplete : readBinary(&bytes)
        }
        guard view.starts(with: Array("PROXY ".utf8).prefix(view.count)) else { return .malformed }
        guard let end = view.prefix(maximumLine).firstIndex(of: Bytes.lf) else {
            return view.count < maximumLine ? .incomplete : .malformed
        }
        let line = String(decoding: view[view.startIndex..<end], as: UTF8.self)
        bytes.moveReaderIndex(to: end + 1)
        return readLine(line)
    }

    private static func readLine(_ line: String) -> Outcome {
        guard line.hasByteSuffix("\r") else { return .malformed }
        let words = line.dropLast().splitBytes(separator: " ", omittingEmptySubsequences: false)
        if words.count >= 2, words[1] == "UNKNOWN" { return .client(nil) }
        guard words.count == 6, words[1] == "TCP4" || words[1] == "TCP6",
            let address = IPAddress.bytes(String(words[2])), let local = IPAddress.bytes(String(words[3])),
            address.count == (words[1] == "TCP4" ? 4 : 16), local.count == address.count,
            let port = UInt16(words[4]), UInt16(words[5]) != nil
        else { return .malformed }
        return .client(IPAddress.socketAddress(address, port: Int(port)))
    }

    private static func readBinary(_ bytes: inout ByteBuffer) -> Outcome {
        let start = bytes.readerIndex
        guard let kind: UInt8 = bytes.getInteger(at: start + 12), let family: UInt8 = bytes.getInteger(at: start + 13),
            let length: UInt16 = bytes.getInteger(at: start + 14), kind >> 4 == 2, kind & 15 <= 1
        else { return .malformed }
        guard bytes.readableBytes >= 16 + Int(length) else { return length > 4096 ? .malformed : .incomplete }
        bytes.moveReaderIndex(forwardBy: 16)
        var rest = bytes.readSlice(length: Int(length)) ?? ByteBuffer()
        guard kind & 15 == 1 else { return .client(nil) }
        switch family >> 4 {
        case 1, 2:
            let size = family >> 4 == 1 ? 4 : 16
            guard let address = rest.readBytes(length: size), rest.readBytes(length: size) != nil,
                let port: UInt16 = rest.readInteger()
            else { return .malformed }
            return .client(IPAddress.socketAddress(address, port: Int(port)))
        default: return .client(nil)
        }
    }
}

/// The client was identified by a PROXY header.
struct ProxiedClient: Sendable {
    /// Nil for a connection of the balancer itself.
    let address: SocketAddress?
}

/// Reads the PROXY header of a connection, reports the client, and removes itself. ``ProxyHeader`` is the parser.
///
/// Unchecked: called on the loop of its channel only.
final class ProxyHeaderHandler: ChannelInboundHandler, RemovableChannelHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private var bytes = ByteBuffer()

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        bytes.absorb(unwrapInboundIn(data))
        switch ProxyHeader.read(&bytes) {
        case .incomplete: break
        case .malformed: context.close(promise: nil)
        case .client(let address):
            context.fireUserInboundEventTriggered(ProxiedClient(address: address))
            if bytes.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(bytes)) }
            context.fireChannelReadComplete()
            context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        }
    }
}
