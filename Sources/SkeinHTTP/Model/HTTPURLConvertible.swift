// Types that are accepted as URLs.

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A string, a Foundation `URL`, or an ``HTTPURL``.
public protocol HTTPURLConvertible: Sendable {
    /// The URL as text, for messages.
    var urlText: String { get }
    /// The URL, with query parameters appended.
    /// - Throws: `SkeinError` with code 701 for a malformed one.
    func httpURL(parameters: Parameters) throws(SkeinError) -> HTTPURL
}

extension HTTPURLConvertible {
    /// The text, parsed.
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

    /// The URL itself if there are no parameters to append.
    public func httpURL(parameters: Parameters) throws(SkeinError) -> HTTPURL {
        parameters.isEmpty ? self : try HTTPURL(description, parameters: parameters)
    }
}
