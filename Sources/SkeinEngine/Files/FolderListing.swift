// Folder listings, in HTML and JSON.

import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The listing of a folder.
struct FolderListing {
    private struct Entry {
        let name: String
        let state: FileState

        /// The name as a URL reference.
        var reference: String { Percent.encodeUnreserved(EscapedBytes.bytes(name)) }
        /// The name for display; invalid bytes are shown as a replacement character.
        var shown: String { String(decoding: EscapedBytes.bytes(name), as: UTF8.self) }
    }

    private let entries: [Entry]

    /// Only the entries that the app serves.
    /// - Throws: ``ServerError`` 403 when it cannot be read.
    init(of app: FileApp, _ path: String) throws(ServerError) {
        guard let names = FileName.all(in: path) else { throw ServerError(.forbidden, "the folder cannot be read") }
        let folder = path.hasByteSuffix("/") ? path : path + "/"
        entries = names.filter { app.configuration.servesHidden || !$0.hasBytePrefix(".") }.compactMap { name in
            FileState.at(folder + name).flatMap { app.serves(folder + name, $0) ? Entry(name: name, state: $0) : nil }
        }.sorted { ($0.state.isFolder ? 0 : 1, $0.name) < ($1.state.isFolder ? 0 : 1, $1.name) }
    }

    func response(to request: ServerRequest) -> ServerResponse {
        guard request.prefersHTML else {
            let list = entries.map { entry in
                JSONText.object([
                    ("name", JSONText.string(entry.shown)), ("href", JSONText.string(entry.reference)),
                    ("folder", String(entry.state.isFolder)),
                    ("size", String(entry.state.size)),
                    ("modified", JSONText.string(CivilTime(entry.state.modified).date.text)),
                ])
            }
            return ServerResponse(
                body: .text("[" + list.joined(separator: ",\n ") + "]\n", contentType: "application/json"))
        }
        let title = Markup.escape(Percent.decode(request.path) ?? request.path)
        let rows = entries.map { entry in
            let time = CivilTime(entry.state.modified)
            let slash = entry.state.isFolder ? "/" : ""
            return
                "<tr><td><a href=\"./\(entry.reference)\(slash)\">\(Markup.escape(entry.shown))\(slash)</a></td>"
                + "<td>\(time.date.text) \(time.clock)</td><td>\(entry.state.isFolder ? "" : "\(entry.state.size)")</td></tr>"
        }
        var response = ServerResponse.html(
            """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><title>\(title)</title>
            <meta name="viewport" content="width=device-width"><style>
            body { font-family: system-ui, sans-serif; margin: 2em auto; max-width: 50em; padding: 0 1em }
            table { border-collapse: collapse; width: 100% } td { padding: .2em .6em; border-top: 1px solid #8884 }
            td:last-child { text-align: right }
            </style></head><body><h1>\(title)</h1>
            <table><tr><td><a href="../">../</a></td><td></td><td></td></tr>
            \(rows.joined(separator: "\n"))
            </table></body></html>

            """)
        response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
        return response
    }
}
