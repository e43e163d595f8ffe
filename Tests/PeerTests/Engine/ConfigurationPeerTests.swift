import Foundation
import PeerSupport
import SkeinConfiguration
import SkeinCore
import SkeinEngine
import SkeinHTTP
import Synchronization
import Testing

/// `skein run` with curl in front and gunicorn behind it, and our TOML parser compared with Python's.
@Suite("Configuration by file", .serialized, .inTurn, .timeLimit(.minutes(4)))
struct ConfigurationPeerTests {
    private static let documents = [
        "a = 1\nb = -0\nc = +1_000\nd = 0xFF\ne = 0o17\nf = 0b101\n",
        "a = 1.5\nb = -1e3\nc = 6.02E+23\nd = inf\ne = 1_0.0_1\n",
        "a = \"x\\u00e4\\U0001F600\\t\\\"\\\\\"\nb = 'C:\\x'\n",
        "a = \"\"\"\nline\n  two \\\n   three\"\"\"\"\nb = '''\nraw\\'''\n",
        "a = [1, [2, 3], [\"x\", 'y'],\n # c\n 4,\n]\n", "a = { b = 1, c.d = [2], \"e f\" = { g = true } }\n",
        "[a]\nb = 1\n[a.c]\nd = 2\n[a.c.e]\n[f.g]\n[f]\nh = 3\n",
        "[[a]]\nb = 1\n[[a]]\nb = 2\n[a.c]\nd = 3\n[[a.e]]\n[[a.e]]\nf = 4\n",
        "a.b.c = 1\na.b.d = 2\n\"x\".'y' = 3\n1.2 = 4\n",
        "# comment \u{e4}\n\n\t a\t=\t\"\u{1F600}\" # end\r\nb = false\r\n",
        "[a . b]\nc = true\n[a.\"d.e\"]\nf = []\n", "key = \"\"\nb = {}\nc = ''''''\nd = \"\"\"\"\"\"\n",
    ]

    @Test(
        "what Python reads as TOML is read the same, and what it refuses is refused: 12 000 documents, most with mistakes"
    )
    func toml() async throws {
        var mutator = Mutator(random: SeededGenerator(seed: 11))
        var inputs = Self.documents.map { Array($0.utf8) }
        for number in 0..<12_000 {
            let base = inputs[number % Self.documents.count]
            inputs.append(mutator.mutate(base, with: inputs[(number / 3) % Self.documents.count]))
        }
        let file = try TestFolder.write(
            JSONValue.array(inputs.map { .string(Base64URL.encode($0)) }).json, as: "documents")
        let script = """
            import base64, json, sys, tomllib, datetime, math
            def plain(v):
                if isinstance(v, dict): return {k: plain(w) for k, w in v.items()}
                if isinstance(v, list): return [plain(w) for w in v]
                if isinstance(v, bool): return v
                if isinstance(v, float): return "float " + ("nan" if math.isnan(v) else repr(v))
                if isinstance(v, int):
                    if not -2**63 <= v < 2**63: raise OverflowError
                    return "int " + str(v)
                if isinstance(v, (datetime.datetime, datetime.date, datetime.time)): raise OverflowError
                return "str " + v
            out = []
            for text in json.load(open(sys.argv[1])):
                data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
                try: out.append(plain(tomllib.loads(data.decode("utf-8"))))
                except OverflowError: out.append("skip")
                except RecursionError: out.append("skip")
                except Exception: out.append(None)
            print(json.dumps(out))
            """
        let theirs = try #require(try await PeerTests.python(script, file).elements)
        #expect(theirs.count == inputs.count)
        var (read, refused) = (0, 0)
        for (input, expected) in zip(inputs, theirs) {
            if expected.string == "skip" { continue }
            let ours = (try? TOMLReader.read(input)).map(Self.plain) ?? .null
            if expected == .null { refused += 1 } else { read += 1 }
            #expect(
                ours == expected,
                "\(String(decoding: input, as: UTF8.self).debugDescription)\nours   \(ours.json)\ntheirs \(expected.json)"
            )
        }
        #expect(read > 1000 && refused > 1000, "\(read) \(refused)")
    }

    private static func plain(_ table: TOMLTable) -> JSONValue {
        .object(JSONObject(table.entries.map { ($0.key, plain($0.node)) }))
    }

    private static func plain(_ node: TOMLNode) -> JSONValue {
        switch node.value {
        case .string(let text): .string("str " + text)
        case .integer(let number): .string("int \(number)")
        case .float(let number): .string("float " + python(number))
        case .boolean(let value): .bool(value)
        case .array(let items): .array(items.map(plain))
        case .table(let table): plain(table)
        }
    }

    /// A number as Python writes it.
    private static func python(_ number: Double) -> String {
        if number.isNaN { return "nan" }
        var text = "\(number)"
        if let mark = text.firstIndex(of: "e") {
            var mantissa = text[..<mark]
            if mantissa.hasSuffix(".0") { mantissa = mantissa.dropLast(2) }
            var exponent = text[text.index(after: mark)...]
            let sign = exponent.hasPrefix("-") ? "-" : "+"
            if exponent.hasPrefix("-") || exponent.hasPrefix("+") { exponent = exponent.dropFirst() }
            text = "\(mantissa)e\(sign)\(exponent.count < 2 ? "0" : "")\(exponent)"
        }
        return text
    }

    private static let app = """
        import os
        def application(environ, start_response):
            body = (environ["PATH_INFO"] + " " + environ.get("HTTP_X_FORWARDED_USER", "-")).encode()
            start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "max-age=60")])
            return [body]
        """

    private func gunicorn() async throws -> (PeerProcess, Int) {
        let folder = TestFolder.path("run-back")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Self.app.write(toFile: "\(folder)/back.py", atomically: true, encoding: .utf8)
        let port = try await Ports.free()
        let process = try PeerProcess(
            Peers.python("gunicorn"),
            ["-b", "127.0.0.1:\(port)", "-k", "gthread", "--threads", "8", "--chdir", folder, "back"],
            log: TestFolder.path("run-back.log"))
        try await Ports.untilOpen(port)
        return (process, port)
    }

    private func curl(_ url: String, _ arguments: String...) async throws -> String {
        try await runToEnd("curl", ["-sS", "--max-time", "10", "-o", "-", "-w", " %{http_code}", url] + arguments)
            .output
    }

    @Test("the sample files: each serves as described")
    func examples() async throws {
        let (process, back) = try await gunicorn()
        let folder = TestFolder.path("examples")
        for name in ["public/assets", "static"] {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        }
        for name in ["public/index.html", "public/assets/a.js", "static/a.css"] {
            try name.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
        }
        try
            "def app(environ, start):\n    start('200 OK', [])\n    return [b'an app of ' + environ['PATH_INFO'][1:].encode()]\n"
            .write(toFile: "\(folder)/app.py", atomically: true, encoding: .utf8)
        let secret = "0123456789abcdef0123456789abcdef"
        let token = try TokenKey(secret: secret.utf8).sign([
            "sub": "ada", "aud": "orders", "roles": ["customer"], "exp": 10_000_000_000,
        ])
        for (example, asked) in [
            (ConfigurationExample.static, [("/", [], "public/index.html 200"), ("/none", [], " 404")]),
            (
                .spa,
                [
                    ("/deep/page", ["-H", "Accept: text/html"], "public/index.html 200"), ("/api/x", [], "/x - 200"),
                    ("/assets/a.js", [], "public/assets/a.js 200"),
                ]
            ),
            (.proxy, [("/x", [], "/x - 200"), ("/old/a?b=1", [], " 301"), ("/.status", [], "200")]),
            (
                .gateway,
                [
                    ("/orders/x", [], " 401"),
                    ("/orders/x", ["-H", "Authorization: Bearer \(token)"], "/orders/x ada 200"),
                    ("/admin", ["-H", "Authorization: Bearer \(token)"], " 403"), ("/health", [], "ok 200"),
                ]
            ),
            (.python, [("/static/a.css", [], "static/a.css 200"), ("/x", [], "an app of x 200")]),
        ] {
            let port = try await Ports.free()
            var text = example.text.replacingOccurrences(of: "127.0.0.1:8080", with: "127.0.0.1:\(port)")
            for number in [9000, 9001, 9002] { text = text.replacingOccurrences(of: ":\(number)", with: ":\(back)") }
            text = text.replacingOccurrences(of: "\"public", with: "\"\(folder)/public")
            text = text.replacingOccurrences(of: "files = \"static\"", with: "files = \"\(folder)/static\"")
            text = text.replacingOccurrences(of: "python = ", with: "folder = \"\(folder)\"\npython = ")
            let file = try TestFolder.write(text, as: "toml")
            let skein = try PeerProcess(
                CommandTests.skein, ["run", file], environment: ["TOKEN_SECRET": secret],
                log: TestFolder.path("run.log"))
            _ = try await skein.untilPrinted("listening on ")
            for (path, arguments, expected) in asked {
                let run = try await runToEnd(
                    "curl",
                    ["-sS", "--max-time", "10", "-w", " %{http_code}", "http://127.0.0.1:\(port)\(path)"] + arguments)
                #expect(run.output.hasSuffix(expected), "\(example) \(path): \(run.output)\n\(skein.output)")
            }
            #expect(await skein.stop() == 0)
        }
        await process.stop()
    }

    private final class Load: Sendable {
        let isOver = Mutex(false)
        let answered = Mutex(0)
    }

    @Test("reloads under load: no request is dropped, an invalid file changes nothing, memory is constant")
    func reloads() async throws {
        let (process, back) = try await gunicorn()
        let port = try await Ports.free()
        let path = TestFolder.path("reload.toml")
        func text(_ version: Int) -> String {
            """
            [[listen]]
            address = "127.0.0.1:\(port)"
            [alias.back]
            members = ["http://127.0.0.1:\(back)", "http://localhost:\(back)"]
            [[mount]]
            path = "/back"
            upstream = "@back/"
            [[mount]]
            path = "/version"
            text = "\(version)"
            """
        }
        func write(_ text: String) throws { try text.write(toFile: path, atomically: true, encoding: .utf8) }
        try write(text(0))
        let skein = try PeerProcess(CommandTests.skein, ["run", path], log: TestFolder.path("reload.log"))
        _ = try await skein.untilPrinted("listening on ")
        let client = SkeinClient()
        let state = Load()
        async let load: Int = withTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    var failed = 0
                    while !state.isOver.withLock({ $0 }), !Task.isCancelled {
                        let response = await client.get("http://127.0.0.1:\(port)/back/x").dispatch()
                        if response.statusCode != 200 {
                            failed += 1
                            Issue.record("\(response.reportLine)")
                        }
                        state.answered.withLock { $0 += 1 }
                    }
                    return failed
                }
            }
            return await group.reduce(0, +)
        }
        func version() async throws -> String { try await client.get("http://127.0.0.1:\(port)/version").text() }
        func reload(_ number: Int) async throws {
            try write(text(number))
            skein.send(SIGHUP)
            while try await version() != "\(number)" { try await Task.sleep(for: .milliseconds(2)) }
        }
        for number in 1...100 { try await reload(number) }
        let before = try skein.residentBytes
        for number in 101...1000 { try await reload(number) }
        let grown = try skein.residentBytes - before
        #expect(grown < 12 << 20, "\(grown)")
        try write(text(1001) + "\n[sever]\n")
        skein.send(SIGHUP)
        _ = try await skein.untilPrinted("the previous configuration stays in force")
        #expect(skein.output.contains("unknown setting; did you mean server?"))
        #expect(try await version() == "1000")
        try write(text(1002).replacingOccurrences(of: "[alias", with: "[server]\nthreads = 7\n[alias"))
        skein.send(SIGHUP)
        _ = try await skein.untilPrinted("these settings need a restart to change: threads")
        state.isOver.withLock { $0 = true }
        #expect(await load == 0)
        #expect(state.answered.withLock { $0 } > 1000)
        await client.shutdown()
        #expect(await skein.stop() == 0)
        await process.stop()
    }

    @Test("--watch reloads a changed file; keys and passwords of skein token are accepted")
    func watching() async throws {
        let port = try await Ports.free()
        let path = TestFolder.path("watch.toml")
        let hashed = try await runToEnd(CommandTests.skein, ["token", "password"], input: "correct horse\n").output
        let made = try await runToEnd(CommandTests.skein, ["token", "key"]).output.split(separator: "\n").map {
            $0.split(separator: " ").last ?? ""
        }
        let text = """
            [[listen]]
            address = "127.0.0.1:\(port)"
            [gateway.user.ada]
            password = "\(hashed.trimmingCharacters(in: .whitespacesAndNewlines))"
            roles = ["admin"]
            [gateway.key.robot]
            sha256 = "\(made[1])"
            [[mount]]
            path = "/"
            text = "in"
            access = { users = ["ada", "robot"] }
            """
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        let skein = try PeerProcess(CommandTests.skein, ["run", path, "--watch"], log: TestFolder.path("watch.log"))
        _ = try await skein.untilPrinted("listening on ")
        let url = "http://127.0.0.1:\(port)/"
        #expect(try await curl(url, "-u", "ada:correct horse") == "in 200")
        #expect(try await curl(url, "-u", "ada:correct horse") == "in 200")
        for wrong in ["ada:wrong", "bob:correct horse", "ada:"] {
            #expect(try await curl(url, "-u", wrong).hasSuffix(" 401"))
        }
        #expect(try await curl(url, "-H", "X-API-Key: \(made[0])") == "in 200")
        // A client that guesses passwords is blocked; a client that was right before continues.
        var statuses: [String] = []
        for number in 0..<20 { statuses.append(String(try await curl(url, "-u", "ada:guess\(number)").suffix(3))) }
        #expect(statuses.first == "401" && statuses.last == "429", "\(statuses)")
        #expect(try await curl(url, "-u", "ada:correct horse") == "in 200")
        #expect(try await curl(url).hasSuffix(" 401"))
        try (text + "\nset_headers = { X-New = \"1\" }\n").replacingOccurrences(
            of: "text = \"in\"", with: "text = \"new\""
        )
        .write(toFile: path, atomically: true, encoding: .utf8)
        _ = try await skein.untilPrinted("reloaded")
        #expect(try await curl(url, "-u", "ada:correct horse", "-i").contains("X-New: 1"))
        await skein.stop()
    }

    @Test("skein check: exit codes, JSON, and the page of all settings")
    func check() async throws {
        let good = try TestFolder.write("[[mount]]\npath = \"/\"\ntext = \"x\"\n", as: "toml")
        let bad = try TestFolder.write("[[mount]]\npath = \"/\"\ntxt = \"x\"\n", as: "toml")
        #expect(try await runToEnd(CommandTests.skein, ["check", good]).code == 0)
        let refused = try await runToEnd(CommandTests.skein, ["check", bad])
        #expect(
            refused.code == 1
                && refused.errors.contains("\(bad):3:1: mount.txt: unknown setting; did you mean text?"))
        #expect(try await runToEnd(CommandTests.skein, ["run", bad]).code == 1)
        #expect(try await runToEnd(CommandTests.skein, ["check", "/none"]).code == 1)
        #expect(try await runToEnd(CommandTests.skein, ["run"]).code == 2)
        let json = try JSONValue(json: try await runToEnd(CommandTests.skein, ["check", bad, "--json"]).output)
        #expect(json.elements?.contains { $0["line"] == 3 && $0["key"] == "mount.txt" } == true)
        let page = try await runToEnd(CommandTests.skein, ["check", "--settings"]).output
        let docs = try String(
            contentsOf: URL(filePath: #filePath).appending(path: "../../../../docs/Settings.md").standardized,
            encoding: .utf8)
        #expect(docs.hasSuffix(page), "write docs/Settings.md with skein check --settings")
    }
}
