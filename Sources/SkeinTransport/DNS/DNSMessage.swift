// DNS messages (RFC 1035, section 4), without I/O.

import NIOCore

/// The type of a record.
package struct DNSRecordType: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let a = DNSRecordType(rawValue: 1)
    package static let cname = DNSRecordType(rawValue: 5)
    package static let soa = DNSRecordType(rawValue: 6)
    package static let mx = DNSRecordType(rawValue: 15)
    package static let txt = DNSRecordType(rawValue: 16)
    package static let aaaa = DNSRecordType(rawValue: 28)
    package static let srv = DNSRecordType(rawValue: 33)
    static let opt = DNSRecordType(rawValue: 41)
}

/// A question.
package struct DNSQuestion: Hashable, Sendable {
    package let name: DNSName
    package let type: DNSRecordType

    package init(_ name: DNSName, _ type: DNSRecordType) {
        self.name = name
        self.type = type
    }
}

/// A record of a response, of the supported types.
package struct DNSRecord: Hashable, Sendable {
    package enum Content: Hashable, Sendable {
        /// The bytes of an IPv4 or IPv6 address.
        case address([UInt8])
        case alias(DNSName)
        /// The time to live of a negative response (RFC 2308).
        case authority(minimum: Int)
        /// A mail server (RFC 5321, section 5.1); nil for the root, which means that there is none (RFC 7505).
        case exchange(preference: Int, DNSName?)
        /// An instance of a service (RFC 2782); the name is nil for the root, which says that the service is not available.
        case service(priority: Int, weight: Int, port: Int, DNSName?)
        /// The bytes of a text, its parts joined.
        case text([UInt8])
        case other
    }

    package let name: DNSName
    package let timeToLive: Int
    package let content: Content
}

/// A response.
package struct DNSResponse: Sendable {
    /// The response code (RFC 1035, section 4.1.1).
    package enum Code: Equatable, Sendable {
        case noError
        case formatError
        case noSuchName
        /// The server cannot or will not respond.
        case failure(UInt8)
    }

    private static let recordLimit = 512

    package let id: UInt16
    package let code: Code
    package let isTruncated: Bool
    package let question: DNSQuestion?
    package let answers: [DNSRecord]
    package let authorities: [DNSRecord]

    /// Parses a message.
    package init(_ message: ByteBuffer) throws(DNSError) {
        var buffer = message
        guard let (id, flags, questions) = buffer.readMultipleIntegers(as: (UInt16, UInt16, UInt16).self),
            let (answers, authorities, _) = buffer.readMultipleIntegers(as: (UInt16, UInt16, UInt16).self)
        else { throw .truncatedMessage }
        guard flags & 0x8000 != 0 else { throw .notAResponse }
        self.id = id
        isTruncated = flags & 0x0200 != 0
        code =
            switch flags & 0xF {
            case 0: .noError
            case 1: .formatError
            case 3: .noSuchName
            default: .failure(UInt8(flags & 0xF))
            }
        guard questions <= 1 else { throw .tooManyRecords }
        if questions == 1 {
            let name = try DNSName(from: &buffer, message: message)
            guard let (type, _) = buffer.readMultipleIntegers(as: (UInt16, UInt16).self) else {
                throw .truncatedMessage
            }
            question = DNSQuestion(name, DNSRecordType(rawValue: type))
        } else {
            question = nil
        }
        guard Int(answers) + Int(authorities) <= Self.recordLimit else { throw .tooManyRecords }
        // A truncated message may end anywhere; the query is repeated over TCP in any case.
        if isTruncated {
            (self.answers, self.authorities) = ([], [])
        } else {
            self.answers = try Self.records(Int(answers), &buffer, message)
            self.authorities = try Self.records(Int(authorities), &buffer, message)
        }
    }

    private static func records(
        _ count: Int, _ buffer: inout ByteBuffer, _ message: ByteBuffer
    ) throws(DNSError) -> [DNSRecord] {
        var records: [DNSRecord] = []
        for _ in 0..<count {
            let name = try DNSName(from: &buffer, message: message)
            guard let (type, _, time, length) = buffer.readMultipleIntegers(as: (UInt16, UInt16, UInt32, UInt16).self),
                buffer.readableBytes >= Int(length)
            else { throw .truncatedMessage }
            var data = buffer  // not a slice: names in it point into the message
            data.moveWriterIndex(to: buffer.readerIndex + Int(length))
            buffer.moveReaderIndex(forwardBy: Int(length))
            let content: DNSRecord.Content
            switch DNSRecordType(rawValue: type) {
            case .a where length == 4, .aaaa where length == 16: content = .address(Array(data.readableBytesView))
            case .a, .aaaa: throw .malformedRecord
            case .cname: content = .alias(try DNSName(from: &data, message: message))
            case .soa:
                _ = try DNSName(from: &data, message: message)
                _ = try DNSName(from: &data, message: message)
                data.moveReaderIndex(forwardBy: min(16, data.readableBytes))
                guard let minimum = data.readInteger(as: UInt32.self) else { throw .malformedRecord }
                content = .authority(minimum: Int(minimum))
            case .mx: content = (try? exchange(&data, message)) ?? .other
            case .srv: content = (try? service(&data, message)) ?? .other
            case .txt: content = text(&data) ?? .other
            default: content = .other
            }
            // A time to live with the top bit set counts as zero (RFC 2181, section 8).
            records.append(DNSRecord(name: name, timeToLive: time > 0x7FFF_FFFF ? 0 : Int(time), content: content))
        }
        return records
    }

    private static func exchange(_ data: inout ByteBuffer, _ message: ByteBuffer) throws(DNSError) -> DNSRecord.Content
    {
        guard let preference = data.readInteger(as: UInt16.self) else { throw .malformedRecord }
        let isRoot = data.readableBytesView.first == 0
        return .exchange(preference: Int(preference), isRoot ? nil : try DNSName(from: &data, message: message))
    }

    private static func service(_ data: inout ByteBuffer, _ message: ByteBuffer) throws(DNSError) -> DNSRecord.Content {
        guard let (priority, weight, port) = data.readMultipleIntegers(as: (UInt16, UInt16, UInt16).self) else {
            throw .malformedRecord
        }
        let isRoot = data.readableBytesView.first == 0
        return .service(
            priority: Int(priority), weight: Int(weight), port: Int(port),
            isRoot ? nil : try DNSName(from: &data, message: message))
    }

    private static func text(_ data: inout ByteBuffer) -> DNSRecord.Content? {
        var text: [UInt8] = []
        while let count = data.readInteger(as: UInt8.self) {
            guard let part = data.readBytes(length: Int(count)) else { return nil }
            text += part
        }
        return .text(text)
    }

    /// The result for a question, with aliases followed.
    package enum Answer: Equatable {
        case records([DNSRecord.Content], timeToLive: Int)
        /// The name is an alias, and the message does not contain the records of its target.
        case alias(DNSName, timeToLive: Int)
        case nothing(timeToLive: Int?)
    }

    /// Follows the aliases from the question's name to the records (RFC 1034, section 3.6.2).
    package func answer(to question: DNSQuestion) -> Answer {
        var name = question.name
        var time = Int.max
        for _ in 0...answers.count {
            var found: [DNSRecord.Content] = []
            var alias: DNSName?
            for record in answers where record.name == name {
                if case .alias(let target) = record.content {
                    alias = target
                } else if record.content.answers(question.type) {
                    found.append(record.content)
                } else {
                    continue
                }
                time = min(time, record.timeToLive)
            }
            if !found.isEmpty { return .records(found, timeToLive: time) }
            guard let alias else { break }
            name = alias
        }
        if name != question.name, code == .noError { return .alias(name, timeToLive: time) }
        let authority = authorities.compactMap { record -> Int? in
            guard case .authority(let minimum) = record.content else { return nil }
            return min(minimum, record.timeToLive)
        }.first
        return .nothing(timeToLive: authority)
    }
}

extension DNSRecord.Content {
    /// Whether it has the type of a question.
    fileprivate func answers(_ type: DNSRecordType) -> Bool {
        switch self {
        case .address(let bytes): type == .a && bytes.count == 4 || type == .aaaa && bytes.count == 16
        case .exchange: type == .mx
        case .service: type == .srv
        case .text: type == .txt
        case .alias, .authority, .other: false
        }
    }
}

extension DNSQuestion {
    /// The question as a message.
    /// - Parameter extended: whether to announce support for responses of up to 1232 bytes over UDP (EDNS(0), RFC
    ///   6891).
    package func message(id: UInt16, extended: Bool) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeMultipleIntegers(id, UInt16(0x0100), UInt16(1), UInt16(0), UInt16(0), UInt16(extended ? 1 : 0))
        name.write(to: &buffer)
        buffer.writeMultipleIntegers(type.rawValue, UInt16(1))
        if extended {
            buffer.writeMultipleIntegers(
                UInt8(0), DNSRecordType.opt.rawValue, UInt16(1232), UInt32(0), UInt16(0))
        }
        return buffer
    }
}
