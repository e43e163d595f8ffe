// From checked settings to an engine.

import SkeinACME
import SkeinCore
import SkeinEngine
import SkeinHTTP
import SkeinRedis
import SkeinSharedRedis
import SkeinTransport
import SkeinWorkers

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Creates an engine from a file's settings, and records invalid values.
struct EngineBuilder {
    let root: CheckedSection
    var caches = ByteDictionary<HTTPCache>()
    var limits = ByteDictionary<RateLimit>()
    private var folders: [String] = []
    var engine = Engine()
    private(set) var acme: ACMEConfiguration?

    init(_ root: CheckedSection) { self.root = root }

    /// - Parameter caches: the caches of the engine that already runs, by their definitions: they are kept over a
    ///   reload.
    mutating func build(keeping kept: KeptStates) {
        if let server = root.section("server") { configure(server) }
        listen()
        if let log = root.section("log") { engine.configuration.requestLog = Self.log(log) }
        for (name, alias) in root.named("alias") { addAlias(name, alias) }
        for (name, cache) in root.named("cache") { addCache(name, cache, kept) }
        for (name, limit) in root.named("limit") { addLimit(name, limit, kept) }
        if let gateway = root.section("gateway") { guardWith(gateway, kept) }
        if let proxy = root.section("forward_proxy") { forward(proxy) }
        for mount in root.sections("mount") { addMount(mount) }
    }

    // MARK: Server

    mutating func configure(_ server: CheckedSection) {
        if let text = server.text("shared") { share(text, server) }
        let workers = server.integer("workers") ?? 1
        engine.configuration.threads = server.integer("threads") ?? max(1, engine.configuration.threads / workers)
        engine.configuration.trustedProxies = Self.ranges(server, "trusted_proxies")
        if server.text("forwarding") == "forwarded" { engine.configuration.forwarding = .forwarded }
        if let value = server.boolean("proxy_protocol") { engine.configuration.expectsProxyHeader = value }
        if let value = server.bytes("max_body") { engine.configuration.maximumBodySize = value }
        if let value = server.integer("max_connections") { engine.configuration.maximumConnections = value }
        if let value = server.integer("max_connections_per_address") {
            engine.configuration.maximumConnectionsPerAddress = value
        }
        if let value = server.duration("header_timeout") { engine.configuration.headerTimeout = value }
        if let value = server.duration("body_timeout") { engine.configuration.bodyTimeout = value }
        if let value = server.duration("keep_alive_timeout") { engine.configuration.keepAliveTimeout = value }
        if let value = server.duration("shutdown_timeout") { engine.configuration.shutdownTimeout = value }
        if let value = server.integer("min_body_rate") { engine.configuration.minimumBodyRate = value }
        if let value = server.boolean("http2") { engine.configuration.http2.isEnabled = value }
        engine.configuration.strictTransportSecurity = server.duration("hsts")
    }

    private mutating func share(_ text: String, _ server: CheckedSection) {
        var url = text
        if text.hasBytePrefix("env:") || text.hasBytePrefix("file:") {
            do throws(SecretProblem) { url = try CheckedSection.secret(text) } catch {
                return server.complain("shared", error.message)
            }
        } else if let options = try? RedisConfiguration(text), options.password != nil {
            return server.complain("shared", "secrets are not allowed in this file; write env:NAME or file:PATH")
        }
        do throws(SkeinError) { _ = try RedisConfiguration(url) } catch {
            return server.complain("shared", error.message)
        }
        engine.configuration.shared = .redis(url)
    }

    static func ranges(_ section: CheckedSection, _ name: String) -> [AddressRange] {
        section.items(name).compactMap { item in
            if let range = AddressRange(item.text) { return range }
            section.complain(
                at: item.position, name, "\(item.text.debugDescription) is not an address range; write \"10.0.0.0/8\"")
            return nil
        }
    }

    mutating func listen() {
        let sections = root.sections("listen")
        var addresses: [ServerConfiguration.Address] = []
        for section in sections {
            guard let text = section.text("address") else { continue }
            guard var address = ServerConfiguration.Address(text) else {
                section.complain(
                    "address",
                    "\(text.debugDescription) is not an address; write \"HOST:PORT\", \"[IPV6]:PORT\" or \"unix:PATH\"")
                continue
            }
            if section.boolean("tls") ?? false {
                guard case .tcp(let host, let port) = address else {
                    section.complain("tls", "TLS needs a TCP address")
                    continue
                }
                address = .tls(host, port: port)
            }
            if addresses.contains(address), !"\(address)".hasByteSuffix(":0") {
                section.complain("address", "\(text.debugDescription) occurs twice")
            }
            addresses.append(address)
        }
        if !sections.isEmpty { engine.configuration.addresses = addresses }
        let secure = addresses.compactMap { address in if case .tls(_, let port) = address { port } else { nil } }
        if let section = root.section("acme") { acme = authority(section) }
        if let tls = root.section("tls") {
            engine.configuration.tls = Self.tls(tls)
            if !sections.contains(where: { $0.boolean("tls") ?? false }) {
                tls.complain("", "no address uses TLS; add tls = true to a [[listen]]")
            }
        } else if let section = sections.first(where: { $0.boolean("tls") ?? false }), !root.has("acme") {
            section.complain("tls", "TLS needs a certificate; add [tls] with certificate = \"FILE\", or [acme]")
        }
        for section in sections where section.boolean("redirect_to_tls") ?? false {
            guard let port = secure.first else {
                section.complain("redirect_to_tls", "there is no address with TLS to redirect to")
                continue
            }
            engine.configuration.forwardsToTLS = port
        }
        if engine.configuration.forwardsToTLS != nil {
            for section in sections
            where !(section.boolean("tls") ?? false) && !(section.boolean("redirect_to_tls") ?? false) {
                section.complain(
                    "",
                    "either all clear-text addresses redirect to TLS or none; add redirect_to_tls = true here"
                )
            }
        }
    }

    func authority(_ section: CheckedSection) -> ACMEConfiguration? {
        if !root.sections("listen").contains(where: { $0.boolean("tls") ?? false }) {
            section.complain("", "no address uses TLS; add tls = true to a [[listen]]")
        }
        guard let folder = section.text("folder") else { return nil }
        let names = section.texts("names")
        if names.isEmpty, section.has("names") { section.complain("names", "a certificate needs at least one name") }
        var options = ACMEConfiguration(names: names, folder: folder)
        options.email = section.text("email")
        if let directory = section.text("directory") { options.directory = directory }
        let program = section.text("dns_program")
        switch section.text("challenge") ?? (program == nil ? "http" : "dns") {
        case "tls":
            options.challenge = .tls
            if root.section("server")?.boolean("proxy_protocol") ?? false {
                section.complain(
                    "challenge", "tls does not work behind a balancer with proxy_protocol; use http or dns")
            }
        case "dns":
            if let program {
                options.challenge = .dns(program: program)
            } else {
                section.complain("challenge", "DNS records are set by a program; add dns_program = \"PATH\"")
            }
        default: break
        }
        if let program, section.text("challenge") ?? "dns" == "dns" {
            if !FileManager.default.isExecutableFile(atPath: program) {
                section.complain("dns_program", "\(program.debugDescription) is not an executable program")
            }
        }
        options.rootsFile = section.text("roots")
        for item in section.items("names") {
            var one = options
            one.names = [item.text.lowercased()]
            do throws(SkeinError) { try one.check() } catch {
                section.complain(at: item.position, "names", error.message)
            }
        }
        return options
    }

    static func tls(_ section: CheckedSection) -> ServerTLSConfiguration {
        func certificate(_ section: CheckedSection) -> ServerTLSConfiguration.Certificate? {
            guard let file = section.text("certificate") else { return nil }
            for name in ["certificate", "key"] {
                guard let path = section.text(name) else { continue }
                if !FileManager.default.isReadableFile(atPath: path) {
                    section.complain(name, "the file \(path.debugDescription) cannot be read")
                }
            }
            return ServerTLSConfiguration.Certificate(certificateFile: file, keyFile: section.text("key") ?? file)
        }
        var options = ServerTLSConfiguration(
            certificates: ([certificate(section)] + section.sections("more").map(certificate)).compactMap(\.self))
        if section.text("minimum_version") == "1.3" { options.minimumVersion = .tls13 }
        if let roots = section.text("client_roots") {
            if !FileManager.default.isReadableFile(atPath: roots) {
                section.complain("client_roots", "the file \(roots.debugDescription) cannot be read")
            }
            options.clientCertificates = .required(rootsFile: roots)
        }
        return options
    }

    static func log(_ section: CheckedSection) -> RequestLogConfiguration {
        var options = RequestLogConfiguration(section.text("file") ?? "-")
        if let format = section.text("format").flatMap(RequestLogConfiguration.Format.init) { options.format = format }
        options.off = section.texts("off")
        if let size = section.bytes("size") { options.maximumBytes = max(1, size) }
        if let keep = section.integer("keep") { options.keep = keep }
        return options
    }

    // MARK: Named sections

    mutating func addAlias(_ name: String, _ section: CheckedSection) {
        let members = section.items("members")
        guard !members.isEmpty else {
            if section.has("members") { section.complain("members", "an alias needs at least one member") }
            return
        }
        let scheme = Alias.Scheme.of(member: members[0].text)
        for member in members where (try? Alias(scheme, [member.text])) == nil {
            section.complain(
                at: member.position, "members",
                "\(member.text.debugDescription) is not a member; write \"http://HOST:PORT\", and a weight if it is not 1"
            )
        }
        guard var alias = try? Alias(scheme, members.map(\.text)) else { return }
        let policies: [String: BalancingConfiguration.Policy] = [
            "peak-ewma": .peakEWMA, "round-robin": .roundRobin, "least-requests": .leastRequests,
            "consistent-hash": .consistentHash,
        ]
        if let policy = section.text("policy").flatMap({ policies[$0] }) { alias.balancing.policy = policy }
        if let value = section.duration("slow_start") { alias.balancing.slowStart = value }
        if let value = section.integer("attempts") { alias.balancing.retries.attempts = value }
        if let value = section.duration("ejection") { alias.balancing.outliers.ejection = value }
        if let health = section.section("health") {
            if let interval = health.duration("interval"), interval < .milliseconds(100) {
                health.complain("interval", "the interval must be at least 100 ms")
            }
            if health.has("path"), health.has("grpc") {
                health.complain("grpc", "a check has a path or a gRPC service")
            }
            alias.healthCheck = HealthCheck(
                health.text("path").map(HealthCheck.Probe.get) ?? health.text("grpc").map { .grpc(service: $0) }
                    ?? .standard,
                interval: health.duration("interval") ?? .seconds(5), timeout: health.duration("timeout") ?? .seconds(2)
            )
        }
        // The name of the table is the name of the alias, with its @ or without.
        let full = name.hasBytePrefix("@") ? name : "@\(name)"
        guard section.attempt("", { try Alias.check(name: full) }) != nil else { return }
        engine.alias(full, alias, access: section.section("access").map(Self.policy))
    }

    mutating func addCache(_ name: String, _ section: CheckedSection, _ kept: KeptStates) {
        let memory = section.bytes("memory") ?? 64 << 20
        let disk = section.bytes("disk") ?? 1 << 30
        if section.has("disk"), !section.has("folder") {
            section.complain("disk", "a size on disk needs a folder = \"PATH\"")
        }
        let folder = section.text("folder")
        if let folder, folders.contains(where: { $0.equalsBytes(folder) }) {
            section.complain("folder", "another cache uses this folder")
            return
        }
        if let folder { folders.append(folder) }
        caches[name] = section.attempt("folder") { () throws -> HTTPCache in
            try kept.cache("\(name) \(folder ?? "") \(memory) \(disk)") {
                guard let folder, !kept.isForReading else { return .memory(maximumBytes: memory, isShared: true) }
                return try .disk(folder, maximumBytes: disk, memory: memory, isShared: true)
            }
        }
    }

    mutating func addLimit(_ name: String, _ section: CheckedSection, _ kept: KeptStates) {
        guard let (limit, window) = section.rate("rate") else { return }
        let isWindow = section.text("algorithm") == "sliding-window"
        if isWindow, section.has("burst") { section.complain("burst", "a sliding window has no burst") }
        let subject: RateLimit.Subject =
            switch section.text("by") {
            case "user": .user
            case "all": .all
            default: .client
            }
        limits[name] = RateLimit(
            limit, per: window, isWindow ? .slidingWindow : .tokenBucket(size: section.integer("burst")), by: subject,
            name: name, store: engine.configuration.shared == nil && WorkerLink.current == nil ? kept.rates : nil)
    }

    static func policy(_ section: CheckedSection) -> AccessPolicy {
        let (roles, users) = (section.texts("roles"), section.texts("users"))
        let sources = ranges(section, "sources")
        var identity: AccessPolicy?
        if !roles.isEmpty { identity = .roles(roles) }
        if !users.isEmpty { identity = identity.map { $0 || .users(users) } ?? .users(users) }
        if identity == nil, section.boolean("authenticated") ?? false { identity = .authenticated }
        let source: AccessPolicy? = section.has("sources") ? .sources(sources) : nil
        guard let identity else {
            if source == nil {
                section.complain("", "the access rule is empty; add roles, users, authenticated or sources")
            }
            return source ?? .nobody
        }
        guard let source else { return identity }
        return section.boolean("any_of") ?? false ? identity || source : identity && source
    }
}
