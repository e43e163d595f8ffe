// The MIME structure of a message (RFC 2045, RFC 2046), written piece by piece.

import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Receives the bytes of a message piece by piece.
typealias MIMEOutput = (UnsafeRawBufferPointer) throws(SkeinError) -> Void

/// A part of a message.
indirect enum MIMEPart {
    /// A text with lines that end with LF or CR LF.
    case text(type: String, parameters: [(String, String)], fields: String, [UInt8])
    /// A file in Base64.
    case file(MailAttachment, fields: String)
    /// A message in a message: its lines are not changed (RFC 2046, section 5.2.1).
    case message(type: String, parameters: [(String, String)], fields: String, [UInt8])
    case parts(kind: String, parameters: [(String, String)], boundary: String, [MIMEPart])

    /// The content fields.
    var head: String {
        switch self {
        case .text(let type, let parameters, let fields, let text):
            return HeaderText.parameters("Content-Type", type, parameters)
                + "Content-Transfer-Encoding: \(TransferEncoding(text: text).rawValue)\r\n\(fields)"
        case .file(let attachment, let fields):
            let (type, parameters) = Self.typeOfFile(attachment)
            return HeaderText.parameters("Content-Type", type, parameters)
                + "Content-Transfer-Encoding: base64\r\n\(fields)"
        case .message(let type, let parameters, let fields, _):
            return HeaderText.parameters("Content-Type", type, parameters) + fields
        case .parts(let kind, let parameters, let boundary, _):
            return HeaderText.parameters("Content-Type", "multipart/\(kind)", parameters + [("boundary", boundary)])
        }
    }

    private static func typeOfFile(_ attachment: MailAttachment) -> (String, [(String, String)]) {
        let (type, attributes) = MediaType.split(attachment.type)
        // Base64 text may have any charset, so the type guessed from the name gets no charset.
        let parameters = attributes.filter {
            !$0.key.equalsBytes("name") && $0.key.utf8.allSatisfy { Bytes.isToken($0) }
        }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        return (type, parameters)
    }

    /// Writes the body after the empty line.
    func writeBody(_ output: MIMEOutput) throws(SkeinError) {
        switch self {
        case .text(_, _, _, let text):
            let lines = TransferEncoding.lines(text)
            switch TransferEncoding(text: text) {
            case .sevenBit: try lines.give(to: output)
            case .quotedPrintable: try TransferEncoding.quoted(lines).give(to: output)
            case .base64:
                var encoder = Base64Lines()
                var encoded: [UInt8] = []
                lines.withUnsafeBytes { encoder.append($0, to: &encoded) }
                encoder.end(&encoded)
                try encoded.give(to: output)
            }
        case .file(let attachment, _): try Self.write(attachment.content, output)
        case .message(_, _, _, let bytes): try bytes.give(to: output)
        case .parts(_, _, let boundary, let parts):
            for part in parts {
                try Array("--\(boundary)\r\n\(part.head)\r\n".utf8).give(to: output)
                try part.writeBody(output)
                try Array("\r\n".utf8).give(to: output)
            }
            try Array("--\(boundary)--\r\n".utf8).give(to: output)
        }
    }

    private static func write(_ content: MailAttachment.Content, _ output: MIMEOutput) throws(SkeinError) {
        var encoder = Base64Lines()
        var encoded: [UInt8] = []
        switch content {
        case .bytes(let bytes): bytes.withUnsafeBytes { encoder.append($0, to: &encoded) }
        case .file(let path):
            let file = try MailFile(reading: path)
            let size = file.size
            var count = 0
            while let piece = try file.read(upTo: 57 << 10) {
                count += piece.count
                piece.withUnsafeBytes { encoder.append($0, to: &encoded) }
                try encoded.give(to: output)
                encoded.removeAll(keepingCapacity: true)
            }
            guard count == size, file.size == size else {
                throw SkeinError(.exception, peer: path, because: "the file changed while it was read")
            }
        }
        encoder.end(&encoded)
        try encoded.give(to: output)
    }
}

extension [UInt8] {
    /// Writes all bytes.
    func give(to output: MIMEOutput) throws(SkeinError) {
        var problem: SkeinError?
        withUnsafeBytes { bytes in
            do throws(SkeinError) { try output(bytes) } catch { problem = error }
        }
        if let problem { throw problem }
    }
}
