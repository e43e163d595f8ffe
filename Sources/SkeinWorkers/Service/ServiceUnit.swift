// A systemd unit for a server.

import SkeinCore

/// The text of a unit that runs a server with few rights.
package struct ServiceUnit: Sendable {
    /// The name of the service.
    package var name: String
    /// The program and its arguments.
    package var command: [String]
    /// The working folder. Default: none.
    package var folder: String?
    /// The user. Default: one that systemd creates while the service runs.
    package var user: String?
    /// Whether it listens on ports below 1024. Default: false.
    package var usesLowPorts = false

    /// A unit.
    package init(name: String, command: [String]) {
        self.name = name
        self.command = command
    }

    /// The unit's file.
    package var text: String {
        var lines = [
            "[Unit]", "Description=\(Self.plain(name))", "Wants=network-online.target",
            "After=network-online.target", "", "[Service]", "Type=notify",
            "ExecStart=\(command.map(Self.quoted).joined(separator: " "))", "ExecReload=/bin/kill -HUP $MAINPID",
            "KillMode=mixed", "TimeoutStopSec=5min", "Restart=on-failure", "RestartSec=1", "WatchdogSec=30",
            "NotifyAccess=all", "LimitNOFILE=65536",
        ]
        if let folder { lines.append("WorkingDirectory=\(Self.plain(folder).replacingBytes("%", with: "%%"))") }
        lines += user.map { ["User=\(Self.plain($0))"] } ?? ["DynamicUser=yes"]
        lines += [
            "RuntimeDirectory=\(name)", "StateDirectory=\(name)", "LogsDirectory=\(name)", "NoNewPrivileges=yes",
            "ProtectSystem=strict", "ProtectHome=read-only", "PrivateTmp=yes", "PrivateDevices=yes",
            "ProtectKernelTunables=yes", "ProtectKernelModules=yes", "ProtectKernelLogs=yes",
            "ProtectControlGroups=yes",
            "ProtectClock=yes", "ProtectHostname=yes", "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
            "RestrictNamespaces=yes", "RestrictRealtime=yes", "RestrictSUIDSGID=yes", "LockPersonality=yes",
            "SystemCallArchitectures=native", "SystemCallFilter=@system-service", "UMask=0027",
            usesLowPorts ? "AmbientCapabilities=CAP_NET_BIND_SERVICE" : "CapabilityBoundingSet=",
        ]
        if usesLowPorts { lines.append("CapabilityBoundingSet=CAP_NET_BIND_SERVICE") }
        lines += ["", "[Install]", "WantedBy=multi-user.target", ""]
        return lines.joined(separator: "\n")
    }

    private static func plain(_ text: String) -> String { text.replacingBytes("\n", with: " ") }

    /// A word of a command line as systemd reads it (systemd.service(5)).
    static func quoted(_ word: String) -> String {
        let word = plain(word).replacingBytes("%", with: "%%").replacingBytes("$", with: "$$")
        let isPlain = word.utf8.allSatisfy {
            Bytes.isDigit($0) || Bytes.lowercased($0) &- 0x61 < 26 || "-_./:=@%$,+".utf8.contains($0)
        }
        if isPlain, !word.isEmpty { return word }
        return "\"\(word.replacingBytes("\\", with: "\\\\").replacingBytes("\"", with: "\\\""))\""
    }
}
