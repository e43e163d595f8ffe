// Access control: from the settings of the gateway to middleware.

import SkeinCore
import SkeinEngine
import SkeinHTTP

extension EngineBuilder {
    mutating func guardWith(_ section: CheckedSection, _ kept: KeptStates) {
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
                "", "the gateway accepts no credentials; add [gateway.token], [gateway.key.NAME] or [gateway.user.NAME]"
            )
        }
        let origins = section.texts("cors")
        if !origins.isEmpty { engine.middleware.append(Self.cors(origins)) }
        engine.middleware.append(
            Gateway(authenticators, policy: section.boolean("required") ?? false ? .authenticated : .anyone))
    }

    static func cors(_ origins: [String]) -> CORS {
        var cors = CORS()
        cors.origins = origins.map { $0.lowercased() }
        return cors
    }

    static func token(_ section: CheckedSection, _ realm: String, _ kept: KeptStates) -> TokenAuthentication? {
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
            section.complain("", "no keys are configured; add keys, secret or keys_url")
        }
        var verifier = TokenVerifier(
            keys: keys, issuers: Set(section.texts("issuers")), audiences: Set(section.texts("audiences")))
        if let leeway = section.duration("leeway") { verifier.leeway = leeway / .seconds(1) }
        return TokenAuthentication(
            realm: realm, verifier, keysFrom: remote,
            claims: TokenClaims(
                user: section.text("user_claim") ?? "sub", roles: section.text("roles_claim") ?? "roles"))
    }

    mutating func forward(_ section: CheckedSection) {
        var options = ForwardProxyConfiguration()
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
                "the gateway requires credentials, but the forward proxy has no users; add users here")
        }
        engine.forwardProxy = options
    }
}
