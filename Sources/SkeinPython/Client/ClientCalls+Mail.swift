// Mail sent by Python apps.

import CSkeinPython
import SkeinCore
import SkeinHTTP
import SkeinMail

extension ClientCalls {
    /// `_mail(current, [subject, from, to, cc, bcc, reply_to, text, html, headers, files, relay, key, delay, lifetime, priority])`
    static let mail: PythonFunction = { _, arguments, count in
        guard count == 2, let arguments, let (client, shard) = client(arguments[0]),
            case .list(let values)? = PythonValue(arguments[1]), values.count == 15
        else {
            return PyErr_Occurred() == nil
                ? Python.raise(skein_python.PyExc_TypeError, "a message must consist of str and bytes") : nil
        }
        var message = MailMessage(
            from: MailAddress(values[1].string ?? ""), to: values[2].addresses, subject: values[0].string ?? "")
        message.cc = values[3].addresses
        message.bcc = values[4].addresses
        message.replyTo = values[5].addresses
        message.text = values[6].string
        message.html = values[7].string
        message.headers = values[8].elements.map { ($0.elements.first?.string ?? "", $0.elements.last?.string ?? "") }
        for file in values[9].elements.map(\.elements) where file.count == 4 {
            let content: MailAttachment.Content
            switch file[0] {
            case .bytes(let bytes): content = .bytes(Array(bytes.readableBytesView))
            case .text(let path): content = .file(path)
            default: continue
            }
            message.attachments.append(
                MailAttachment(content, name: file[1].string ?? "", type: file[2].string, contentID: file[3].string))
        }
        var options = MailSpool.Options()
        options.relay = values[10].string
        options.key = values[11].string
        if case .double(let seconds) = values[12], seconds >= 0, seconds < 1e8 { options.delay = .seconds(seconds) }
        if case .double(let seconds) = values[13], seconds > 0, seconds < 1e8 { options.lifetime = .seconds(seconds) }
        switch values[14].string {
        case "high": message.priority = .high
        case "low": message.priority = .low
        default: break
        }
        let (whole, settings) = (message, options)
        return started(
            ClientTask.start(on: shard) {
                let response = await client.mail(whole, settings).dispatch()
                var result = ClientResult(
                    code: response.statusCode, reason: response.failure?.message ?? response.reason)
                result.isFailure = response.failure != nil
                result.content = response.content.map { .text("\($0)") } ?? .none
                return result
            })
    }
}

extension PythonValue {
    fileprivate var string: String? { if case .text(let text) = self { text } else { nil } }
    fileprivate var elements: [PythonValue] { if case .list(let elements) = self { elements } else { [] } }
    fileprivate var addresses: [MailAddress] { elements.flatMap { MailAddress.list($0.string ?? "") } }
}
