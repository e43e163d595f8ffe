// From checked settings to an engine.

import SkeinACME
import SkeinCore
import SkeinEngine
import SkeinHTTP
import SkeinTransport

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Makes an engine of a file's settings, and notes what is wrong with what they mean.
struct EngineBuilder {
    private let root: CheckedSection
    private var caches = ByteDictionary<HTTPCache>()
    private var limits = ByteDictionary<RateLimit>()
    private var folders: [String] = []
    private(set) var engine = Engine()
    private(set) var acme: ACMEOptions?

    init(_ root: CheckedSection) { self.root = root }

    /// - Parameter caches: those of the engine that runs already, by what defines them: they are kept over a reload.
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

    private mutating func configure(_ server: CheckedSection) {
        if let threads = server.integer("threads") { engine.configuration.threads = threads }
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

    private static func ranges(_ section: CheckedSection, _ name: String) -> [AddressRange] {
        section.items(name).compactMap { item in
            if let range = AddressRange(item.text) { return range }
            section.complain(
                at: item.position, name, "\(item.text.debugDescription) is no range of addresses; write \"10.0.0.0/8\"")
            return nil
        }
    }

    private mutating func listen() {
        let sections = root.sections("listen")
        var addresses: [ServerConfiguration.Address] = []
        for section in sections {
            guard let text = section.text("address") else { continue }
            guard var address = ServerConfiguration.Address(text) else {
                section.complain(
                    "address",
                    "\(text.debugDescription) is no address; write \"HOST:PORT\", \"[IPV6]:PORT\" or \"unix:PATH\"")
                continue
            }
            if section.boolean("tls") ?? false {
                guard case .tcp(let host, let port) = address else {
                    section.complain("tls", "TLS is spoken on TCP addresses only")
                    continue
                }
                address = .tls(host, port: port)
            }
            if addresses.contains(address), !"\(address)".hasByteSuffix(":0") {
                section.complain("address", "\(text.debugDescription) is listened on twice")
            }
            addresses.append(address)
        }
        if !sections.isEmpty { engine.configuration.addresses = addresses }
        let secure = addresses.compactMap { address in if case .tls(_, let port) = address { port } else { nil } }
        if let section = root.section("acme") { acme = authority(section) }
        if let tls = root.section("tls") {
            engine.configuration.tls = Self.tls(tls)
            if !sections.contains(where: { $0.boolean("tls") ?? false }) {
                tls.complain("", "no address speaks TLS; add tls = true to a [[listen]]")
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
            for section in sections where !(section.boolean("tls") ?? section.boolean("redirect_to_tls") ?? false) {
                section.complain(
                    "",
                    "requests are redirected to TLS from all addresses in clear text or from none; add redirect_to_tls = true here"
                )
            }
        }
    }

    private func authority(_ section: CheckedSection) -> ACMEOptions? {
        if !root.sections("listen").contains(where: { $0.boolean("tls") ?? false }) {
            section.complain("", "no address speaks TLS; add tls = true to a [[listen]]")
        }
        guard let folder = section.text("folder") else { return nil }
        let names = section.texts("names")
        if names.isEmpty, section.has("names") { section.complain("names", "a certificate has one name at least") }
        var options = ACMEOptions(names: names, folder: folder)
        options.email = section.text("email")
        if let directory = section.text("directory") { options.directory = directory }
        let program = section.text("dns_program")
        switch section.text("challenge") ?? (program == nil ? "http" : "dns") {
        case "tls": options.challenge = .tls
        case "dns":
            if let program {
                options.challenge = .dns(program: program)
            } else {
                section.complain("challenge", "records of DNS are set by a program; add dns_program = \"PATH\"")
            }
        default: break
        }
        if let program, section.text("challenge") ?? "dns" == "dns" {
            if !FileManager.default.isExecutableFile(atPath: program) {
                section.complain("dns_program", "\(program.debugDescription) is no program that can be run")
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

    private static func tls(_ section: CheckedSection) -> ServerTLSOptions {
        func certificate(_ section: CheckedSection) -> ServerTLSOptions.Certificate? {
            guard let file = section.text("certificate") else { return nil }
            for name in ["certificate", "key"] {
                guard let path = section.text(name) else { continue }
                if !FileManager.default.isReadableFile(atPath: path) {
                    section.complain(name, "the file \(path.debugDescription) cannot be read")
                }
            }
            return ServerTLSOptions.Certificate(certificateFile: file, keyFile: section.text("key") ?? file)
        }
        var options = ServerTLSOptions(
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

    private static func log(_ section: CheckedSection) -> RequestLogOptions {
        var options = RequestLogOptions(section.text("file") ?? "-")
        if let format = section.text("format").flatMap(RequestLogOptions.Format.init) { options.format = format }
        options.off = section.texts("off")
        if let size = section.bytes("size") { options.maximumBytes = max(1, size) }
        if let keep = section.integer("keep") { options.keep = keep }
        return options
    }

    // MARK: What has names

    private mutating func addAlias(_ name: String, _ section: CheckedSection) {
        let members = section.items("members")
        guard !members.isEmpty else {
            if section.has("members") { section.complain("members", "an alias has one member at least") }
            return
        }
        for member in members where (try? Alias(.http, [member.text])) == nil {
            section.complain(
                at: member.position, "members",
                "\(member.text.debugDescription) is no member; write \"http://HOST:PORT\", and a weight if it is not 1")
        }
        guard var alias = try? Alias(.http, members.map(\.text)) else { return }
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
                health.complain("interval", "members are checked every 100 ms at most")
            }
            alias.healthCheck = HealthCheck(
                path: health.text("path"), interval: health.duration("interval") ?? .seconds(5),
                timeout: health.duration("timeout") ?? .seconds(2))
        }
        // The name of the table is the name of the alias, with its @ or without.
        let full = name.hasBytePrefix("@") ? name : "@\(name)"
        guard section.attempt("", { try Alias.check(name: full) }) != nil else { return }
        engine.alias(full, alias, access: section.section("access").map(Self.policy))
    }

    private mutating func addCache(_ name: String, _ section: CheckedSection, _ kept: KeptStates) {
        let memory = section.bytes("memory") ?? 64 << 20
        let disk = section.bytes("disk") ?? 1 << 30
        if section.has("disk"), !section.has("folder") {
            section.complain("disk", "a size on disk needs a folder = \"PATH\"")
        }
        let folder = section.text("folder")
        if let folder, folders.contains(where: { $0.equalsBytes(folder) }) {
            section.complain("folder", "another cache has this folder")
            return
        }
        if let folder { folders.append(folder) }
        caches[name] = section.attempt("folder") { () throws -> HTTPCache in
            try kept.cache("\(name) \(folder ?? "") \(memory) \(disk)") {
                guard let folder else { return .memory(maximumBytes: memory, isShared: true) }
                return try .disk(folder, maximumBytes: disk, memory: memory, isShared: true)
            }
        }
    }

    private mutating func addLimit(_ name: String, _ section: CheckedSection, _ kept: KeptStates) {
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
            name: name, store: kept.rates)
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
                section.complain("", "nothing is required here; add roles, users, authenticated or sources")
            }
            return source ?? .nobody
        }
        guard let source else { return identity }
        return section.boolean("any_of") ?? false ? identity || source : identity && source
    }

    // MARK: Credentials

    private mutating func guardWith(_ section: CheckedSection, _ kept: KeptStates) {
        let realm = section.text("realm") ?? "skein"
        var authenticators: [any Authenticator] = []
        if let token = section.section("token") { Self.token(token, realm, kept).map { authenticators.append($0) } }
        if let asked = section.section("introspection"), let url = asked.text("url"), let client = asked.text("client"),
            let secret = asked.secret("secret")
        {
            let made = asked.attempt("url") {
                try TokenIntrospection(
                    realm: realm, endpoint: url, client: client, secret: secret,
                    audiences: Set(asked.texts("audiences")),
                    claims: TokenClaims(
                        user: asked.text("user_claim") ?? "sub", roles: asked.text("roles_claim") ?? "scope"))
            }
            if let made { authenticators.append(made) }
        }
        let keys = section.named("key").compactMap { name, key in
            key.text("sha256").flatMap { hash in
                key.attempt("sha256") { try APIKey(name, sha256: hash, roles: Set(key.texts("roles"))) }
            }
        }
        if !keys.isEmpty {
            authenticators.append(APIKeyAuthentication(keys, header: section.text("key_header") ?? "X-API-Key"))
        }
        let users = section.named("user").compactMap { name, user in
            user.text("password").flatMap { text in
                user.attempt("password") { (name, try PasswordHash(text), Set(user.texts("roles"))) }
            }
        }
        if !users.isEmpty {
            let file = PasswordFile(users)
            authenticators.append(BasicAuthentication(realm: realm, file))
        }
        if section.boolean("certificates") ?? false { authenticators.append(CertificateAuthentication()) }
        if authenticators.isEmpty, !["token", "introspection", "key", "user"].contains(where: section.has) {
            section.complain(
                "", "no credentials are accepted; add [gateway.token], [gateway.key.NAME] or [gateway.user.NAME]")
        }
        let origins = section.texts("cors")
        if !origins.isEmpty { engine.middleware.append(Self.cors(origins)) }
        engine.middleware.append(
            Gateway(authenticators, policy: section.boolean("required") ?? false ? .authenticated : .anyone))
    }

    private static func cors(_ origins: [String]) -> CORS {
        var cors = CORS()
        cors.origins = origins.map { $0.lowercased() }
        return cors
    }

    private static func token(_ section: CheckedSection, _ realm: String, _ kept: KeptStates) -> TokenAuthentication? {
        var keys: [TokenKey] = []
        for file in section.items("keys") {
            do {
                keys += try TokenKey.read(file: file.text)
            } catch {
                section.complain(
                    at: file.position, "keys", "\(file.text.debugDescription) has no keys: \(error.message)")
            }
        }
        if let secret = section.secret("secret"),
            let key = section.attempt("secret", { try TokenKey(secret: secret.utf8) })
        {
            keys.append(key)
        }
        let remote = section.text("keys_url").flatMap { url in section.attempt("keys_url") { try kept.keys(url) } }
        if !section.has("keys"), !section.has("secret"), !section.has("keys_url") {
            section.complain("", "there are no keys; add keys, secret or keys_url")
        }
        var verifier = TokenVerifier(
            keys: keys, issuers: Set(section.texts("issuers")), audiences: Set(section.texts("audiences")))
        if let leeway = section.duration("leeway") { verifier.leeway = leeway / .seconds(1) }
        return TokenAuthentication(
            realm: realm, verifier, keysFrom: remote,
            claims: TokenClaims(
                user: section.text("user_claim") ?? "sub", roles: section.text("roles_claim") ?? "roles"))
    }

    private mutating func forward(_ section: CheckedSection) {
        var options = ForwardProxyOptions()
        if section.has("ports") { options.ports = Set(section.integers("ports")) }
        options.allowedAddresses = Self.ranges(section, "allow")
        options.deniedAddresses = Self.ranges(section, "deny")
        if let count = section.integer("tunnels_per_client") { options.maximumTunnelsPerClient = count }
        let users = section.texts("users").compactMap { try? CheckedSection.secret($0) }
        if section.has("users") {
            options.authenticate = { user, password in
                users.reduce(false) { constantTimeEqual($1, "\(user):\(password)") || $0 }
            }
        }
        if root.section("gateway")?.boolean("required") ?? false, !section.has("users") {
            section.complain(
                "users",
                "the gateway requires credentials of all requests but those to the forward proxy; add users here")
        }
        engine.forwardProxy = options
    }

    // MARK: Mounts

    private static let kinds = ["files", "upstream", "redirect", "text", "status", "metrics"]
    /// Which settings belong to which kind; the others belong to all.
    private static let settings: [String: [String]] = [
        "files": ["index", "fallback", "list", "hidden", "max_age"],
        "upstream": [
            "keep_path", "host_field", "http2", "cache", "connect_timeout", "response_timeout", "read_timeout",
            "timeout",
            "tunnel_timeout", "buffer", "upgrades", "identity_fields", "forward_credentials", "set_request_headers",
            "remove_request_headers", "remove_headers",
        ],
        "redirect": ["code"], "text": ["code", "content_type"],
    ]

    private mutating func addMount(_ section: CheckedSection) {
        let kinds = Self.kinds.filter { kind in
            section.has(kind) && !(["status", "metrics"].contains(kind) && section.boolean(kind) == false)
        }
        guard let kind = kinds.first, kinds.count == 1 else {
            section.complain(
                "",
                kinds.isEmpty
                    ? "nothing is served here; add one of \(Self.kinds.joined(separator: ", "))"
                    : "a mount serves one thing, and not \(kinds.joined(separator: " and "))")
            return
        }
        for (other, names) in Self.settings where other != kind {
            for name in names where section.has(name) && !(Self.settings[kind] ?? []).contains(name) {
                section.complain(name, "this setting belongs to a mount with \(other), and this one has \(kind)")
            }
        }
        let host = section.text("host")
        let path = section.text("path").flatMap { path in
            section.attempt("path") { try MountPoint(path) }.map { _ in path }
        }
        _ = section.attempt("host") { try MountPoint("/", host: host) }
        let app = app(kind, section)
        var inside: [any Middleware] = []
        let origins = section.texts("cors")
        if !origins.isEmpty { inside.append(Self.cors(origins)) }
        if let access = section.section("access") { inside.append(AccessControl(Self.policy(access))) }
        for item in section.items("limits") {
            if let limit = limits[item.text] {
                inside.append(limit)
            } else {
                section.complain(at: item.position, "limits", Self.unknown("limit", item.text, limits.keys))
            }
        }
        let fields = Headers(fields: section.fields("set_headers"))
        if let problem = fields.problem { section.complain("set_headers", problem.description) }
        if kind != "upstream", !fields.isEmpty {
            inside.append(
                ClosureMiddleware { request, next in
                    var response = try await next.respond(to: request)
                    response.headers.merge(fields)
                    return response
                })
        }
        guard let path, let app else { return }
        engine.mount(path, host: host, app, inside: inside)
    }

    static func unknown(_ what: String, _ name: String, _ known: [String]) -> String {
        let near = known.map { ($0, Spelling.distance($0, name)) }.min { $0.1 < $1.1 }
        let hint = near.flatMap { $0.1 <= 2 ? "; did you mean \"\($0.0)\"?" : nil } ?? "; add [\(what).\(name)]"
        return "there is no \(what) \(name.debugDescription)\(hint)"
    }

    private func app(_ kind: String, _ section: CheckedSection) -> (any App)? {
        switch kind {
        case "files":
            guard let folder = section.text("files") else { return nil }
            if (try? FileManager.default.contentsOfDirectory(atPath: folder)) == nil {
                section.complain("files", "\(folder.debugDescription) is no folder that can be read")
            }
            return FileApp(folder, Self.files(section))
        case "upstream": return upstream(section)
        case "redirect":
            guard let location = section.text("redirect") else { return nil }
            let status = section.integer("code") ?? 307
            guard [301, 302, 303, 307, 308].contains(status) else {
                section.complain("code", "a redirect has the code 301, 302, 303, 307 or 308")
                return nil
            }
            return ClosureApp { request in
                // The path below the mount has one slash between it and the location.
                let rest =
                    location.hasByteSuffix("/")
                    ? String(Substring(request.localPath.utf8.drop { $0 == UInt8(ascii: "/") })) : ""
                let query = location.hasByteSuffix("/") ? request.query.map { "?\($0)" } ?? "" : ""
                return .redirect(to: location + rest + query, status: HTTPStatus(status))
            }
        case "text":
            let text = section.text("text") ?? ""
            let type = section.text("content_type") ?? "text/plain; charset=utf-8"
            let status = HTTPStatus(section.integer("code") ?? 200)
            return ClosureApp { _ in ServerResponse(status, body: .text(text, contentType: type)) }
        case "status": return StatusApp()
        default: return MetricsApp()
        }
    }

    private static func files(_ section: CheckedSection) -> FileOptions {
        var options = FileOptions()
        if section.has("index") { options.index = section.texts("index") }
        options.fallback = section.text("fallback")
        options.listsFolders = section.boolean("list") ?? false
        options.servesHidden = section.boolean("hidden") ?? false
        if let age = section.duration("max_age") { options.maximumAge = ["/": age] }
        return options
    }

    private func upstream(_ section: CheckedSection) -> (any App)? {
        guard let url = section.text("upstream") else { return nil }
        guard let target = section.attempt("upstream", { try HTTPURL(url) }) else { return nil }
        if target.origin.isAlias {
            let name = String(url.prefix(before: "/"))
            let known = engine.configuration.aliases.map(\.name)
            guard known.contains(where: { $0.equalsBytes(name) }) else {
                section.complain(
                    "upstream", Self.unknown("alias", String(name.dropFirst()), known.map { String($0.dropFirst()) }))
                return nil
            }
        }
        var options = UpstreamOptions()
        options.path = section.boolean("keep_path") ?? false ? .kept : .replaced
        switch section.text("host_field") {
        case nil, "kept": options.host = .kept
        case "replaced": options.host = .replaced
        case let name?: options.host = .fixed(name)
        }
        if let http2 = section.boolean("http2") { options.http2 = http2 ? .priorKnowledge : .never }
        if let name = section.text("cache") {
            if let cache = caches[name] {
                options.cache = cache
            } else {
                section.complain("cache", Self.unknown("cache", name, caches.keys))
            }
        }
        options.connectTimeout = section.duration("connect_timeout")
        options.readTimeout = section.duration("read_timeout")
        if let value = section.duration("response_timeout") { options.responseTimeout = value }
        options.timeout = section.duration("timeout")
        if let value = section.duration("tunnel_timeout") { options.tunnelTimeout = value }
        options.responseBuffering = section.bytes("buffer").map { ResponseBuffering(disk: $0) }
        if section.has("upgrades") { options.upgrades = Set(section.texts("upgrades").map { $0.lowercased() }) }
        if section.boolean("identity_fields") ?? false { options.identity = IdentityFields() }
        options.forwardsCredentials = section.boolean("forward_credentials") ?? true
        options.requestHeaders = HeaderRules(
            remove: section.texts("remove_request_headers"), set: Headers(fields: section.fields("set_request_headers"))
        )
        if let problem = options.requestHeaders.set.problem {
            section.complain("set_request_headers", problem.description)
        }
        options.responseHeaders = HeaderRules(
            remove: section.texts("remove_headers"), set: Headers(fields: section.fields("set_headers")))
        return UpstreamApp(url, options)
    }
}

extension Headers {
    fileprivate init(fields: [(name: String, value: String)]) {
        self.init()
        for field in fields { add(field.name, field.value) }
    }
}
