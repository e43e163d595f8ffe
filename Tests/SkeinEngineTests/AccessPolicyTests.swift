import SkeinCore
import SkeinTransport
import Testing

@testable import SkeinEngine

/// Access control, as a table of policies and their decisions for requests with and without an identity.
@Suite("Access policies")
struct AccessPolicyTests {
    typealias Decision = AccessPolicy.Decision

    private static let admin = Identity(user: "ada", roles: ["admin", "user"])
    private static let user = Identity(
        user: "bob", roles: ["user"],
        claims: ["realm": ["groups": ["cloth", "yarn"]], "scope": "read write", "title": "assistant of admin"])

    static let rows: [(AccessPolicy, admin: Decision, user: Decision, none: Decision)] = [
        (.anyone, .allowed, .allowed, .allowed),
        (.nobody, .forbidden, .forbidden, .forbidden),
        (.authenticated, .allowed, .allowed, .unauthenticated),
        (.role("admin"), .allowed, .forbidden, .unauthenticated),
        (.role("admin", "user"), .allowed, .allowed, .unauthenticated),
        (.user("bob"), .forbidden, .allowed, .unauthenticated),
        (.claim("realm.groups", "yarn"), .forbidden, .allowed, .unauthenticated),
        (.claim("scope", "write"), .forbidden, .allowed, .unauthenticated),
        (.claim("scope", "rea"), .forbidden, .forbidden, .unauthenticated),
        (.claim("title", "admin"), .forbidden, .forbidden, .unauthenticated),
        (.claim("title", "assistant of admin"), .forbidden, .allowed, .unauthenticated),
        (!.role("admin"), .forbidden, .allowed, .unauthenticated),
        (.role("admin") || .user("bob"), .allowed, .allowed, .unauthenticated),
        (.role("admin") && .user("bob"), .forbidden, .forbidden, .unauthenticated),
        // The client of the table is at 10.1.2.3.
        (.source("10.0.0.0/8"), .allowed, .allowed, .allowed),
        (.source("192.168.0.0/16"), .forbidden, .forbidden, .forbidden),
        (.source("10.0.0.0/8") && .authenticated, .allowed, .allowed, .unauthenticated),
        (.source("192.168.0.0/16") && .authenticated, .forbidden, .forbidden, .forbidden),
        (.authenticated && .source("192.168.0.0/16"), .forbidden, .forbidden, .forbidden),
        (.source("192.168.0.0/16") || .role("admin"), .allowed, .forbidden, .unauthenticated),
        (.role("admin") || .source("10.0.0.0/8"), .allowed, .allowed, .allowed),
        (!.source("10.0.0.0/8"), .forbidden, .forbidden, .forbidden),
        (.method(.get, .head) || .role("admin"), .allowed, .allowed, .allowed),
        (.method(.post), .forbidden, .forbidden, .forbidden),
        (.secure, .forbidden, .forbidden, .forbidden),
        (.certificate("worker.example.org"), .allowed, .allowed, .allowed),
        (.certificate("other.example.org"), .forbidden, .forbidden, .forbidden),
    ]

    @Test("each policy, for an administrator, a user, and an anonymous client", arguments: rows.indices)
    func decisions(row: Int) {
        let row = Self.rows[row]
        for (identity, expected) in [(Self.admin, row.admin), (Self.user, row.user), (nil, row.none)] {
            let facts = AccessPolicy.Facts(
                identity: identity,
                given: .init(address: "10.1.2.3", certificateNames: ["worker.example.org", "worker"]))
            #expect(row.0.decision(facts) == expected, "\(row.0) for \(identity?.user ?? "nobody")")
        }
    }

    @Test("names are compared as bytes, and addresses as numbers")
    func bytes() {
        let composed = Identity(user: "caf\u{E9}", roles: ["r\u{E9}gie"])
        func decision(_ policy: AccessPolicy, _ address: String? = nil) -> Decision {
            policy.decision(AccessPolicy.Facts(identity: composed, given: .init(address: address)))
        }
        #expect(decision(.user("cafe\u{301}")) == .forbidden && decision(.role("re\u{301}gie")) == .forbidden)
        #expect(decision(.source("10.0.0.0/8"), "::ffff:10.0.0.1") == .allowed)
        #expect(decision(.source("2001:db8::/32"), "2001:DB8::1") == .allowed)
        #expect(decision(.source("10.0.0.0/8"), nil) == .forbidden)
        #expect(
            "\(AccessPolicy.role("a") || .source("10.0.0.0/8") && .secure)"
                == "(role a or (source 10.0.0.0/8 and over TLS))")
    }
}
