import Foundation
import PeerSupport
import Testing

@testable import SkeinConfiguration

/// Configuration files with errors: each is reported with its line, its key and a message that says what to do.
@Suite("Configuration files")
struct ConfigurationTests {
    private static let mount = "[[mount]]\npath = \"/\"\ntext = \"x\"\n"

    static let broken: [(text: String, expected: String)] = [
        // The text.
        ("a = ", "1:5: expected a value"),
        ("a 1", "1:3: expected = and a value after the key"),
        ("= 1", "1:1: expected a key: letters, digits, _ and -, or a string"),
        ("a = \"x", "1:7: the string does not end on its line"),
        ("a = \"x\ny\"", "1:7: the string does not end on its line"),
        ("a = \"\\x\"", "1:6: unknown escape sequence; known are \\b \\t \\n \\f \\r \\\" \\\\ \\uXXXX \\UXXXXXXXX"),
        ("a = 1 2", "1:7: data follows the value; begin a new line"),
        ("a = [1, 2", "2:1: expected a comma or ] after a value of the array"),
        ("a = [1 2]", "1:8: expected a comma or ] after a value of the array"),
        ("a = { b = 1", "1:12: expected a comma or } on the same line after a value of the inline table"),
        ("a = 2026-11-26", "1:5: dates and times are not supported; write a string"),
        ("a = yes", "1:5: \"yes\" is not a value; a string needs quotation marks"),
        ("a = 01", "1:5: \"01\" is not a value; a string needs quotation marks"),
        ("[a", "1:3: the name of a table must end with ]"),
        ("[[a]", "1:5: the name of a table must end with ]]"),
        ("server.threads = 1\nserver.threads = 2", "2:8: threads: threads is defined already, in line 1"),
        ("[server]\n[server]", "2:2: server: server is defined already, in line 1"),
        ("a = \"\u{1}\"", "1:6: the string holds a control character"),
        // Names.
        ("[sever]\nthreads = 1", "1:2: sever: unknown setting; did you mean server?"),
        ("[server]\nthread = 1", "2:1: server.thread: unknown setting; did you mean threads?"),
        ("[server]\nmax-body = \"1M\"", "2:1: server.max-body: unknown setting; did you mean max_body?"),
        ("[log]\ncolour = 1", "2:1: log.colour: unknown setting; known are file, format, off, size, keep"),
        // Types.
        (
            "[server]\nthreads = \"4\"",
            "2:11: server.threads: expected an integer from 1 to 1024, got the string \"4\""
        ),
        ("[server]\nthreads = 0", "2:11: server.threads: expected an integer from 1 to 1024, got 0"),
        ("[server]\nthreads = 1.5", "2:11: server.threads: expected an integer from 1 to 1024, got 1.5"),
        ("[server]\nhttp2 = \"on\"", "2:9: server.http2: expected true or false, got the string \"on\""),
        (
            "[server]\nmax_body = \"16X\"",
            "2:12: server.max_body: expected a size such as \"64K\", \"16M\" or \"1G\", got the string \"16X\""
        ),
        (
            "[server]\nheader_timeout = \"10 parsecs\"",
            "2:18: server.header_timeout: expected a duration above 0 such as \"30s\", \"500ms\", \"10m\" or \"1h\", got the string \"10 parsecs\""
        ),
        ("server = 1", "1:10: server: expected a table, got 1"),
        (
            "[server]\ntrusted_proxies = \"10.0.0.0/8\"",
            "2:19: server.trusted_proxies: expected an array, each value a string, got the string \"10.0.0.0/8\""
        ),
        ("[server]\ntrusted_proxies = [1]", "2:20: server.trusted_proxies: expected a string, got 1"),
        (
            "[server]\ntrusted_proxies = [\n  \"10.0.0.0/8\",\n  \"ten\",\n]",
            "4:3: server.trusted_proxies: \"ten\" is not an address range; write \"10.0.0.0/8\""
        ),
        (
            "[server]\nforwarding = \"forwrded\"",
            "2:14: server.forwarding: expected one of \"x-forwarded\", \"forwarded\", got \"forwrded\"; did you mean \"forwarded\"?"
        ),
        ("[listen]\naddress = \"127.0.0.1:1\"", "1:2: listen: expected an array of tables; begin each with [[listen]]"),
        // Addresses and TLS.
        ("[[listen]]", "1:3: listen.address: this setting is required: a string"),
        (
            "[[listen]]\naddress = \"8080\"",
            "2:11: listen.address: \"8080\" is not an address; write \"HOST:PORT\", \"[IPV6]:PORT\" or \"unix:PATH\""
        ),
        (
            "[[listen]]\naddress = \"[::1]:80800\"",
            "2:11: listen.address: \"[::1]:80800\" is not an address; write \"HOST:PORT\", \"[IPV6]:PORT\" or \"unix:PATH\""
        ),
        (
            "[[listen]]\naddress = \"a:1\"\n[[listen]]\naddress = \"a:1\"",
            "4:11: listen.address: \"a:1\" occurs twice"
        ),
        (
            "[[listen]]\naddress = \"a:1\"\ntls = true",
            "3:7: listen.tls: TLS needs a certificate; add [tls] with certificate = \"FILE\", or [acme]"
        ),
        (
            "[[listen]]\naddress = \"unix:/a\"\ntls = true\n[tls]\ncertificate = \"/dev/null\"",
            "3:7: listen.tls: TLS needs a TCP address"
        ),
        ("[tls]\ncertificate = \"/dev/null\"", "1:2: tls: no address uses TLS; add tls = true to a [[listen]]"),
        (
            "[[listen]]\naddress = \"a:1\"\ntls = true\n[tls]\ncertificate = \"/none.pem\"",
            "5:15: tls.certificate: the file \"/none.pem\" cannot be read"
        ),
        (
            "[[listen]]\naddress = \"a:1\"\nredirect_to_tls = true",
            "3:19: listen.redirect_to_tls: there is no address with TLS to redirect to"
        ),
        (
            "[[listen]]\naddress = \"a:1\"\ntls = true\n[acme]\nnames = [\"localhost\"]\nfolder = \"/tmp\"",
            "5:10: acme.names: \"localhost\" is not a host name that a certificate can have"
        ),
        (
            "[[listen]]\naddress = \"a:1\"\ntls = true\n[acme]\nnames = [\"*.a.org\"]\nfolder = \"/tmp\"",
            "5:10: acme.names: *.a.org needs a program for DNS"
        ),
        (
            "[[listen]]\naddress = \"a:1\"\ntls = true\n[acme]\nnames = [\"a.org\"]\nfolder = \"/tmp\"\nchallenge = \"dns\"",
            "7:13: acme.challenge: DNS records are set by a program"
        ),
        (
            "[acme]\nnames = [\"a.org\"]\nfolder = \"/tmp\"",
            "1:2: acme: no address uses TLS; add tls = true to a [[listen]]"
        ),
        // Aliases, caches, limits.
        ("[alias.a]", "1:8: alias.a.members: this setting is required: an array, each value a string"),
        ("[alias.a]\nmembers = []", "2:11: alias.a.members: an alias needs at least one member"),
        (
            "[alias.a]\nmembers = [\"http://b:1 x\"]",
            "2:12: alias.a.members: \"http://b:1 x\" is not a member; write \"http://HOST:PORT\", and a weight if it is not 1"
        ),
        (
            "[alias]\na = [\"http://b\"]",
            "2:1: alias.a: expected a named table such as [alias.a], got an array"
        ),
        ("[cache.a]\ndisk = \"1G\"", "2:8: cache.a.disk: a size on disk needs a folder = \"PATH\""),
        ("[cache.a]\nfolder = \"/proc/none\"", "2:10: cache.a.folder: "),
        (
            "[limit.a]\nrate = \"100\"",
            "2:8: limit.a.rate: expected a rate such as \"100/minute\" or \"5/10s\", got the string \"100\""
        ),
        ("[limit.a]\nrate = \"1/s\"\nburst = 2\nalgorithm = \"sliding-window\"", "2:8: limit.a.rate: "),
        (
            "[limit.a]\nrate = \"1/second\"\nburst = 2\nalgorithm = \"sliding-window\"",
            "3:9: limit.a.burst: a sliding window has no burst"
        ),
        (
            "[alias.\"a b\"]\nmembers = [\"http://b\"]",
            "1:8: alias.a b: \"@a b\" is not an alias; write @ and letters, digits, dots, hyphens or underscores"
        ),
        (
            "[alias.a]\nmembers = [\"http://b\"]\nhealth = { interval = \"1ms\" }",
            "3:23: alias.a.health.interval: the interval must be at least 100 ms"
        ),
        (
            "[cache.a]\nfolder = \"/tmp/skein-none\"\n[cache.b]\nfolder = \"/tmp/skein-none\"",
            "4:10: cache.b.folder: another cache uses this folder"
        ),
        ("[limit.a]\nrate = \"9223372036854775807/second\"", "2:8: limit.a.rate: expected a rate"),
        ("[server]\nheader_timeout = 0", "2:18: server.header_timeout: expected a duration above 0"),
        // Credentials.
        (
            "[gateway]\nrequired = true\n[gateway.key.a]\nsha256 = \"\(String(repeating: "a", count: 64))\"\n[forward_proxy]",
            "5:2: forward_proxy.users: the gateway requires credentials"
        ),
        (
            "[gateway.introspection]\nurl = \"http://id.example.org/x\"\nclient = \"a\"\nsecret = \"env:PATH\"",
            "2:7: gateway.introspection.url: http://id.example.org/x is not https"
        ),
        (
            "[gateway.token]\nkeys = [\"/etc/passwd\"]",
            "2:9: gateway.token.keys: \"/etc/passwd\" has no keys: it is neither PEM nor a JSON Web Key or key set"
        ),
        (
            "[gateway]",
            "1:2: gateway: the gateway accepts no credentials; add [gateway.token], [gateway.key.NAME] or [gateway.user.NAME]"
        ),
        (
            "[gateway.token]\nsecret = \"hunter2\"",
            "2:10: gateway.token.secret: expected a string: \"env:NAME\" for a variable of the environment, \"file:PATH\" for the content of a file; secrets are not allowed in this file"
        ),
        (
            "[gateway.token]\nsecret = \"env:NO_SUCH_VARIABLE\"",
            "2:10: gateway.token.secret: the environment variable \"NO_SUCH_VARIABLE\" is not set"
        ),
        (
            "[gateway.token]\nkeys = [\"/none\"]",
            "2:9: gateway.token.keys: \"/none\" has no keys: the file cannot be read"
        ),
        ("[gateway.token]", "1:10: gateway.token: no keys are configured; add keys, secret or keys_url"),
        (
            "[gateway.token]\nkeys_url = \"http://id.example.org/keys\"",
            "2:12: gateway.token.keys_url: http://id.example.org/keys is not https; an issuer must use TLS"
        ),
        (
            "[gateway.key.a]\nsha256 = \"abc\"",
            "2:10: gateway.key.a.sha256: the hash of the API key \"a\" is not 64 hexadecimal digits"
        ),
        (
            "[gateway.user.a]\npassword = \"secret\"",
            "2:12: gateway.user.a.password: this is not a password hash; create one with skein token password"
        ),
    ]

    static let brokenMounts: [(text: String, expected: String)] = [
        ("", "1:1: mount: this setting is required: an array of tables, each begun by its name in [[ ]]"),
        (
            "[[mount]]\npath = \"/\"",
            "1:3: mount: the mount serves nothing; add one of files, upstream, python, redirect, text, status, metrics"
        ),
        (
            "[[mount]]\npath = \"/\"\ntext = \"a\"\nstatus = true",
            "1:3: mount: a mount serves exactly one thing, not text and status"
        ),
        ("[[mount]]\ntext = \"a\"", "1:3: mount.path: this setting is required: a string"),
        (
            "[[mount]]\npath = \"a\"\ntext = \"a\"",
            "2:8: mount.path: \"a\" cannot be a mount path: it must begin with a slash"
        ),
        (
            "[[mount]]\npath = \"/\"\nhost = \"a:1\"\ntext = \"a\"",
            "3:8: mount.host: \"a:1\" is not a host; write www.example.org or *.example.org"
        ),
        ("[[mount]]\npath = \"/\"\nfiles = \"/none\"", "3:9: mount.files: \"/none\" is not a readable folder"),
        (
            "[[mount]]\npath = \"/\"\ntext = \"a\"\nkeep_path = true",
            "4:13: mount.keep_path: this setting needs a mount with upstream; this one has text"
        ),
        (
            "[[mount]]\npath = \"/\"\nupstream = \"@orders\"",
            "3:12: mount.upstream: there is no alias \"orders\"; add [alias.orders]"
        ),
        (
            "[alias.orders]\nmembers = [\"http://a\"]\n[[mount]]\npath = \"/\"\nupstream = \"@order\"",
            "5:12: mount.upstream: there is no alias \"order\"; did you mean \"orders\"?"
        ),
        ("[[mount]]\npath = \"/\"\nupstream = \"ftp://a\"", "3:12: mount.upstream: "),
        (
            "[[mount]]\npath = \"/\"\nupstream = \"http://a\"\ncache = \"x\"",
            "4:9: mount.cache: there is no cache \"x\"; add [cache.x]"
        ),
        (
            "[[mount]]\npath = \"/\"\ntext = \"a\"\nlimits = [\"x\"]",
            "4:11: mount.limits: there is no limit \"x\"; add [limit.x]"
        ),
        (
            "[[mount]]\npath = \"/\"\nredirect = \"/b\"\ncode = 200",
            "4:8: mount.code: a redirect needs the code 301, 302, 303, 307 or 308"
        ),
        (
            "[[mount]]\npath = \"/\"\ntext = \"a\"\naccess = {}",
            "4:10: mount.access: the access rule is empty; add roles, users, authenticated or sources"
        ),
        (
            "[[mount]]\npath = \"/\"\ntext = \"a\"\naccess = { sources = [\"here\"] }",
            "4:23: mount.access.sources: \"here\" is not an address range; write \"10.0.0.0/8\""
        ),
        (
            "[[mount]]\npath = \"/\"\ntext = \"a\"\nset_headers = { \"a b\" = \"c\" }",
            "4:15: mount.set_headers: the header field \"a b\" was refused before anything was sent: its name is not a token or its value holds a line break, NUL or another control byte"
        ),
        (
            "[[mount]]\npath = \"/\"\ntext = \"a\"\nset_headers = { a = 1 }",
            "4:21: mount.set_headers.a: expected a string, got 1"
        ),
    ]

    private func problems(_ text: String) -> [String] {
        do {
            _ = try ConfigurationFile(text: text.utf8, name: "f")
            return []
        } catch let error as ConfigurationError {
            return error.problems.map { String("\($0)".dropFirst(2)) }
        } catch {
            return ["\(error)"]
        }
    }

    @Test("each mistake is one problem, at its line, with its sentence", arguments: broken.indices)
    func mistakes(row: Int) {
        let (text, expected) = Self.broken[row]
        let found = problems(text + "\n" + Self.mount)
        #expect(found.count == 1 && found.first?.hasPrefix(expected) == true, "\(text)\n\(found)")
    }

    @Test("each mistake of a mount", arguments: brokenMounts.indices)
    func mountMistakes(row: Int) {
        let (text, expected) = Self.brokenMounts[row]
        let found = problems(text)
        #expect(found.count == 1 && found.first?.hasPrefix(expected) == true, "\(text)\n\(found)")
    }

    @Test("explicit defaults equal omitted settings")
    func written() {
        let text =
            "[[listen]]\naddress = \"a:1\"\ntls = true\n[[listen]]\naddress = \"a:2\"\ntls = false\nredirect_to_tls = true\n[tls]\ncertificate = \"/dev/null\"\n"
        #expect(problems(text + Self.mount) == [])
    }

    @Test("all mistakes of a file are reported, in file order")
    func several() {
        let found = problems("[server]\nthreads = 0\nhttp2 = 1\nfoo = 1\n")
        #expect(found.map { $0.prefix(2) } == ["1:", "2:", "3:", "4:"])
    }

    @Test("the normal form of a file is equivalent to the file", arguments: ConfigurationExample.allCases)
    func explanation(example: ConfigurationExample) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "skein-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder.appending(path: "assets"), withIntermediateDirectories: true)
        let text = example.text.replacingOccurrences(of: "\"public", with: "\"\(folder.path)")
            .replacingOccurrences(of: "files = \"static\"", with: "files = \"\(folder.path)\"")
            .replacingOccurrences(of: "env:TOKEN_SECRET", with: "env:PATH")
        let file = try ConfigurationFile(text: text.utf8, name: "f")
        let again = try ConfigurationFile(text: file.explanation.utf8, name: "f")
        #expect(again.explanation == file.explanation)
        #expect(again.engine.configuration.changesForRestart(to: file.engine.configuration) == [])
        #expect(file.explanation.contains("# header_timeout: 10s") || !file.explanation.contains("[server]"))
    }

    @Test("durations, sizes and rates")
    func quantities() {
        #expect(
            ["1", "1s", "1.5h", "500ms", "2m", "1d", "0"].map(Quantity.duration) == [
                .seconds(1), .seconds(1), .seconds(5400), .milliseconds(500), .seconds(120), .seconds(86_400), .zero,
            ])
        #expect(["", "s", "1x", "-1", "1 2", "1.2.3", "1e9d"].map(Quantity.duration).allSatisfy { $0 == nil })
        #expect(["1", "64K", "1.5M", "1GiB", "2TB"].map(Quantity.bytes) == [1, 65_536, 1_572_864, 1 << 30, 2 << 40])
        #expect(["", "K", "1X", "-1", "1KK", "99999999T"].map(Quantity.bytes).allSatisfy { $0 == nil })
        #expect(Quantity.rate("100/minute")?.1 == .seconds(60) && Quantity.rate("5/10s")?.0 == 5)
        #expect(["0/s", "1", "1/", "/s", "1/0s", "a/second"].allSatisfy { Quantity.rate($0) == nil })
    }
}
