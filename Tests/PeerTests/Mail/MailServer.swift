// Third-party mail servers.

import Foundation
import PeerSupport
import SkeinCore

/// aiosmtpd with a script: the recipients determine its behaviour.
struct MailServer {
    struct Kept: Decodable {
        let from: String?
        let to: [String]
        let tls: Bool?
        let login: String?
        let options: [String]?
        let content: String?
        let n: String?

        var bytes: [UInt8] { content.flatMap { Data(base64Encoded: $0) }.map(Array.init) ?? [] }
        var text: String { String(decoding: bytes, as: UTF8.self) }
    }

    let process: PeerProcess
    let port: Int
    let log: String

    init(_ arguments: String..., port: Int? = nil, log: String = TestFolder.path("mails")) async throws {
        self.port = if let port { port } else { try await Ports.free() }
        self.log = log
        process = try PeerProcess(
            Peers.python(), ["\(Peers.scripts)/mail_server.py", "\(self.port)", log] + arguments,
            log: TestFolder.path("mail_server.log"))
        _ = try await process.untilPrinted("ready")
    }

    /// Its URL, to which options may be appended.
    var url: String { "smtp://127.0.0.1:\(port)" }

    /// The messages that it has stored.
    var kept: [Kept] {
        let text = String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self)
        return text.split(separator: "\n").compactMap { try? JSONDecoder().decode(Kept.self, from: Data($0.utf8)) }
    }

    /// Waits until it has stored a number of messages.
    func untilKept(_ count: Int) async throws -> [Kept] {
        try await wait("\(count) messages, and not \(kept.count)") { kept.count >= count }
        return kept
    }
}

/// Waits until a condition is true, at most half a minute.
func wait(_ what: @autoclosure () -> String, _ isSo: () async throws -> Bool) async throws {
    for _ in 0..<1500 {
        if try await isSo() { return }
        try await Task.sleep(for: .milliseconds(20))
    }
    throw PeerError("in vain for \(what())")
}
