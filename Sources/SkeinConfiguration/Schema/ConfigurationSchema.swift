// Every setting of a configuration file, once: the parser, `skein check`, and the page of the documentation read this table.

/// The schema of configuration files.
enum ConfigurationSchema {
    static let root = Section(
        "An engine.",
        [
            Setting("server", .section(server), "the defaults", "Limits and behaviour of the server."),
            Setting("listen", .sections(listen), "127.0.0.1:8080", "Where the server listens."),
            Setting("tls", .section(tls), "no TLS", "Certificates."),
            Setting(
                "acme", .section(acme), "no certificates by themselves",
                "A certificate that is asked for and renewed by itself."),
            Setting("log", .section(log), "no log", "The log of requests."),
            Setting("alias", .named(alias), "none", "Names for back ends, used as \"@NAME/path\"."),
            Setting("cache", .named(cache), "none", "Shared caches, used by the mounts that name them."),
            Setting("gateway", .section(gateway), "no credentials are checked", "Which credentials are accepted."),
            Setting("limit", .named(limit), "none", "Limits of requests in time, used by the mounts that name them."),
            Setting("mount", .sections(mount), nil, "What is served at which path; the longest path wins."),
            Setting("forward_proxy", .section(forwardProxy), "no forward proxy", "Serves as a forward proxy, too."),
        ])

    private static let server = Section(
        "Limits and behaviour of the server.",
        [
            Setting(
                "workers", .integer(1...64), "one process without a master",
                "Processes that serve under a master, which replaces those that end."),
            Setting(
                "shared", .text, "memory of this machine",
                "A Redis server for what the processes of all machines share: redis://HOST/0; with a password, env:NAME or file:PATH of the URL."
            ),
            Setting("threads", .integer(1...1024), "one a core for all workers", "Event-loop threads of each process."),
            Setting(
                "trusted_proxies", .list(.text), "none",
                "Addresses of proxies (CIDR) whose word about the client is believed."),
            Setting(
                "forwarding", .choice(["x-forwarded", "forwarded"]), "x-forwarded", "The fields in which they say it."),
            Setting("proxy_protocol", .boolean, "false", "Whether every connection begins with a PROXY header."),
            Setting("max_body", .bytes, "16M", "Content of a request; more is answered with 413."),
            Setting("max_connections", .integer(1...1_000_000), "20000", "Connections at one time."),
            Setting(
                "max_connections_per_address", .integer(1...1_000_000), "1000",
                "Connections of one address at one time."),
            Setting("header_timeout", .duration, "10s", "From the start of a request to the end of its head."),
            Setting("body_timeout", .duration, "30s", "The longest silence while content is received or sent."),
            Setting("keep_alive_timeout", .duration, "75s", "How long an unused connection is kept."),
            Setting("shutdown_timeout", .duration, "30s", "How long a shutdown waits for requests under way."),
            Setting("min_body_rate", .integer(0...1 << 30), "240", "Bytes a second below which a client is cut off."),
            Setting("http2", .boolean, "true", "Whether HTTP/2 is spoken."),
            Setting("hsts", .durationOrZero, "not sent", "How long browsers use TLS only (Strict-Transport-Security)."),
        ])

    private static let listen = Section(
        "Where the server listens.",
        [
            Setting("address", .text, nil, "HOST:PORT, [IPV6]:PORT, or unix:PATH; 0.0.0.0 is every address."),
            Setting("tls", .boolean, "false", "Whether TLS is spoken there, with the certificates of [tls]."),
            Setting(
                "redirect_to_tls", .boolean, "false",
                "Whether requests there are redirected to the first address with TLS."),
        ])

    private static let tls = Section(
        "Certificates.",
        [
            Setting("certificate", .text, nil, "A PEM file: the certificate, and those between it and a root."),
            Setting("key", .text, "in the same file", "A PEM file with the private key."),
            Setting(
                "more",
                .sections(
                    Section(
                        "Another certificate, chosen by the name that clients ask for.",
                        [
                            Setting("certificate", .text, nil, "A PEM file."),
                            Setting("key", .text, "in the same file", "A PEM file with the private key."),
                        ])), "none", "Certificates for other names."),
            Setting(
                "client_roots", .text, "clients show no certificate",
                "A PEM file with the roots of clients' certificates, which are then required."),
            Setting("minimum_version", .choice(["1.2", "1.3"]), "1.2", "The oldest version of TLS."),
        ])

    private static let acme = Section(
        "A certificate that is asked for and renewed by itself (ACME, RFC 8555), for the addresses with TLS.",
        [
            Setting("names", .list(.text), nil, "The names of the certificate; *.example.org needs dns_program."),
            Setting("email", .text, "none", "Where the authority writes to before something ends."),
            Setting("folder", .text, nil, "A folder for the account and the certificate, for its owner alone."),
            Setting(
                "directory", .text, "https://acme-v02.api.letsencrypt.org/directory",
                "The authority; Let's Encrypt is the default."),
            Setting(
                "challenge", .choice(["http", "tls", "dns"]), "http; dns with dns_program",
                "How the authority sees that the names lead here: requests to port 80, a handshake at port 443, a record of DNS."
            ),
            Setting(
                "dns_program", .text, "none",
                "A program that is called with set or clear, the name of a record, and its text."),
            Setting("roots", .text, "the system's", "A PEM file with the roots of the authority's own server."),
        ])

    private static let log = Section(
        "The log of requests.",
        [
            Setting("file", .text, "-", "The file; - is standard output."),
            Setting("format", .choice(["skein", "combined", "common", "json"]), "skein", "How a line looks."),
            Setting("off", .list(.text), "none", "Paths that are not logged: \"/static/\" or \"*.css\"."),
            Setting("size", .bytes, "100M", "The size at which a new file is begun."),
            Setting("keep", .integer(0...10_000), "5", "Full files that are kept."),
        ])

    private static let alias = Section(
        "A name for back ends.",
        [
            Setting(
                "members", .list(.text), nil,
                "URLs, each with a weight if it is not 1: \"http://10.0.0.1:5001 20\"; \"dns+http://HOST:PORT\" stands for all addresses of a host, \"srv+http://_SERVICE._tcp.DOMAIN\" for the instances of a service."
            ),
            Setting(
                "policy", .choice(["peak-ewma", "round-robin", "least-requests", "consistent-hash"]), "peak-ewma",
                "Which member a request goes to."),
            Setting("slow_start", .durationOrZero, "10s", "How long the weight of a new member grows."),
            Setting("attempts", .integer(1...10), "3", "Attempts of a request, the first included."),
            Setting("ejection", .duration, "30s", "How long a member that fails gets no requests, the first time."),
            Setting(
                "health",
                .section(
                    Section(
                        "Active health checks.",
                        [
                            Setting(
                                "path", .text, "HEAD /, any response passes",
                                "The path of a GET, whose status has to be below 400."),
                            Setting(
                                "grpc", .text, "none",
                                "The gRPC service that has to be SERVING (grpc.health.v1); empty for the server."),
                            Setting("interval", .duration, "5s", "How often."),
                            Setting("timeout", .duration, "2s", "How long an answer may take."),
                        ])), "none", "Active health checks."),
            Setting(
                "access", .section(access), "everybody",
                "Who may have requests passed on to it, wherever it is mounted."),
        ])

    private static let cache = Section(
        "A shared cache (RFC 9111).",
        [
            Setting("memory", .bytes, "64M", "Bytes in memory."),
            Setting("folder", .text, "memory only", "A folder, which outlives a restart."),
            Setting("disk", .bytes, "1G", "Bytes in the folder."),
        ])

    private static let access = Section(
        "Who may: of the sources given, and an identity of those given.",
        [
            Setting("authenticated", .boolean, "false", "Whether any identity is needed."),
            Setting("roles", .list(.text), "any", "Roles, of which an identity needs one."),
            Setting("users", .list(.text), "any", "Names of identities."),
            Setting("sources", .list(.text), "any", "Addresses of clients (CIDR)."),
            Setting("any_of", .boolean, "false", "Whether either a source or an identity is enough."),
        ])

    private static let gateway = Section(
        "Which credentials are accepted. A request with credentials of which none are valid is answered with 401.",
        [
            Setting("realm", .text, "skein", "What credentials are for, as clients are told."),
            Setting(
                "required", .boolean, "false",
                "Whether every request needs an identity; else the mounts decide by [mount.access]."),
            Setting("cors", .list(.text), "none", "Origins whose pages may use what is behind the gateway."),
            Setting(
                "certificates", .boolean, "false",
                "Whether the common name of a client's certificate is an identity ([tls] client_roots)."),
            Setting(
                "token",
                .section(
                    Section(
                        "JSON Web Tokens (RFC 7519).",
                        [
                            Setting("keys", .list(.text), "none", "Files with keys: PEM, JSON Web Key or set."),
                            Setting("secret", .secret, "none", "A secret for HS256, HS384, HS512."),
                            Setting("keys_url", .text, "none", "The issuer's key set, kept up to date."),
                            Setting("issuers", .list(.text), "any", "Accepted values of iss."),
                            Setting(
                                "audiences", .list(.text), "none: tokens must not have aud", "Accepted values of aud."),
                            Setting("leeway", .durationOrZero, "60s", "How much clocks may differ."),
                            Setting("user_claim", .text, "sub", "Where the name is; dots lead into objects."),
                            Setting("roles_claim", .text, "roles", "Where the roles are."),
                        ])), "none", "JSON Web Tokens."),
            Setting(
                "introspection",
                .section(
                    Section(
                        "Tokens that their issuer explains (RFC 7662).",
                        [
                            Setting("url", .text, nil, "The introspection endpoint."),
                            Setting("client", .text, nil, "The name of this server at the issuer."),
                            Setting("secret", .secret, nil, "Its password there."),
                            Setting("audiences", .list(.text), "any", "Accepted values of aud."),
                            Setting("user_claim", .text, "sub", "Where the name is."),
                            Setting("roles_claim", .text, "scope", "Where the roles are."),
                        ])), "none", "Tokens that their issuer explains."),
            Setting(
                "key",
                .named(
                    Section(
                        "A key of a program; its name is the identity.",
                        [
                            Setting("sha256", .text, nil, "The hash that skein token key prints."),
                            Setting("roles", .list(.text), "none", "Its roles."),
                        ])), "none", "Keys of programs, in the field X-API-Key."),
            Setting("key_header", .text, "X-API-Key", "The field for keys of programs."),
            Setting(
                "user",
                .named(
                    Section(
                        "A user with a password.",
                        [
                            Setting("password", .text, nil, "The hash that skein token password prints."),
                            Setting("roles", .list(.text), "none", "The roles."),
                        ])), "none", "Users with passwords (Basic)."),
        ])

    private static let limit = Section(
        "A limit of requests in time.",
        [
            Setting("rate", .rate, nil, "Requests in a time: \"100/minute\", \"5/10s\"."),
            Setting(
                "burst", .integer(1...1_000_000_000), "that of the rate",
                "Requests that may come at once (token bucket)."),
            Setting(
                "algorithm", .choice(["token-bucket", "sliding-window"]), "token-bucket", "How requests are counted."),
            Setting("by", .choice(["client", "user", "all"]), "client", "For whom they are counted."),
        ])

    private static let mount = Section(
        "What is served at a path: exactly one of files, upstream, python, redirect, text, status, metrics.",
        [
            Setting("path", .text, nil, "The path; what is below it belongs to it."),
            Setting("host", .text, "every host", "A host name, or *.example.org."),
            Setting("files", .text, "none", "A folder whose files are served."),
            Setting("upstream", .text, "none", "A back end: http://HOST:PORT/path, or @ALIAS/path."),
            Setting(
                "python", .text, "none",
                "An app in Python: MODULE:NAME or FILE:NAME, such as app:app or mysite/wsgi.py:application."),
            Setting(
                "redirect", .text, "none",
                "A URL or path to which clients are sent; the rest of the path follows it if it ends with /."),
            Setting("text", .text, "none", "A fixed answer."),
            Setting("status", .boolean, "false", "The status page, for local clients."),
            Setting("metrics", .boolean, "false", "Metrics for Prometheus, for local clients."),
            Setting("code", .integer(200...599), "200; 307 of a redirect", "The status of text and redirect."),
            Setting("content_type", .text, "text/plain; charset=utf-8", "The media type of text."),
            Setting("index", .list(.text), "index.html", "Files that stand for their folder (files)."),
            Setting(
                "fallback", .text, "none",
                "The file that answers where there is none, for pages that find their own way (files)."),
            Setting("list", .boolean, "false", "Whether folders without an index are listed (files)."),
            Setting("hidden", .boolean, "false", "Whether files are served whose names begin with a dot (files)."),
            Setting("max_age", .durationOrZero, "clients ask", "How long clients may keep files (files)."),
            Setting("keep_path", .boolean, "false", "Whether the path of the mount is passed on, too (upstream)."),
            Setting("host_field", .text, "kept", "The Host field: kept, replaced, or a name (upstream)."),
            Setting(
                "http2", .boolean, "by TLS", "Whether HTTP/2 is spoken to the back end, also in clear text (upstream)."),
            Setting("cache", .text, "none", "A cache of [cache] (upstream)."),
            Setting("connect_timeout", .duration, "10s", "To connect (upstream)."),
            Setting("response_timeout", .duration, "60s", "To the head of the response (upstream)."),
            Setting("read_timeout", .duration, "60s", "The longest silence of the back end (upstream)."),
            Setting("timeout", .duration, "none", "The whole exchange (upstream)."),
            Setting("tunnel_timeout", .duration, "10m", "The longest silence of a WebSocket (upstream)."),
            Setting(
                "buffer", .bytes, "not buffered",
                "Bytes of a response that are read before a slow client takes them (upstream)."),
            Setting(
                "upgrades", .list(.text), "websocket", "Protocols that a connection may be upgraded to (upstream)."),
            Setting(
                "identity_fields", .boolean, "false",
                "Whether X-Forwarded-User and X-Forwarded-Roles say who asks (upstream)."),
            Setting(
                "forward_credentials", .boolean, "true", "Whether the Authorization field is passed on (upstream)."),
            Setting("set_request_headers", .fields, "none", "Fields of requests, in place of the client's (upstream)."),
            Setting("remove_request_headers", .list(.text), "none", "Fields of requests that are left out (upstream)."),
            Setting("interface", .choice(["wsgi", "asgi", "auto"]), "auto", "What the app speaks (python)."),
            Setting(
                "environment", .text, "VIRTUAL_ENV, .venv, venv, or python3",
                "A folder of a virtual environment, or a Python program (python)."),
            Setting("folder", .text, "the working folder", "Where the app's modules are found (python)."),
            Setting("variables", .fields, "none", "Variables of the environment (python)."),
            Setting("app_threads", .integer(1...1024), "1", "Threads that call a WSGI app, always (python)."),
            Setting(
                "max_app_threads", .integer(1...1024), "64",
                "Threads that call a WSGI app, at most: so many calls wait for databases and the like (python)."),
            Setting(
                "queue", .integer(1...100_000), "1024", "Requests that wait for a thread; others get 503 (python)."),
            Setting(
                "request_timeout", .duration, "none",
                "The longest call of a WSGI app. Then the client gets 504, and a worker is replaced (python)."),
            Setting("set_headers", .fields, "none", "Fields of responses."),
            Setting("remove_headers", .list(.text), "none", "Fields of responses that are left out (upstream)."),
            Setting("access", .section(access), "everybody", "Who may use it."),
            Setting("limits", .list(.text), "none", "Limits of [limit]."),
            Setting("cors", .list(.text), "none", "Origins whose pages may read its answers."),
        ])

    private static let forwardProxy = Section(
        "A forward proxy, for clients that are set up for one.",
        [
            Setting("ports", .list(.integer(1...65535)), "443", "Ports to which tunnels are opened."),
            Setting("allow", .list(.text), "public addresses", "Addresses (CIDR) that may be connected to, too."),
            Setting("deny", .list(.text), "none", "Addresses (CIDR) that may not be."),
            Setting("tunnels_per_client", .integer(1...100_000), "100", "Tunnels of one address at one time."),
            Setting("users", .list(.secret), "no credentials are asked for", "NAME:PASSWORD pairs."),
        ])
}
