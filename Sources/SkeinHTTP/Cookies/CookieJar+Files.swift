// A jar as a file: in Netscape's format, which curl, wget and Python read, or in JSON with all attributes.

import SkeinCore
import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension CookieJar {
    /// The format of a cookie file.
    public enum Format: Sendable {
        /// One cookie per line, as curl's `cookies.txt`.
        case netscape
        /// An array of objects.
        case json
    }

    /// A jar with the cookies of a file in either format. Cookies that no server could have set (rules of the prefixes
    /// `__Host-` and `__Secure-`, public suffixes) are left out.
    /// - Throws: code 701 when the file cannot be read or has neither format.
    public convenience init(file path: String, publicSuffixes: PublicSuffixes = .system) throws(SkeinError) {
        let data: Data
        do {
            data = try Data(contentsOf: URL(filePath: path))
        } catch {
            throw SkeinError(.exception, peer: path, because: "the cookie file cannot be read", cause: error)
        }
        let first = data.first { $0 > 0x20 }
        let cookies: [Cookie]
        if first == UInt8(ascii: "[") {
            do {
                cookies = try JSONDecoder().decode([Cookie].self, from: data)
            } catch {
                throw SkeinError(.exception, peer: path, because: "the file holds no cookies: \(error)", cause: error)
            }
        } else {
            cookies = try Self.netscape(String(decoding: data, as: UTF8.self), path)
        }
        self.init(cookies.compactMap { Self.admit($0, publicSuffixes) }, publicSuffixes: publicSuffixes)
    }

    /// Writes the jar to a file, atomically, readable by its owner only.
    /// - Parameters:
    ///   - path: the file.
    ///   - format: the format. Default: Netscape's.
    ///   - sessionCookies: whether session cookies are written. Default: true, as curl does.
    /// - Throws: code 701 when it cannot be written, or a cookie cannot be expressed in Netscape's format.
    public func save(
        to path: String, format: Format = .netscape, sessionCookies: Bool = true
    ) throws(SkeinError) {
        let kept = cookies.filter { sessionCookies || $0.expires != nil }
        do {
            let data: Data
            switch format {
            case .netscape: data = Data(try Self.netscape(kept).utf8)
            case .json:
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
                data = try encoder.encode(kept)
            }
            try PrivateFile.write(data, to: path)
        } catch let error as SkeinError {
            throw SkeinError(.exception, peer: path, because: error.message)
        } catch {
            throw SkeinError(.exception, peer: path, because: "the cookies cannot be written: \(error)", cause: error)
        }
    }

    /// The end of the year 9999, in seconds.
    private static let latest = 253_402_300_799.0

    private static func netscape(_ cookies: [Cookie]) throws(SkeinError) -> String {
        var text = "# Netscape HTTP Cookie File\n"
        for cookie in cookies {
            let fields = [
                (cookie.isHTTPOnly ? "#HttpOnly_" : "") + (cookie.isHostOnly ? "" : ".") + cookie.domain,
                cookie.isHostOnly ? "FALSE" : "TRUE", cookie.path, cookie.isSecure ? "TRUE" : "FALSE",
                cookie.expires.map { String(Int(min($0.timeIntervalSince1970, latest))) } ?? "0", cookie.name,
                cookie.value,
            ]
            guard !fields.contains(where: { $0.utf8.contains { $0 < 0x20 || $0 == 0x7F } }) else {
                throw SkeinError(
                    .exception,
                    because:
                        "the cookie \(cookie.name.debugDescription) has a control character, which Netscape's format "
                        + "cannot hold; save the jar as JSON")
            }
            text += fields.joined(separator: "\t") + "\n"
        }
        return text
    }

    private static func netscape(_ text: String, _ path: String) throws(SkeinError) -> [Cookie] {
        var cookies: [Cookie] = []
        for (number, line) in text.lines().enumerated() {
            let isHTTPOnly = line.hasBytePrefix("#HttpOnly_")
            if line.hasBytePrefix("#"), !isHTTPOnly { continue }
            let parts = line.dropFirst(isHTTPOnly ? 10 : 0).splitBytes(
                separator: "\t", maxSplits: 6, omittingEmptySubsequences: false)
            guard parts.count >= 6, let end = Double(parts[4].isEmpty ? "0" : parts[4]), !end.isNaN else {
                throw SkeinError(
                    .exception, peer: path,
                    because: "line \(number + 1) is not a cookie; a cookie has seven fields separated by tabs")
            }
            let domain = parts[0].hasBytePrefix(".") ? parts[0].dropFirst() : parts[0]
            cookies.append(
                Cookie(
                    String(parts[5]), parts.count == 7 ? String(parts[6]) : "", domain: String(domain),
                    isHostOnly: parts[1].uppercased() != "TRUE", path: String(parts[2]),
                    expires: end > 0 ? Date(timeIntervalSince1970: min(end, latest)) : nil,
                    isSecure: parts[3].uppercased() == "TRUE", isHTTPOnly: isHTTPOnly))
        }
        return cookies
    }
}
