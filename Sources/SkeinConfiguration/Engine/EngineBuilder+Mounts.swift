// From the settings of mounts to apps.

import SkeinCore
import SkeinEngine
import SkeinHTTP
import SkeinPython

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension EngineBuilder {
    private static let kinds = ["files", "upstream", "python", "redirect", "text", "status", "metrics"]
    /// The settings that are specific to a kind; the others belong to all kinds.
    private static let settings: [String: [String]] = [
        "files": ["index", "fallback", "list", "hidden", "max_age"],
        "upstream": [
            "keep_path", "host_field", "http2", "cache", "connect_timeout", "response_timeout", "read_timeout",
            "timeout",
            "tunnel_timeout", "buffer", "upgrades", "identity_fields", "forward_credentials", "set_request_headers",
            "remove_request_headers", "remove_headers",
        ],
        "python": [
            "interface", "environment", "folder", "variables", "app_threads", "max_app_threads", "queue",
            "request_timeout",
        ],
        "redirect": ["code"], "text": ["code", "content_type"],
    ]

    mutating func addMount(_ section: CheckedSection) {
        let kinds = Self.kinds.filter { kind in
            section.has(kind) && !(["status", "metrics"].contains(kind) && section.boolean(kind) == false)
        }
        guard let kind = kinds.first, kinds.count == 1 else {
            section.complain(
                "",
                kinds.isEmpty
                    ? "the mount serves nothing; add one of \(Self.kinds.joined(separator: ", "))"
                    : "a mount serves exactly one thing, not \(kinds.joined(separator: " and "))")
            return
        }
        for (other, names) in Self.settings where other != kind {
            for name in names where section.has(name) && !(Self.settings[kind] ?? []).contains(name) {
                section.complain(name, "this setting needs a mount with \(other); this one has \(kind)")
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

    func app(_ kind: String, _ section: CheckedSection) -> (any App)? {
        switch kind {
        case "files":
            guard let folder = section.text("files") else { return nil }
            if (try? FileManager.default.contentsOfDirectory(atPath: folder)) == nil {
                section.complain("files", "\(folder.debugDescription) is not a readable folder")
            }
            return FileApp(folder, Self.files(section))
        case "upstream": return upstream(section)
        case "python": return python(section)
        case "redirect":
            guard let location = section.text("redirect") else { return nil }
            let status = section.integer("code") ?? 307
            guard [301, 302, 303, 307, 308].contains(status) else {
                section.complain("code", "a redirect needs the code 301, 302, 303, 307 or 308")
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

    static func files(_ section: CheckedSection) -> FileConfiguration {
        var options = FileConfiguration()
        if section.has("index") { options.index = section.texts("index") }
        options.fallback = section.text("fallback")
        options.listsFolders = section.boolean("list") ?? false
        options.servesHidden = section.boolean("hidden") ?? false
        if let age = section.duration("max_age") { options.maximumAge = ["/": age] }
        return options
    }

    /// A Python app; it is imported when the server starts, not when the file is only checked.
    func python(_ section: CheckedSection) -> (any App)? {
        guard let target = section.text("python") else { return nil }
        var options = PythonConfiguration()
        options.environment = section.text("environment")
        if let folder = section.text("folder") {
            options.folder = folder
            if (try? FileManager.default.contentsOfDirectory(atPath: folder)) == nil {
                section.complain("folder", "\(folder.debugDescription) is not a readable folder")
            }
        }
        if let environment = options.environment, !FileManager.default.fileExists(atPath: environment) {
            section.complain("environment", "\(environment.debugDescription) is neither a folder nor a program")
        }
        let file = String(target.prefix(before: ":"))
        if file.hasByteSuffix(".py"),
            !FileManager.default.fileExists(atPath: file.hasBytePrefix("/") ? file : "\(options.folder)/\(file)")
        {
            section.complain("python", "there is no file \(file.debugDescription)")
        }
        for (name, value) in section.fields("variables") { options.variables[name] = value }
        options.threads = section.integer("app_threads")
        options.maximumThreads = section.integer("max_app_threads")
        if let value = section.integer("queue") { options.queue = value }
        options.requestTimeout = section.duration("request_timeout")
        let interface = section.text("interface").flatMap { PythonApp.Interface(rawValue: $0) } ?? .auto
        return PythonApp(target, interface: interface, configuration: options)
    }

    func upstream(_ section: CheckedSection) -> (any App)? {
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
        var options = UpstreamConfiguration()
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
