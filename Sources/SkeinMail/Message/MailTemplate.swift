// Message templates (Mustache).

import Mustache
import SkeinCore

/// A subject, a text and HTML as Mustache templates: `{{name}}`, `{{#items}}…{{/items}}`.
///
///     let template = try MailTemplate(subject: "Order {{number}}", text: "Dear {{name}}, …", html: "<p>Dear {{name}}, …")
///     try template.fill(&message, with: ["number": 42, "name": "Ada"])
///
/// In HTML, values are escaped unless they are in triple braces; in text and subjects they are not.
public struct MailTemplate: Sendable {
    private let subject: MustacheTemplate?
    private let text: MustacheTemplate?
    private let html: MustacheTemplate?

    /// - Throws: code 701 with the position of an error in a template.
    public init(subject: String? = nil, text: String? = nil, html: String? = nil) throws(SkeinError) {
        self.subject = try Self.template(subject, "subject", isHTML: false)
        self.text = try Self.template(text, "text", isHTML: false)
        self.html = try Self.template(html, "HTML", isHTML: true)
    }

    private static func template(_ source: String?, _ name: String, isHTML: Bool) throws(SkeinError)
        -> MustacheTemplate?
    {
        guard let source else { return nil }
        do {
            return try MustacheTemplate(string: isHTML ? source : "{{% CONTENT_TYPE:TEXT}}" + source)
        } catch {
            throw SkeinError(.exception, because: "the template of the \(name) is malformed: \(error)", cause: error)
        }
    }

    /// Renders the subject, the text and the HTML of a message; parts without a template do not change.
    public func fill(_ message: inout MailMessage, with values: [String: any Sendable]) {
        if let subject { message.subject = subject.render(values) }
        if let text { message.text = text.render(values) }
        if let html { message.html = html.render(values) }
    }
}
