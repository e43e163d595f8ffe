// skein proxy: a reverse proxy with load balancing and the related options.

import ArgumentParser
import SkeinCore
import SkeinEngine
import SkeinEngineCommand
import SkeinHTTP
import SkeinTransport

/// A number of bytes: `65536`, `64K`, `64M`, `1G`.
struct ByteCount: ExpressibleByArgument {
    let bytes: Int

    init?(argument: String) {
        let units: [Character: Int] = ["K": 10, "M": 20, "G": 30]
        let shift = argument.last.flatMap { units[Character($0.uppercased())] }
        let digits = shift == nil ? argument[...] : argument.dropLast()
        guard let number = Int(digits), number > 0, number < 1 << 40 else { return nil }
        bytes = number << (shift ?? 0)
    }
}

struct ProxyCommand: EngineCommand {
    static let configuration = CommandConfiguration(
        commandName: "proxy",
        abstract: "Forward requests to back ends.",
        discussion: """
            Each mount is a path and the URL of a back end, or an alias for several. Content is streamed in both directions; \
            WebSockets, server-sent events, gRPC and trailers are forwarded. The proxy shuts down gracefully on SIGINT and SIGTERM; \
            on SIGHUP it reads its certificates again and reopens log files.

              skein proxy --mount /=http://127.0.0.1:9000
              skein proxy --mount '/api=@api/v1' --alias '@api=http://127.0.0.1:9001 20, http://127.0.0.1:9002 10' \\
                  --mount /=http://127.0.0.1:9000
              skein proxy --mount /=http://127.0.0.1:50051 --http2-upstream --listen 0.0.0.0:443 --tls-cert cert.pem
              skein proxy --mount /=http://127.0.0.1:9000 --cache-memory 64M --cache-disk /var/cache/skein:1G
              skein proxy --forward-proxy --forward-user weaver:secret --listen 10.0.0.1:3128
              skein proxy --mount /=http://127.0.0.1:9000 --set-header 'X-Frame-Options: DENY' --status
            """)

    @Option(
        help: ArgumentHelp(
            "Forward requests for a path and below to a URL, whose path replaces that of the mount. May be repeated.",
            valueName: "/path=url"))
    var mount: [String] = []

    @OptionGroup var aliases: AliasOptions

    @Option(
        help: ArgumentHelp(
            "Check the members of aliases by a GET of this path every five seconds; a status of 400 or above fails.",
            valueName: "path"))
    var health: String?

    @Option(
        help: "The Host field for back ends: kept (that of the client), replaced (that of the URL), or a name.")
    var host: String = "kept"

    @Flag(help: "Forward the whole path, including that of the mount.")
    var keepPath = false

    @Flag(name: .customLong("http2-upstream"), help: "Use HTTP/2 to back ends, also in clear text (gRPC).")
    var http2Upstream = false

    @Option(help: ArgumentHelp("Timeout for the head of a response; then clients get 504.", valueName: "seconds"))
    var responseTimeout: Double = 60

    @Option(
        help: ArgumentHelp("Timeout for connecting to a back end (default: 10).", valueName: "seconds"))
    var connectTimeout: Double?

    @Option(
        help: ArgumentHelp(
            "Timeout for silence of a back end while data from it is due (default: 60).", valueName: "seconds"))
    var readTimeout: Double?

    @Option(
        help: ArgumentHelp(
            "Buffer responses for slow clients in a temporary file, up to this number of bytes each (K, M, G).",
            valueName: "bytes"))
    var bufferResponses: ByteCount?

    @Option(help: ArgumentHelp("Timeout for silence of a WebSocket.", valueName: "seconds"))
    var tunnelTimeout: Double = 600

    @Option(
        help: ArgumentHelp(
            "Set a field of requests, replacing the client's; may be repeated.", valueName: "name: value"))
    var setRequestHeader: [String] = []

    @Option(
        help: ArgumentHelp(
            "Set a field of responses, replacing the back end's; may be repeated.", valueName: "name: value"))
    var setHeader: [String] = []

    @Option(help: ArgumentHelp("Remove a field from responses; may be repeated.", valueName: "name"))
    var removeHeader: [String] = []

    @Option(
        help: ArgumentHelp(
            "Allow upgrades to this protocol, too; may be repeated.", valueName: "name"))
    var upgrade: [String] = []

    @Option(help: ArgumentHelp("Maximum size of a request's content; more is answered with 413.", valueName: "bytes"))
    var maxBody: Int = 1 << 30

    @Flag(
        help: "Also act as a forward proxy: for clients configured to use one, to public servers only.")
    var forwardProxy = false

    @Option(
        help: ArgumentHelp(
            "Allow the forward proxy to connect to these addresses, too; may be repeated.", valueName: "address/bits"))
    var forwardAllow: [String] = []

    @Option(
        help: ArgumentHelp(
            "Allow the forward proxy to open tunnels to this port besides 443; may be repeated.", valueName: "port"))
    var forwardPort: [Int] = []

    @Option(
        help: ArgumentHelp(
            "Require this name and password from clients of the forward proxy; may be repeated.",
            valueName: "name:password"))
    var forwardUser: [String] = []

    @Option(
        help: ArgumentHelp(
            "Cache responses in memory, up to this size (K, M, G).", valueName: "bytes"
        ))
    var cacheMemory: ByteCount?

    @Option(
        help: ArgumentHelp(
            "Cache responses in a folder, up to this size (K, M, G); kept over a restart.", valueName: "folder:bytes"
        ))
    var cacheDisk: String?

    @Flag(help: "Serve a status page at /.status and Prometheus metrics at /.metrics, to local clients only.")
    var status = false

    @OptionGroup var options: EngineOptions

    func validate() throws {
        guard !mount.isEmpty || forwardProxy || options.processes.isForAnotherProcess else {
            throw ValidationError("Nothing is mounted; add --mount /=http://127.0.0.1:9000.")
        }
        for place in mount { _ = try Self.place(place) }
        for field in setRequestHeader + setHeader { _ = try Self.field(field) }
        let times = [responseTimeout, connectTimeout ?? 10, readTimeout ?? 60, tunnelTimeout]
        guard times.allSatisfy({ $0 > 0 && $0 < 1e9 }) else {
            throw ValidationError("Timeouts must be numbers of seconds above 0.")
        }
        for range in forwardAllow where AddressRange(range) == nil {
            throw ValidationError("\(range.debugDescription) is not an address range; write 10.0.0.0/8.")
        }
        for user in forwardUser where !user.containsBytes(":") {
            throw ValidationError("--forward-user takes NAME:PASSWORD.")
        }
        if let cacheDisk { _ = try Self.folder(cacheDisk) }
        guard maxBody >= 0 else { throw ValidationError("--max-body must be a number of bytes.") }
    }

    func mount(into engine: inout Engine) throws {
        engine.configuration.maximumBodySize = maxBody
        for (name, alias) in try aliases.all() {
            var alias = alias
            if let health { alias.healthCheck = HealthCheck(path: health) }
            engine.alias(name, alias)
        }
        let cache = try cache()
        for place in mount {
            let (path, url) = try Self.place(place)
            engine.mount(path, .upstream(url, try upstreamOptions(cache)))
        }
        if forwardProxy { engine.forwardProxy = forwarding }
        if status {
            engine.mount("/.status", .status())
            engine.mount("/.metrics", .metrics())
        }
    }

    private var forwarding: ForwardProxyConfiguration {
        var forwarding = ForwardProxyConfiguration()
        forwarding.allowedAddresses = forwardAllow.compactMap { AddressRange($0) }
        forwarding.ports.formUnion(forwardPort)
        forwarding.responseTimeout = .seconds(responseTimeout)
        forwarding.tunnelTimeout = .seconds(tunnelTimeout)
        if !forwardUser.isEmpty {
            let users = forwardUser
            forwarding.authenticate = { user, password in
                users.reduce(false) { constantTimeEqual($1, "\(user):\(password)") || $0 }
            }
        }
        return forwarding
    }

    private func cache() throws -> HTTPCache? {
        if let cacheDisk {
            let (folder, size) = try Self.folder(cacheDisk)
            return try .disk(folder, maximumBytes: size, memory: cacheMemory?.bytes ?? 0, isShared: true)
        }
        return cacheMemory.map { .memory(maximumBytes: $0.bytes, isShared: true) }
    }

    private func upstreamOptions(_ cache: HTTPCache?) throws -> UpstreamConfiguration {
        var options = UpstreamConfiguration()
        options.cache = cache
        options.path = keepPath ? .kept : .replaced
        options.host =
            switch host {
            case "kept": .kept
            case "replaced": .replaced
            default: .fixed(host)
            }
        options.http2 = http2Upstream ? .priorKnowledge : nil
        options.responseTimeout = .seconds(responseTimeout)
        options.connectTimeout = connectTimeout.map { .seconds($0) }
        options.readTimeout = readTimeout.map { .seconds($0) }
        options.responseBuffering = bufferResponses.map { ResponseBuffering(disk: $0.bytes) }
        options.tunnelTimeout = .seconds(tunnelTimeout)
        options.upgrades.formUnion(upgrade.map { $0.lowercased() })
        for text in setRequestHeader {
            let field = try Self.field(text)
            options.requestHeaders.set.add(field.name, field.value)
        }
        for text in setHeader {
            let field = try Self.field(text)
            options.responseHeaders.set.add(field.name, field.value)
        }
        options.responseHeaders.remove = removeHeader
        return options
    }

    /// Reads `/path=url`.
    private static func place(_ text: String) throws -> (String, String) {
        let parts = text.splitBytes(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2, parts[0].hasBytePrefix("/") else {
            throw ValidationError("\(text.debugDescription) is not a mount; write /path=http://host:port.")
        }
        do {
            _ = try HTTPURL(parts[1])
        } catch {
            throw ValidationError("\(error.message).")
        }
        return (parts[0], parts[1])
    }

    /// Reads `folder:1G`.
    private static func folder(_ text: String) throws -> (String, Int) {
        guard let colon = text.lastByte(":"), let size = ByteCount(argument: String(text.text(after: colon))),
            colon > text.startIndex
        else {
            throw ValidationError("\(text.debugDescription) is not a folder and a size; write /var/cache/skein:1G.")
        }
        return (String(text[..<colon]), size.bytes)
    }

    /// Reads `name: value`.
    private static func field(_ text: String) throws -> (name: String, value: String) {
        let parts = text.splitBytes(separator: ":", maxSplits: 1)
        guard parts.count == 2, !parts[0].isEmpty else {
            throw ValidationError("\(text.debugDescription) is not a header field; write 'Name: value'.")
        }
        return (String(parts[0]), String(parts[1].trimmingBlanks()))
    }
}
