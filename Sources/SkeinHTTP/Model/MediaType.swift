// The Content-Type field, and the charsets of text.

import NIOCore
import SkeinCore
import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Media types and their charsets (RFC 9110, section 8.3).
package enum MediaType {
    /// Splits `value; name=value; name="value"` at the semicolons outside of quotes.
    package static func split(_ field: String) -> (value: String, attributes: [String: String]) {
        var isQuoted = false
        var isEscaped = false
        let parts = field.utf8.split(omittingEmptySubsequences: false) { byte in
            if isEscaped {
                isEscaped = false
                return false
            }
            if byte == UInt8(ascii: "\\") { isEscaped = isQuoted }
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            return byte == UInt8(ascii: ";") && !isQuoted
        }.map { Substring($0) }
        var attributes: [String: String] = [:]
        for part in parts.dropFirst() {
            let pair = part.splitBytes(separator: "=", maxSplits: 1)
            guard pair.count == 2 else { continue }
            // The first parameter of a name counts, so that two parsers do not see two values.
            let name = pair[0].trimmingBlanks().asciiLowercased
            if attributes[name] == nil { attributes[name] = unquoted(pair[1].trimmingBlanks()) }
        }
        return (String(parts[0].trimmingBlanks()), attributes)
    }

    /// The text of a quoted string, or the text itself (RFC 9110, section 5.6.4). Browsers do not escape file names, so
    /// a backslash counts only before a quotation mark and before itself.
    static func unquoted(_ text: Substring) -> String {
        guard text.utf8.count >= 2, text.hasBytePrefix("\""), text.hasByteSuffix("\"") else { return String(text) }
        let inner = text.droppingBytes(first: 1, last: 1)
        return inner.containsByte("\\")
            ? inner.replacingBytes("\\\"", with: "\"").replacingBytes("\\\\", with: "\\") : String(inner)
    }

    /// Whether a type holds JSON: `application/json` or `…+json`.
    package static func isJSON(_ type: String) -> Bool {
        let type = type.lowercased()
        return type == "application/json" || type.hasByteSuffix("+json")
    }

    /// Whether a type, in lower case, is in a range such as `text/html`, `image/*` or `*/*`, whose parameters do not matter.
    static func matches(_ type: String, range: String) -> Bool {
        let range = split(range).value.lowercased()
        if range == "*/*" || range == type { return true }
        return range.hasByteSuffix("/*") && type.hasBytePrefix(range.dropLast())
    }

    /// The media type of a file by the extension of its name.
    package static func guess(_ path: String) -> String {
        let ending = path.lastByte(".").map { path[path.index(after: $0)...].lowercased() }
        return ending.flatMap { endings[$0] } ?? "application/octet-stream"
    }

    private static let endings: [String: String] = [
        "txt": "text/plain; charset=utf-8", "html": "text/html; charset=utf-8", "htm": "text/html; charset=utf-8",
        "css": "text/css; charset=utf-8", "csv": "text/csv; charset=utf-8", "md": "text/markdown; charset=utf-8",
        "js": "text/javascript; charset=utf-8", "mjs": "text/javascript; charset=utf-8", "json": "application/json",
        "xml": "application/xml", "pdf": "application/pdf", "zip": "application/zip", "gz": "application/gzip",
        "tar": "application/x-tar", "wasm": "application/wasm", "png": "image/png", "jpg": "image/jpeg",
        "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp", "svg": "image/svg+xml", "ico": "image/x-icon",
        "mp3": "audio/mpeg", "mp4": "video/mp4", "webm": "video/webm", "woff2": "font/woff2", "woff": "font/woff",
        "ttf": "font/ttf", "otf": "font/otf", "avif": "image/avif", "bmp": "image/bmp", "tif": "image/tiff",
        "tiff": "image/tiff", "ogg": "audio/ogg", "opus": "audio/ogg", "wav": "audio/wav", "flac": "audio/flac",
        "m4a": "audio/mp4", "aac": "audio/aac", "ogv": "video/ogg", "mov": "video/quicktime", "mkv": "video/x-matroska",
        "vtt": "text/vtt; charset=utf-8", "ics": "text/calendar; charset=utf-8", "map": "application/json",
        "jsonld": "application/ld+json", "webmanifest": "application/manifest+json", "atom": "application/atom+xml",
        "rss": "application/rss+xml", "xhtml": "application/xhtml+xml", "yaml": "application/yaml",
        "yml": "application/yaml", "toml": "application/toml", "sql": "application/sql", "rtf": "application/rtf",
        "epub": "application/epub+zip", "7z": "application/x-7z-compressed", "bz2": "application/x-bzip2",
        "xz": "application/x-xz", "zst": "application/zstd", "br": "application/octet-stream",
        "doc": "application/msword", "xls": "application/vnd.ms-excel", "ppt": "application/vnd.ms-powerpoint",
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "odt": "application/vnd.oasis.opendocument.text", "ods": "application/vnd.oasis.opendocument.spreadsheet",
    ]

    /// Decodes bytes to text by their content type.
    static func text(_ bytes: ByteBuffer, contentType: String?, peer: String) throws(SkeinError) -> String {
        let (type, attributes) = split(contentType ?? "")
        let lowered = type.lowercased()
        let charset: String
        if attributes["charset"] == nil, isText(lowered),
            let text = String(validating: bytes.readableBytesView, as: UTF8.self)
        {
            return withoutMark(text)
        }
        if let named = attributes["charset"] {
            charset = named.lowercased()
        } else if let marked = byteOrderMark(bytes) {
            charset = marked
        } else if isJSON(lowered) || lowered.hasByteSuffix("/xml") || lowered.hasByteSuffix("+xml") {
            charset = "utf-8"
        } else if isText(lowered) {
            charset = "iso-8859-1"
        } else {
            throw SkeinError(
                .invalidContent, peer: peer,
                because: "the content is binary (\(contentType ?? "no content type")); read its bytes from content")
        }
        return try self.text(bytes, charset: charset, peer: peer)
    }

    private static func text(_ bytes: ByteBuffer, charset: String, peer: String?) throws(SkeinError) -> String {
        guard let encoding = encodings[charset] else {
            throw SkeinError(
                .invalidContent, peer: peer, because: "the charset \(charset.debugDescription) is not known")
        }
        guard let text = String(bytes: bytes.readableBytesView, encoding: encoding) else {
            throw SkeinError(.invalidContent, peer: peer, because: "the content is not valid \(charset)")
        }
        return withoutMark(text)
    }

    /// The text of an XML document.
    static func xmlText(_ bytes: ByteBuffer, contentType: String?) throws(SkeinError) -> String {
        let said = contentType.flatMap { split($0).attributes["charset"] }
        if let charset = byteOrderMark(bytes) ?? said {
            return try text(bytes, charset: charset.asciiLowercased, peer: nil)
        }
        let declared = declaredCharset(bytes)?.asciiLowercased ?? "utf-8"
        // Some programs declare the charset of their own strings but send UTF-8; and text in an unknown charset is
        // often ASCII.
        if encodings[declared] == nil, let text = String(validating: bytes.readableBytesView, as: UTF8.self) {
            return text
        }
        return try text(bytes, charset: declared, peer: nil)
    }

    /// The charset of an XML declaration; without a byte order mark, the first bytes tell the width of a character (XML
    /// 1.0, appendix F).
    private static func declaredCharset(_ bytes: ByteBuffer) -> String? {
        let start = bytes.readableBytesView.prefix(256)
        if start.starts(with: [0, 0x3C, 0, 0x3F]) { return "utf-16be" }
        if start.starts(with: [0x3C, 0, 0x3F, 0]) { return "utf-16le" }
        guard start.starts(with: "<?xml".utf8) else { return nil }
        let declaration = String(decoding: start, as: UTF8.self).prefix(before: ">")
        guard let name = declaration.rangeOfBytes("encoding") else { return nil }
        let rest = declaration[name.upperBound...].utf8.drop { " \t\r\n=".utf8.contains($0) }
        guard let quote = rest.first, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else { return nil }
        let declared = String(Substring(rest.dropFirst().prefix { $0 != quote }))
        // If the declaration can be read byte by byte, the charset has one-byte units, despite a declared UTF-16 or
        // UTF-32.
        return ["utf-16", "utf-32", "ucs-"].contains { declared.asciiLowercased.hasBytePrefix($0) } ? nil : declared
    }

    private static func withoutMark(_ text: String) -> String {
        text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
    }

    /// Whether a type, in lower case, is text without a charset rule of its own.
    private static func isText(_ type: String) -> Bool {
        type.hasBytePrefix("text/")
            || [
                "application/x-www-form-urlencoded", "application/javascript", "application/ecmascript",
                "application/yaml",
                "application/toml", "application/graphql", "application/sql", "application/x-ndjson",
            ].contains(type)
    }

    /// The charset by the byte order mark.
    private static func byteOrderMark(_ bytes: ByteBuffer) -> String? {
        let start = Array(bytes.readableBytesView.prefix(3))
        if start == [0xEF, 0xBB, 0xBF] { return "utf-8" }
        return start.starts(with: [0xFE, 0xFF]) || start.starts(with: [0xFF, 0xFE]) ? "utf-16" : nil
    }

    private static let encodings: [String: String.Encoding] = [
        "utf-8": .utf8, "utf8": .utf8, "us-ascii": .ascii, "ascii": .ascii,
        "iso-8859-1": .isoLatin1, "latin-1": .isoLatin1, "latin1": .isoLatin1, "windows-1252": .windowsCP1252,
        "iso-8859-2": .isoLatin2, "latin2": .isoLatin2, "windows-1250": .windowsCP1250, "windows-1251": .windowsCP1251,
        "windows-1253": .windowsCP1253, "windows-1254": .windowsCP1254, "shift_jis": .shiftJIS, "euc-jp": .japaneseEUC,
        "iso-2022-jp": .iso2022JP, "utf-32": .utf32,
        "utf-16": .utf16, "utf-16le": .utf16LittleEndian, "utf-16be": .utf16BigEndian,
    ]
}
