// The messages of a PostgreSQL server (protocol 3.0, "Message Formats").

import NIOCore
import SkeinSQL

/// A column description from the server.
struct PostgresColumn: Equatable, Sendable {
    let name: String
    let type: UInt32
}

/// A message from the server.
enum PostgresMessage: Equatable {
    case authenticationOK
    case authenticationCleartext
    case authenticationMD5(salt: [UInt8])
    case authenticationSASL([String])
    case authenticationSASLContinue(String)
    case authenticationSASLFinal(String)
    case authenticationUnsupported(UInt32)
    case backendKey(process: UInt32, secret: UInt32)
    case parameterStatus(String, String)
    case negotiateProtocolVersion
    case ready(PostgresTransactionStatus)

    case parseComplete
    case bindComplete
    case closeComplete
    case noData
    case parameterDescription([UInt32])
    case rowDescription([PostgresColumn])
    /// The cells, one after the other, each with its length.
    case dataRow(ByteBuffer)
    case commandComplete(PostgresTag)
    case emptyQuery
    case portalSuspended

    case copyIn
    case copyOut
    case copyBoth
    case copyData(ByteBuffer)
    case copyDone

    case error(SQLError)
    case notice(SQLError)
    case notification(PostgresNotification)
}

/// The transaction status of the connection.
enum PostgresTransactionStatus: UInt8 {
    case idle = 0x49  // I
    case inTransaction = 0x54  // T
    case failed = 0x45  // E
}

/// The kind of a statement and the number of its rows: `INSERT 0 5`.
struct PostgresTag: Equatable {
    let command: String
    let rows: Int
}

/// A notification sent by NOTIFY.
public struct PostgresNotification: Hashable, Sendable {
    /// The channel.
    public let channel: String
    /// The payload.
    public let payload: String
    /// The server process ID of the sender's session.
    public let process: UInt32
}

/// A protocol error.
enum PostgresProtocolError: Error, Equatable, CustomStringConvertible {
    case unknownMessage(UInt8)
    case badLength(Int, message: UInt8)
    case tooLong(Int, limit: Int)
    case malformed(message: UInt8)
    case unexpected(String)

    var description: String {
        switch self {
        case .unknownMessage(let type): "the server sent a message of unknown type \(type)"
        case .badLength(let length, let type): "a message of type \(type) cannot be \(length) bytes long"
        case .tooLong(let length, let limit):
            "a message of \(length) bytes is longer than the limit of \(limit); raise maximumMessageSize for larger cells"
        case .malformed(let type): "a message of type \(type) is malformed"
        case .unexpected(let what): what
        }
    }
}
