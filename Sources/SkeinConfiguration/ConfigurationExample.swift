// Files to start from, which CI runs.

/// A commented configuration file to start from.
public enum ConfigurationExample: String, CaseIterable, Sendable {
    /// Files of a folder.
    case `static`
    /// A single-page app, with an API behind it.
    case spa
    /// Back ends behind an alias, with a cache.
    case proxy
    /// An API that requires tokens or keys, with limits.
    case gateway
    /// A Python app, with its files.
    case python

    /// The file.
    public var text: String {
        switch self {
        case .static:
            """
            # The files of a folder, with a log. `skein check FILE --explain` shows all settings with their values.

            [[listen]]
            address = "127.0.0.1:8080"    # 0.0.0.0 is every address
            # tls = true                  # needs [tls]

            # [tls]
            # certificate = "/etc/ssl/example.pem"

            [log]
            file = "-"                    # standard output
            format = "combined"

            [[mount]]
            path = "/"
            files = "public"
            max_age = "10m"

            """
        case .spa:
            """
            # A page that finds its own way: what is no file is answered with index.html. Its API is a program of its own.

            [[listen]]
            address = "127.0.0.1:8080"

            [alias.api]
            members = ["http://127.0.0.1:9000"]

            [[mount]]
            path = "/"
            files = "public"
            fallback = "index.html"

            [[mount]]
            path = "/assets"
            files = "public/assets"
            max_age = "365d"              # for files with a hash in their names

            [[mount]]
            path = "/api"
            upstream = "@api/"

            """
        case .proxy:
            """
            # Two back ends behind one address: requests go to the faster one, and a member that fails gets none.

            [[listen]]
            address = "127.0.0.1:8080"

            [server]
            # trusted_proxies = ["10.0.0.0/8"]    # what stands in front of this server
            max_body = "64M"

            [alias.app]
            members = ["http://127.0.0.1:9001 20", "http://127.0.0.1:9002 10"]
            health = { path = "/", interval = "5s" }

            [cache.pages]
            memory = "64M"
            # folder = "/var/cache/skein"
            # disk = "1G"

            [[mount]]
            path = "/"
            upstream = "@app"
            cache = "pages"
            response_timeout = "30s"
            buffer = "256M"
            set_headers = { X-Content-Type-Options = "nosniff" }

            [[mount]]
            path = "/old"
            redirect = "/new/"
            code = 301

            [[mount]]
            path = "/.status"
            status = true

            """
        case .gateway:
            """
            # An API for clients with tokens or keys. Secrets do not stand here: env:NAME and file:PATH say where they are.

            [[listen]]
            address = "127.0.0.1:8080"

            [gateway]
            realm = "orders"
            cors = ["https://shop.example.org"]

            [gateway.token]
            secret = "env:TOKEN_SECRET"   # of 32 bytes or more; or keys = ["issuer.pem"], or
            # keys_url = "https://id.example.org/.well-known/jwks.json"
            audiences = ["orders"]

            # [gateway.key.robot]
            # sha256 = "…"                # the hash that skein token key prints
            # roles = ["machine"]

            [limit.clients]
            rate = "100/minute"
            burst = 20

            [alias.orders]
            members = ["http://127.0.0.1:9000"]

            [[mount]]
            path = "/orders"
            upstream = "@orders"
            keep_path = true              # the back end sees /orders/…, and nothing of /admin
            limits = ["clients"]
            identity_fields = true        # X-Forwarded-User and X-Forwarded-Roles for the back end
            forward_credentials = false
            access = { roles = ["customer", "machine"] }

            [[mount]]
            path = "/admin"
            upstream = "@orders"
            keep_path = true
            access = { roles = ["admin"], sources = ["10.0.0.0/8", "127.0.0.0/8"] }

            [[mount]]
            path = "/health"
            text = "ok"

            """
        case .python:
            """
            # A Python app, WSGI or ASGI, with its static files served beside it.

            [[listen]]
            address = "127.0.0.1:8080"

            [[mount]]
            path = "/"
            python = "app:app"            # or mysite/wsgi.py:application
            # environment = ".venv"
            # request_timeout = "30s"

            [[mount]]
            path = "/static"
            files = "static"
            max_age = "1d"

            """
        }
    }
}
