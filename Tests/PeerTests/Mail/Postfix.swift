// Debian's postfix as a server that accepts mail for one domain and passes it to smtp-sink, in its own folder.

import Foundation
import PeerSupport

/// A running postfix.
struct Postfix {
    static let shared = SharedPeer { try await Postfix() }

    let port: Int
    private let folder: String

    init() async throws {
        port = try await Ports.free()
        // Its processes run as other users, which need access; its paths have to be short.
        folder = "/tmp/skein-postfix-\(getpid())"
        let certificates = try await Certificates.shared.folder()
        for name in ["etc", "queue", "data", "mail"] {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        }
        for path in [folder, "\(folder)/mail"] { chmod(path, 0o777) }
        let main = """
            compatibility_level = 3.6
            queue_directory = \(folder)/queue
            data_directory = \(folder)/data
            mail_owner = postfix
            maillog_file = \(folder)/queue/log
            maillog_file_prefixes = \(folder)
            inet_interfaces = 127.0.0.1
            inet_protocols = ipv4
            mydestination =
            mynetworks =
            smtpd_relay_restrictions = reject_unauth_destination
            virtual_mailbox_domains = sink.test
            virtual_mailbox_base = \(folder)/mail
            virtual_mailbox_maps = static:box/
            virtual_minimum_uid = 1
            virtual_uid_maps = static:65534
            virtual_gid_maps = static:65534
            message_size_limit = 20000000
            smtpd_tls_security_level = may
            smtpd_tls_chain_files = \(certificates)/good.pem
            smtputf8_enable = yes
            alias_maps =
            alias_database =
            """
        let master = """
            127.0.0.1:\(port) inet n - n - - smtpd
            cleanup unix n - n - 0 cleanup
            qmgr unix n - n 300 1 qmgr
            rewrite unix - - n - - trivial-rewrite
            bounce unix - - n - 0 bounce
            defer unix - - n - 0 bounce
            trace unix - - n - 0 bounce
            virtual unix - n n - - virtual
            tlsmgr unix - - n 1000? 1 tlsmgr
            anvil unix - - n - 1 anvil
            proxymap unix - - n - - proxymap
            postlog unix-dgram n - n - 1 postlogd
            """
        try main.write(toFile: "\(folder)/etc/main.cf", atomically: true, encoding: .utf8)
        try master.write(toFile: "\(folder)/etc/master.cf", atomically: true, encoding: .utf8)
        let data = try await runToEnd("chown", ["postfix", "\(folder)/data"])
        guard data.code == 0 else { throw PeerError("postfix has no user: \(data.errors)") }
        // The master creates the folders of the queue when it is asked to check.
        _ = try await runToEnd("postfix", ["-c", "\(folder)/etc", "check"])
        _ = try PeerProcess(
            "/usr/lib/postfix/sbin/master", ["-c", "\(folder)/etc", "-d"], log: TestFolder.path("postfix.log"))
        try await Ports.untilOpen(port)
    }

    /// The messages that it has delivered.
    var kept: [String] {
        let box = "\(folder)/mail/box/new"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: box)) ?? []
        return names.compactMap { FileManager.default.contents(atPath: "\(box)/\($0)") }.map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    func untilKept(_ count: Int) async throws -> [String] {
        try await wait("\(count) messages of postfix, and not \(kept.count)") { kept.count >= count }
        return kept
    }
}
