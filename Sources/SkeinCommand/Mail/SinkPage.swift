// The page of a sink that shows the received messages.

import NIOCore
import SkeinCore
import SkeinEngine
import SkeinMail
import SkeinTransport

/// The page of a sink.
struct SinkPage: Sendable {
    let store: SinkStore

    private struct Record: Encodable {
        let number: Int
        let time: String
        let sender: String
        let recipients: [String]
        let from, to, subject, text, html: String
        let attachments: [String]
        let bytes: Int

        init(_ entry: SinkStore.Entry) {
            let read = ReadMessage(entry.mail.content)
            number = entry.number
            time = MailTime.text(entry.mail.moment * 1000)
            sender = entry.mail.sender
            recipients = entry.mail.recipients
            (from, to, subject) = (read["from"], read["to"], read["subject"])
            text = read.text?.text ?? ""
            html = read.html?.text ?? ""
            attachments = read.parts.compactMap(\.name)
            bytes = entry.mail.content.count
        }
    }

    /// - Returns: the port.
    func serve(at address: (host: String, port: Int)) async throws -> Int {
        var configuration = ServerConfiguration(addresses: [.tcp(address.host, port: address.port)], threads: 1)
        configuration.logger = .silent
        let server = HTTPServer(configuration) { request in try respond(to: request) }
        guard case .tcp(_, let port)? = try await server.start().first else { return address.port }
        return port
    }

    private func respond(to request: ServerRequest) throws -> ServerResponse {
        // A foreign web page whose host name resolves to this machine (DNS rebinding) must not read mail.
        guard isOwnName(request.headers["Host"] ?? "localhost") else { throw ServerError(.forbidden) }
        let path = request.path.splitBytes(separator: "/").map(String.init)
        if request.method == .delete, path == ["messages"] {
            store.clear()
            return ServerResponse(.noContent)
        }
        guard request.method == .get || request.method == .head else {
            throw ServerError(.methodNotAllowed, headers: ["Allow": "GET, HEAD, DELETE"])
        }
        if path.isEmpty { return list() }
        guard path[0].equalsBytes("messages") else { throw ServerError(.notFound) }
        if path.count == 1 { return .json(store.entries.map(Record.init)) }
        let name = path[1]
        guard let number = Int(name.prefix(before: ".")), let entry = store.entry(number) else {
            throw ServerError(.notFound)
        }
        if name.hasByteSuffix(".eml") { return bytes(entry.mail.content, "message/rfc822", file: name) }
        if path.count == 2 { return show(entry) }
        let read = ReadMessage(entry.mail.content)
        if path[2].equalsBytes("html"), let html = read.html { return frame(html, read, number) }
        guard path.count == 4, path[2].equalsBytes("parts"), let place = Int(path[3]),
            read.parts.indices.contains(place)
        else {
            throw ServerError(.notFound)
        }
        let part = read.parts[place]
        // Anything but an image is only downloaded, never displayed, because it is untrusted.
        let isImage = ["image/png", "image/jpeg", "image/gif", "image/webp"].contains(part.type)
        return bytes(
            part.bytes, isImage ? part.type : "application/octet-stream",
            file: isImage ? nil : part.name ?? "part-\(place)")
    }

    /// Whether a host is an address, or a name of this machine.
    private func isOwnName(_ host: String) -> Bool {
        let name =
            host.lastByte("]").map { String(host[...$0].droppingBytes(first: 1, last: 1)) }
            ?? String(host.prefix(before: ":"))
        return IPAddress.bytes(name) != nil || name.equalsIgnoringCase("localhost")
            || name.equalsIgnoringCase(SystemName.host)
    }

    private func bytes(_ content: [UInt8], _ type: String, file: String?) -> ServerResponse {
        var response = ServerResponse(body: .bytes(ByteBuffer(bytes: content), contentType: type))
        response.headers = MailPages.headers
        if let file {
            let plain = file.utf8.map { Bytes.isToken($0) ? $0 : UInt8(ascii: "_") }
            response.headers["Content-Disposition"] =
                "attachment; filename=\"\(String(decoding: plain, as: UTF8.self))\""
        }
        return response
    }

    private func list() -> ServerResponse {
        let rows: [String] = store.entries.map { entry in
            let read = ReadMessage(entry.mail.content)
            let subject = read["subject"]
            return """
                <tr><td>\(MailTime.text(entry.mail.moment * 1000))</td><td>\(Markup.escape(read["from"]))</td>
                <td>\(Markup.escape(entry.mail.recipients.joined(separator: ", ")))</td>
                <td><a href="/messages/\(entry.number)">\(Markup.escape(subject.isEmpty ? "(no subject)" : subject))</a></td></tr>
                """
        }
        return page(
            "Mail",
            "<h1>Mail</h1><table><tr><th>Time (UTC)</th><th>From</th><th>Recipients</th><th>Subject</th></tr>\(rows.joined())</table>",
            refresh: true)
    }

    private func show(_ entry: SinkStore.Entry) -> ServerResponse {
        let read = ReadMessage(entry.mail.content)
        let fields = read.fields.map {
            "<tr><td>\(Markup.escape($0.name))</td><td>\(Markup.escape($0.value))</td></tr>"
        }.joined()
        var body = """
            <p><a href="/">All messages</a> · <a href="/messages/\(entry.number).eml">Source</a></p>
            <h1>\(Markup.escape(read["subject"]))</h1>
            <p>From \(Markup.escape(entry.mail.sender)) to \(Markup.escape(entry.mail.recipients.joined(separator: ", ")))</p>
            """
        if read.html != nil {
            body += "<iframe sandbox src=\"/messages/\(entry.number)/html\"></iframe>"
        }
        if let text = read.text { body += "<pre>\(Markup.escape(text.text))</pre>" }
        let files = read.parts.enumerated().filter { $0.element.name != nil }
        if !files.isEmpty {
            body += "<h2>Files</h2><ul>"
            for (place, part) in files {
                body +=
                    "<li><a href=\"/messages/\(entry.number)/parts/\(place)\">\(Markup.escape(part.name ?? ""))</a> \(Markup.escape(part.type)), \(part.bytes.count) bytes"
            }
            body += "</ul>"
        }
        return page(read["subject"], body + "<h2>Fields</h2><table>\(fields)</table>", refresh: false)
    }

    /// The HTML of a message for a frame: no scripts, no forms, and no external resources; only images from the message
    /// itself.
    private func frame(_ html: ReadMessage.Part, _ read: ReadMessage, _ number: Int) -> ServerResponse {
        var text = html.text
        for (place, part) in read.parts.enumerated() {
            guard let id = part.contentID, !id.isEmpty else { continue }
            text = text.replacingBytes("cid:\(id)", with: "/messages/\(number)/parts/\(place)")
        }
        var response = ServerResponse.html(text)
        response.headers = MailPages.headers
        response.headers["Content-Security-Policy"] =
            "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'self'"
        return response
    }

    private func page(_ title: String, _ body: String, refresh: Bool) -> ServerResponse {
        var response = ServerResponse.html(
            "<!doctype html><meta charset=\"utf-8\"><title>\(Markup.escape(title))</title><style>\(MailPages.style)</style>\(body)"
        )
        response.headers = MailPages.headers
        if refresh { response.headers["Refresh"] = "5" }
        return response
    }
}
