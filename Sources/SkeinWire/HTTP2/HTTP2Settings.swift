// The settings of a peer (RFC 9113, section 6.5), and the encoding of SETTINGS frames.

import NIOCore

/// The settings of a peer, with the RFC's initial values.
package struct HTTP2Settings: Equatable, Sendable {
    package var headerTableSize = 4096
    package var isPushEnabled = true
    /// The limit of streams for the other side; unlimited until it is announced.
    package var maximumConcurrentStreams = Int(UInt32.max)
    package var initialWindowSize = 65_535
    package var maximumFrameSize = 16_384
    package var maximumHeaderListSize = Int(UInt32.max)
    /// Whether CONNECT may carry `:protocol` (RFC 8441).
    package var allowsExtendedConnect = false

    package init() {}

    enum Parameter {
        static let headerTableSize: UInt16 = 1
        static let enablePush: UInt16 = 2
        static let maximumConcurrentStreams: UInt16 = 3
        static let initialWindowSize: UInt16 = 4
        static let maximumFrameSize: UInt16 = 5
        static let maximumHeaderListSize: UInt16 = 6
        static let enableConnectProtocol: UInt16 = 8
        static let noRFC7540Priorities: UInt16 = 9
    }

    /// Applies the parameters of a frame's payload, in order; unknown ones are ignored.
    mutating func apply(_ payload: ByteBuffer, from role: HTTP2Role) throws(HTTP2Error) {
        guard payload.readableBytes.isMultiple(of: 6) else {
            throw HTTP2Error(.frameSizeError, "a SETTINGS frame is not a multiple of six bytes")
        }
        var payload = payload
        while let (parameter, number) = payload.readMultipleIntegers(as: (UInt16, UInt32).self) {
            let value = Int(number)
            switch parameter {
            case Parameter.headerTableSize: headerTableSize = value
            case Parameter.enablePush:
                guard value <= 1, role == .client || value == 0 else {
                    throw HTTP2Error(.protocolError, "SETTINGS_ENABLE_PUSH is \(value)")
                }
                isPushEnabled = value == 1
            case Parameter.maximumConcurrentStreams: maximumConcurrentStreams = value
            case Parameter.initialWindowSize:
                guard value <= FlowWindow.maximum else {
                    throw HTTP2Error(.flowControlError, "SETTINGS_INITIAL_WINDOW_SIZE is \(value)")
                }
                initialWindowSize = value
            case Parameter.maximumFrameSize:
                guard (16_384...16_777_215).contains(value) else {
                    throw HTTP2Error(.protocolError, "SETTINGS_MAX_FRAME_SIZE is \(value)")
                }
                maximumFrameSize = value
            case Parameter.maximumHeaderListSize: maximumHeaderListSize = value
            case Parameter.enableConnectProtocol:
                guard value <= 1, value == 1 || !allowsExtendedConnect else {
                    throw HTTP2Error(.protocolError, "SETTINGS_ENABLE_CONNECT_PROTOCOL is \(value)")
                }
                allowsExtendedConnect = value == 1
            default: break
            }
        }
    }

    /// The payload of a SETTINGS frame with the given parameters.
    static func payload(_ parameters: [(UInt16, Int)]) -> ByteBuffer {
        var buffer = ByteBuffer()
        for (parameter, value) in parameters {
            buffer.writeMultipleIntegers(parameter, UInt32(clamping: value))
        }
        return buffer
    }
}

/// The side of a connection.
package enum HTTP2Role: Sendable {
    case client
    case server
}

/// The arithmetic of flow control (RFC 9113, section 6.9): signed, because a change of settings may make a window negative.
struct FlowWindow {
    static let maximum = Int(Int32.max)

    private(set) var size: Int

    init(_ size: Int) { self.size = size }

    /// Grows, by a WINDOW_UPDATE or a change of settings. Returns false on overflow.
    mutating func grow(_ increment: Int) -> Bool {
        guard size + increment <= Self.maximum else { return false }
        size += increment
        return true
    }

    /// Subtracts bytes that were sent or received.
    mutating func take(_ bytes: Int) { size -= bytes }
}
