// What can stand where a URL is wanted.

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Text, a `URL` of Foundation, or an ``HTTPURL``.
public protocol HTTPURLConvertible: Sendable {
    /// The URL as text, for messages.
    var urlText: String { get }
    /// The URL, with query parameters appended.
    /// - Throws: `SkeinError` with code 701 for a malformed one.
    func httpURL(parameters: Parameters) throws(SkeinError) -> HTTPURL
}

extension HTTPURLConvertible {
    /// The text, taken apart.
    public func httpURL(parameters: Parameters) throws(SkeinError) -> HTTPURL {
        try HTTPURL(urlText, parameters: parameters)
    }
}

extension String: HTTPURLConvertible {
    /// The text itself.
    public var urlText: String { self }
}

extension Substring: HTTPURLConvertible {
    /// The text.
    public var urlText: String { String(self) }
}

extension URL: HTTPURLConvertible {
    /// The absolute URL as text.
    public var urlText: String { absoluteString }
}

extension HTTPURL: HTTPURLConvertible {
    /// The URL as text.
    public var urlText: String { description }

    /// The URL itself where nothing is appended.
    public func httpURL(parameters: Parameters) throws(SkeinError) -> HTTPURL {
        parameters.isEmpty ? self : try HTTPURL(description, parameters: parameters)
    }
}
