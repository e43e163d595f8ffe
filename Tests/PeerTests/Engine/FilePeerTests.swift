import Foundation
import PeerSupport
import SkeinEngine
import Testing

/// Files: the responses of nginx and of Skein to the same requests, and files that are never served.
@Suite("Files", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct FilePeerTests {
    /// A folder with files of all kinds, created once.
    private static let folder: String = {
        let folder = TestFolder.path("files")
        let manager = FileManager.default
        func write(_ name: String, _ content: Data) {
            let url = URL(filePath: "\(folder)/\(name)")
            try? manager.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try? content.write(to: url)
        }
        write("public/index.html", Data("<h1>index</h1>".utf8))
        write("public/text.txt", Data((0..<1000).map { "line \($0)\n" }.joined().utf8))
        write("public/app.js", Data(String(repeating: "let a = 1\n", count: 200).utf8))
        write("public/app.js.gz", Data("not really gzip".utf8))
        write("public/empty.bin", Data())
        write("public/big.bin", Data((0..<(3 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 9) }))
        write("public/ä ö.txt", Data("umlaut".utf8))
        write("public/sub/index.html", Data("sub".utf8))
        write("public/sub/deep/file.txt", Data("deep".utf8))
        write("public/listed/b.txt", Data("b".utf8))
        write("public/listed/<a>.txt", Data("a".utf8))
        write("public/.hidden/secret.txt", Data("hidden".utf8))
        write("public/.env", Data("hidden".utf8))
        write("public/.well-known/acme", Data("known".utf8))
        write("secret.txt", Data("secret".utf8))
        write("public2/secret.txt", Data("secret".utf8))
        try? manager.createSymbolicLink(atPath: "\(folder)/public/out.txt", withDestinationPath: "../secret.txt")
        try? manager.createSymbolicLink(atPath: "\(folder)/public/outdir", withDestinationPath: "..")
        try? manager.createSymbolicLink(atPath: "\(folder)/public/sibling", withDestinationPath: "../public2")
        try? manager.createSymbolicLink(atPath: "\(folder)/public/in.txt", withDestinationPath: "text.txt")
        mkfifo("\(folder)/public/pipe", 0o600)
        try? manager.setAttributes(
            [.modificationDate: Date(timeIntervalSince1970: 784_111_777)], ofItemAtPath: "\(folder)/public/text.txt")
        chmod(folder, 0o755)
        return folder
    }()

    private static func engine(_ change: (inout FileConfiguration) -> Void = { _ in }) -> Engine {
        var options = FileConfiguration()
        change(&options)
        var engine = Engine()
        engine.mount("/", .directory("\(folder)/public", options))
        return engine
    }

    private struct Case: Sendable, CustomTestStringConvertible {
        let path: String
        let arguments: [String]
        var testDescription: String { "\(path) \(arguments.joined(separator: " "))" }

        init(_ path: String, _ arguments: String...) {
            self.path = path
            self.arguments = arguments
        }
    }

    private static let date = "Sun, 06 Nov 1994 08:49:37 GMT"

    @Test("the same as nginx: status, content, length and range of every request")
    func likeNginx() async throws {
        let cases = [
            Case("/text.txt"), Case("/text.txt", "-I"), Case("/big.bin"), Case("/empty.bin"), Case("/index.html"),
            Case("/"),
            Case("/sub/"), Case("/sub/deep/file.txt"), Case("/nothing"), Case("/sub/nothing"),
            Case("/%C3%A4%20%C3%B6.txt"), Case("/text%2Etxt"), Case("/text.txt?query=1"), Case("/in.txt"),
            Case("/text.txt", "-r", "0-99"), Case("/text.txt", "-r", "-100"), Case("/text.txt", "-r", "8000-"),
            Case("/text.txt", "-r", "99999-"),
            Case("/big.bin", "-r", "1000000-2000000"),
            Case("/text.txt", "-H", "Range: lines=1-2"),
            Case("/text.txt", "-z", Self.date), Case("/text.txt", "-z", "-\(Self.date)"),
            Case("/text.txt", "-H", "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT"),
            Case("/text.txt", "-H", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT"),
            Case("/text.txt", "-H", "If-Match: \"nonsense\""), Case("/text.txt", "-H", "If-Match: *"),
            Case("/text.txt", "-r", "0-9", "-H", "If-Range: \(Self.date)"),
            Case("/text.txt", "-r", "0-9", "-H", "If-Range: Sun, 06 Nov 1994 08:49:36 GMT"),
            Case("/text.txt", "-r", "0-9", "-H", "If-Range: \"nonsense\""), Case("/text.txt", "-X", "POST"),
            Case("/text.txt", "-r", "0-9,20-29"),
        ]
        let nginx = try await Self.nginx()
        try await serving(Self.engine { $0.compresses = false }) { (port, _) async throws in
            for one in cases {
                func ask(_ base: String) async throws -> [String] {
                    let out = TestFolder.path("out")
                    let head = try await runToEnd(
                        "curl",
                        ["-sS", "--path-as-is", "--max-time", "20", "-o", out, "-w", "%{http_code} %{header_json}"]
                            + one.arguments + [base + one.path]
                    ).output
                    let (code, json) = (String(head.prefix(3)), Data(head.dropFirst(4).utf8))
                    let fields = try JSONDecoder().decode([String: JSONValue].self, from: json)
                    func field(_ name: String) -> String { fields[name]?[0]?.string ?? "-" }
                    let isFile = ["200", "206", "304"].contains(code)
                    let type = field("content-type").prefix { $0 != ";" }
                    let isParted = type == "multipart/byteranges"
                    let content = FileManager.default.contents(atPath: out) ?? Data()
                    return [
                        code, isFile && !isParted ? field("content-length") : "", field("content-range"),
                        isFile ? field("last-modified") : "", code == "200" || isParted ? String(type) : "",
                        isFile && !isParted && !one.arguments.contains("-I") ? content.base64EncodedString() : "",
                    ]
                }
                let (ours, theirs) = (try await ask("http://127.0.0.1:\(port)"), try await ask(nginx))
                #expect(
                    ours == theirs,
                    "\(one.testDescription): \(ours.map { $0.prefix(80) }) \(theirs.map { $0.prefix(80) })")
            }
        }
    }

    /// nginx over the same folder.
    private static func nginx() async throws -> String {
        let port = try await Ports.free()
        let home = TestFolder.path("nginx-files")
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map { "\($0)_temp_path \(home)/\($0);" }
            .joined()
        let user = getuid() == 0 ? "user root;" : ""
        let configuration = """
            \(user) daemon off; worker_processes 1; pid \(home)/pid; error_log \(home)/error.log; events {}
            http { access_log off; \(paths) types { text/plain txt; text/html html; text/javascript js; }
            default_type application/octet-stream;
            server { listen 127.0.0.1:\(port); root \(folder)/public; } }
            """
        let path = try TestFolder.write(configuration, as: "nginx.conf")
        _ = try PeerProcess(
            "nginx", ["-c", path, "-p", home, "-e", "\(home)/error.log"], log: TestFolder.path("nginx.log"))
        try await Ports.untilOpen(port)
        return "http://127.0.0.1:\(port)"
    }

    @Test("Python's requests: entity tags, several ranges, streaming, HTTP/2 by httpx")
    func requests() async throws {
        try await serving(Self.engine()) { (port, _) async throws in
            let found = try await python(
                """
                import email, hashlib, json, sys, requests, httpx
                base = sys.argv[1]
                out = {}
                session = requests.Session()
                first = session.get(base + "/text.txt", headers={"Accept-Encoding": "identity"})
                tag = first.headers["ETag"]
                out["known"] = session.get(base + "/text.txt", headers={"If-None-Match": tag, "Accept-Encoding": "identity"}).status_code
                out["match"] = session.get(base + "/text.txt", headers={"If-Match": tag, "Accept-Encoding": "identity"}).status_code
                coded = session.get(base + "/text.txt", headers={"Accept-Encoding": "gzip"})
                out["coded"] = [coded.headers["Content-Encoding"], coded.text == first.text, coded.headers["ETag"] != tag,
                                coded.headers["Vary"], int(coded.headers["Content-Length"]) < len(first.content)]
                out["coded known"] = session.get(base + "/text.txt", headers={"If-None-Match": coded.headers["ETag"], "Accept-Encoding": "gzip"}).status_code
                parts = session.get(base + "/text.txt", headers={"Range": "bytes=0-9,20-29,-5"})
                message = email.message_from_bytes(b"Content-Type: " + parts.headers["Content-Type"].encode() + b"\\r\\n\\r\\n" + parts.content)
                out["parts"] = [[part["Content-Range"], part.get_payload()] for part in message.get_payload()]
                out["parts length"] = len(parts.content) == int(parts.headers["Content-Length"])
                with session.get(base + "/big.bin", stream=True) as big:
                    one = hashlib.sha256(b"".join(big.iter_content(100_000))).hexdigest()
                with httpx.Client(http1=False, http2=True) as client:
                    two = client.get(base + "/big.bin")
                    out["h2"] = [two.http_version, hashlib.sha256(two.content).hexdigest() == one,
                                 client.get(base + "/big.bin", headers={"Range": "bytes=5-9"}).content == two.content[5:10]]
                    out["h2 coded"] = client.get(base + "/text.txt", headers={"Accept-Encoding": "br, zstd, gzip"}).headers["content-encoding"]
                out["sibling"] = requests.get(base + "/app.js", headers={"Accept-Encoding": "gzip"}, stream=True).raw.read(100).decode()
                out["br"] = requests.get(base + "/app.js", headers={"Accept-Encoding": "br"}, stream=True).headers["Content-Encoding"]
                print(json.dumps(out))
                """, "http://127.0.0.1:\(port)")
            #expect(
                found["known"]?.integer == 304 && found["match"]?.integer == 200 && found["coded known"]?.integer == 304
            )
            #expect(
                found["coded"]
                    == .array([.string("gzip"), .bool(true), .bool(true), .string("Accept-Encoding"), .bool(true)]))
            #expect(
                found["parts"]?[0]?[0]?.string == "bytes 0-9/8890" && found["parts"]?[0]?[1]?.string == "line 0\nlin")
            #expect(
                found["parts"]?[2]?[0]?.string == "bytes 8885-8889/8890" && found["parts"]?[2]?[1]?.string == " 999\n")
            #expect(found["parts length"] == .bool(true))
            #expect(found["h2"] == .array([.string("HTTP/2"), .bool(true), .bool(true)]))
            #expect(found["h2 coded"]?.string == "br")
            #expect(found["sibling"]?.string == "not really gzip" && found["br"]?.string == "br")
        }
    }

    @Test("no spelling of a path leads out of the folder, or to hidden files")
    func inside() async throws {
        let paths = [
            "/../secret.txt", "/sub/../../secret.txt", "/%2e%2e/secret.txt", "/%2E%2E%2Fsecret.txt", "/..%2fsecret.txt",
            "/..%5csecret.txt", "/..\\secret.txt", "/%2e%2e%5csecret.txt", "/....//secret.txt", "/..;/secret.txt",
            "/sub/%2e%2e/%2e%2e/secret.txt", "/%252e%252e/secret.txt", "/%c0%ae%c0%ae/secret.txt", "/.%00./secret.txt",
            "/text.txt%00", "/text.txt%00.html", "//secret.txt", "//../secret.txt", "/./../secret.txt",
            "/.%2e/secret.txt",
            "/%2e./secret.txt", "/sub/.././../secret.txt", "/out.txt", "/outdir/secret.txt",
            "/outdir/public2/secret.txt",
            "/sibling/secret.txt", "/outdir/", "/.env", "/%2eenv", "/.hidden/secret.txt", "/%2ehidden/secret.txt",
            "/pipe",
            "/sub/deep/file.txt/", "/sub/deep/file.txt/..", "/text.txt/", "/text.txt/x", "/sub%2fdeep%2ffile.txt",
            "/sub//deep/file.txt",
            "/\(Self.folder)/secret.txt", "/%2f\(Self.folder)/secret.txt", "/..%c0%afsecret.txt", "/..%u2216secret.txt",
            "/public/../../secret.txt", "/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/..../secret.txt",
            "/ %2e%2e/secret.txt".replacing(" ", with: "%20"),
        ]
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            try await serving(Self.engine { $0.listsFolders = true }) { (port, _) async throws in
                for path in paths {
                    let answer = try await curl(
                        version, "--path-as-is", "-w", " %{http_code}", "http://127.0.0.1:\(port)\(path)")
                    let code = Int(answer.suffix(3)) ?? 0
                    #expect((400..<500).contains(code), "\(path): \(answer.prefix(100))")
                    #expect(
                        !answer.contains("hidden") && !answer.contains("deep 2") && !answer.hasPrefix("secret"),
                        "\(path)")
                }
                #expect(try await curl("http://127.0.0.1:\(port)/.well-known/acme") == "known")
            }
        }
    }

    @Test("links are followed inside, everywhere, or not at all")
    func links() async throws {
        func code(_ links: FileConfiguration.Links, _ path: String) async throws -> String {
            var code = ""
            try await serving(Self.engine { $0.links = links }) { (port, _) async throws in
                code = try await curl("-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:\(port)\(path)")
            }
            return code
        }
        #expect(try await code(.inside, "/in.txt") == "200")
        #expect(try await code(.refused, "/in.txt") == "404")
        #expect(try await code(.refused, "/text.txt") == "200")
        #expect(try await code(.followed, "/out.txt") == "200")
        #expect(try await code(.followed, "/sibling/secret.txt") == "200")
    }

    @Test(
        "a list is just what is served: no link that leads out, nothing that cannot be read, and names that are no UTF-8"
    )
    func listedIsServed() async throws {
        let folder = TestFolder.path("names")
        let script = """
            mkdir -p "$0/sub" && cd "$0" && printf a > $'caf\\xe9.txt' && printf b > $'x\\xf4\\x8f\\xbe\\x80.txt' && printf c > plain.txt
            ln -s plain.txt inner.txt; ln -s /etc/passwd out.txt; ln -s /etc outdir; ln -s nowhere broken; mkfifo pipe
            printf d > $'sub/\\xff\\xfe'; printf e > .hidden
            """
        let made = try await runToEnd("bash", ["-c", script, folder])
        #expect(made.code == 0, "\(made.errors)")
        var options = FileConfiguration()
        options.listsFolders = true
        var engine = Engine()
        engine.mount("/", .directory(folder, options))
        try await serving(engine) { (port, _) async throws in
            let base = "http://127.0.0.1:\(port)"
            func list(_ path: String) async throws -> [String] {
                let text = try await curl("-H", "Accept: application/json", base + path)
                return try JSONValue(json: text).elements?.compactMap { $0["href"]?.string } ?? []
            }
            let names = try await list("/")
            #expect(Set(names) == ["caf%E9.txt", "x%F4%8F%BE%80.txt", "plain.txt", "inner.txt", "sub"])
            for (name, content) in [
                ("caf%E9.txt", "a"), ("x%F4%8F%BE%80.txt", "b"), ("plain.txt", "c"), ("inner.txt", "c"),
            ] {
                #expect(try await curl("\(base)/\(name)") == content, "\(name)")
            }
            #expect(try await list("/sub/") == ["%FF%FE"])
            #expect(try await curl("\(base)/sub/%FF%FE") == "d")
            let page = try await curl("-H", "Accept: text/html", "\(base)/")
            #expect(page.contains("href=\"./caf%E9.txt\"") && !page.contains("out.txt"))
            for name in [
                "out.txt", "broken", "pipe", "outdir/passwd", "x%80.txt", "caf%C3%A9.txt", "%00", "sub%2F%FF%FE",
            ] {
                #expect(try await curl("-o", "/dev/null", "-w", "%{http_code}", "\(base)/\(name)") != "200", "\(name)")
            }
        }
    }

    @Test("folders: a slash, an index, a listing for people and for programs")
    func folders() async throws {
        var engine = Engine()
        var options = FileConfiguration()
        options.listsFolders = true
        engine.mount("/files", .directory("\(Self.folder)/public", options))
        try await serving(engine) { (port, _) async throws in
            let base = "http://127.0.0.1:\(port)/files"
            let moved = try await curl("-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", "\(base)/sub?a=b")
            #expect(moved == "308 \(base)/sub/?a=b")
            #expect(try await curl("-L", base) == "<h1>index</h1>")
            #expect(try await curl("-L", "\(base)/sub") == "sub")
            let list = try await curl("-H", "Accept: application/json", "\(base)/listed/")
            let names = try JSONDecoder().decode([JSONValue].self, from: Data(list.utf8)).map { $0["name"]?.string }
            #expect(names == ["<a>.txt", "b.txt"])
            let page = try await curl("-H", "Accept: text/html", "\(base)/listed/")
            #expect(page.contains("<a href=\"./%3Ca%3E.txt\">&lt;a&gt;.txt</a>"))
            // A path that would be another host in a Location is not used.
            let host = try await curl("--path-as-is", "-i", "http://127.0.0.1:\(port)//evil.test/sub")
            #expect(host.hasPrefix("HTTP/1.1 404"))
        }
    }

    @Test("max-age by path, custom types, a fallback for pages")
    func options() async throws {
        let engine = Self.engine { options in
            options.maximumAge = ["/": .seconds(300), "/sub": .zero, "/sub/deep": .seconds(3600)]
            options.types = ["bin": "application/x-own"]
            options.fallback = "index.html"
        }
        try await serving(engine) { (port, _) async throws in
            let base = "http://127.0.0.1:\(port)"
            let text = try await curl("-i", "\(base)/text.txt")
            #expect(text.contains("\r\nCache-Control: max-age=300\r\nExpires: "))
            #expect(try await curl("-i", "\(base)/sub/").contains("\r\nCache-Control: max-age=0\r\n"))
            #expect(try await curl("-i", "\(base)/sub/deep/file.txt").contains("\r\nCache-Control: max-age=3600\r\n"))
            #expect(try await curl("-I", "\(base)/big.bin").contains("\r\nContent-Type: application/x-own\r\n"))
            #expect(try await curl("-H", "Accept: text/html", "\(base)/some/page") == "<h1>index</h1>")
            #expect(try await curl("-w", "%{http_code}", "-o", "/dev/null", "\(base)/some/image.png") == "404")
        }
    }

    @Test("a changed file is served in its current state")
    func changing() async throws {
        let path = "\(Self.folder)/public/changing.txt"
        try await serving(Self.engine()) { (port, _) async throws in
            for content in ["one", "two", "three times as long"] {
                try Data(content.utf8).write(to: URL(filePath: path))
                #expect(try await curl("http://127.0.0.1:\(port)/changing.txt") == content)
            }
            try FileManager.default.removeItem(atPath: path)
            #expect(
                try await curl("-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:\(port)/changing.txt")
                    == "404")
        }
    }
}
