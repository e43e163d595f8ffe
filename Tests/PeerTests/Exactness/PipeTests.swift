import Crypto
import Foundation
import PeerSupport
import Skein
import Testing

/// The program in a pipeline: input from a pipe, and output that cannot be written.
@Suite("Pipes", .serialized, .inTurn, .timeLimit(.minutes(3)))
struct PipeTests {
    private func shell(_ line: String) async throws -> Finished {
        try await runToEnd("bash", ["-c", line.replacing("skein ", with: "\(CommandTests.skein) ")])
    }

    private func nginx() async throws -> String { "http://127.0.0.1:\(try await Peers.shared.nginxPort())" }

    /// The server's response to content: its SHA-256.
    private static func hash(_ text: String) -> String {
        SHA256.hash(data: Data(text.utf8)).map { String(format: "%02x", $0) }.joined()
    }

    @Test("standard input, substituted files and /dev/stdin are read from a pipe")
    func input() async throws {
        let base = try await nginx()
        let echo = "http://127.0.0.1:\(try await Peers.shared.servicesPort())/echo"
        for (line, expected) in [
            ("echo 'select 5' | skein sql --raw sqlite::memory: -", "5"),
            ("echo 'select 6' | skein sql --raw sqlite::memory: @/dev/stdin", "6"),
            ("skein sql --raw sqlite::memory: @<(echo 'select 7')", "7"),
            ("echo \(base)/hello | skein get @-", "REQID 0. HTTP/1.1 200 OK 11 bytes received\n"),
            ("skein get @<(echo \(base)/hello)", "REQID 0. HTTP/1.1 200 OK 11 bytes received\n"),
            ("skein sql --raw sqlite::memory: $'-- a comment\\nselect 8'", "8"),
            ("skein sql --raw sqlite::memory: ''", ""),
        ] {
            let run = try await shell(line)
            #expect(run.code == 0 && run.output == expected, "\(line): \(run.output)\(run.errors)")
        }
        for line in [
            "printf 'piped body' | skein post -d - --body \(echo)",
            "skein post -d @<(printf 'piped body') --body \(echo)",
            "printf 'piped body' | skein post -d @/dev/stdin --body \(echo)",
        ] {
            let run = try await shell(line)
            #expect(
                run.code == 0 && run.output.contains(Self.hash("piped body")), "\(line): \(run.output)\(run.errors)")
        }
        let many = try await shell("head -c 300000 /dev/zero | tr '\\0' x | skein post -d - --body \(echo)")
        #expect(many.code == 0 && many.output.contains(Self.hash(String(repeating: "x", count: 300_000))))
        let missing = try await shell("skein sql sqlite::memory: @/nowhere")
        #expect(missing.code == 2 && missing.errors.contains("/nowhere"))
    }

    @Test("failed output is an error")
    func full() async throws {
        let base = try await nginx()
        let redis = try await RedisPeer.shared.get().url()
        let json = "http://127.0.0.1:\(try await RPCTests.jsonPort())/"
        let ws = try await WebSocketClientTests.url()
        for line in [
            "skein --help", "skein --version", "skein sql --help", "skein sql sqlite::memory: 'select 1'",
            "skein sql --json sqlite::memory: 'select 1'", "skein sql --csv sqlite::memory: 'select 1'",
            "skein get \(base)/hello",
            "skein get --body \(base)/hello", "skein get --headers \(base)/hello", "skein get --json \(base)/hello",
            "skein redis \(redis) PING", "skein resolve localhost", "skein rpc --json-rpc \(json) echo 1",
            "skein ws --send hi --count 1 \(ws)/echo", "skein load -n 10 \(base)/hello", "skein demo -n 10",
        ] {
            let run = try await shell("\(line) > /dev/full")
            #expect(
                run.code == 1 && run.errors.contains("cannot be written: No space left"),
                "\(line): \(run.code) \(run.errors)")
        }
        let closed = try await shell(
            "skein sql sqlite::memory: 'with recursive n(i) as (select 1 union all select i+1 from n limit 100000) select i from n' | head -1; echo ${PIPESTATUS[0]}"
        )
        #expect(closed.errors.isEmpty && closed.output.hasSuffix("\n141\n"), "\(closed.errors)")
    }

    @Test("several statements print each result; COPY uses the standard streams; an error shows its position")
    func postgres() async throws {
        let url = try await PostgresPeer.shared.get().url()
        let several = try await shell(
            "skein sql --csv \(url) 'select 1 as a; create temp table c (x int); select 2.50 as b, true as c'")
        #expect(several.output == "a\r\n1\nb,c\r\n2.50,true\n", "\(several.errors)")
        let table = try await shell("skein sql \(url) 'create temp table c (x int); insert into c values (1), (2)'")
        #expect(table.output == "CREATE TABLE 0\nINSERT 2\n", "\(table.errors)")
        let out = try await shell("skein sql \(url) \"COPY (VALUES (1, 'a'), (2, NULL)) TO STDOUT\"")
        #expect(out.code == 0 && out.output == "1\ta\n2\t\\N\n", "\(out.errors)")
        let into = try await shell(
            "skein sql \(url) 'create table if not exists copied (n int, t text)' && printf '1\\ta\\n2\\tb\\n' | skein sql \(url) 'COPY copied FROM STDIN' && skein sql --raw \(url) 'select string_agg(t, $$,$$ order by n) from copied'"
        )
        #expect(into.output == "CREATE TABLE 0\nCOPY 2\na,b", "\(into.errors)")
        let wrong = try await shell("skein sql \(url) $'select 1,\\n  nothing from pg_class'")
        #expect(
            wrong.code == 1 && wrong.errors.contains("LINE 2:   nothing from pg_class\n          ^"), "\(wrong.errors)")
        let hint = try await shell("skein sql \(url) 'select reltypee from pg_class'")
        #expect(hint.errors.contains("Perhaps you meant") && hint.errors.contains("LINE 1"), "\(hint.errors)")
        let strange = try await shell("skein sql \(url) \"select E'a\\\\rb\\\\x1b[31mc\\\\td' as s\"")
        #expect(strange.output.contains("a\\rb\\x1b[31mc\\td"), "\(strange.output)\(strange.errors)")
    }

    @Test(
        ".netrc is read as curl reads it",
        arguments: [
            "machine 127.0.0.1 password p login l",
            "machine 127.0.0.1 login a password b machine 127.0.0.1 login c password d",
            "default login x password y\nmachine 127.0.0.1 login a password b", "machine 127.0.0.1 login only",
            "macdef m\nmachine 127.0.0.1 login z password z\n\nmachine 127.0.0.1 login a password \"b c\\\"d\"",
            "machine 127.0.0.1\n  login a\n  account q\n  password b\n",
            "machine other login o password o default login d password e",
            "# machine 127.0.0.1 login no password no\nmachine 127.0.0.1 login a password b#c",
        ])
    func netrc(text: String) async throws {
        let echo = "http://127.0.0.1:\(try await Peers.shared.servicesPort())/echo"
        let file = try TestFolder.write(text, as: "netrc")
        chmod(file, 0o600)
        let curl = try await runToEnd("curl", ["-s", "-v", "-o", "/dev/null", "--netrc-file", file, echo])
        let theirs = curl.errors.split(whereSeparator: \.isNewline).first { $0.hasPrefix("> Authorization: Basic ") }?
            .dropFirst(23)
            .trimmingCharacters(in: .whitespacesAndNewlines)
        let credentials = try HTTPCredentials.netrc(file)
        var configuration = SkeinClient.Configuration()
        configuration.http.credentials = credentials
        let skein = SkeinClient(configuration)
        let server = try await ScriptedServer.start { _ in [.send("HTTP/1.1 204 No Content\r\n\r\n")] }
        let response = await skein.get("http://127.0.0.1:\(server.port)/").dispatch()
        let ours = response.request.headers["Authorization"]?.dropFirst(6).description
        #expect(ours == theirs.map { $0 }, "\(text)")
        await server.stop()
        await skein.shutdown()
    }
}
