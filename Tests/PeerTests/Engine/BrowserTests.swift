import Foundation
import PeerSupport
import SkeinCore
import SkeinEngine
import Testing

/// A browser that loads a page with everything it needs.
@Suite("A page in a browser", .serialized, .inTurn, .timeLimit(.minutes(3)))
struct BrowserTests {
    private static let page = """
        <!DOCTYPE html><html><head><title>page</title><link rel="stylesheet" href="static/style.css">
        <script src="static/app.js" defer></script></head><body><img src="static/dot.svg" alt="dot"></body></html>
        """
    private static let script = """
        async function main() {
            const entries = performance.getEntriesByType("resource").map(e => [new URL(e.name).pathname, e.nextHopProtocol, e.responseStatus])
            const events = await new Promise(done => {
                const heard = [], source = new EventSource("events")
                source.onmessage = e => { heard.push(e.data); if (heard.length === 3) { source.close(); done(heard) } }
            })
            const form = new FormData()
            form.append("name", "ä\\"b")
            form.append("file", new Blob(["x".repeat(100000)]), "c.txt")
            const upload = await (await fetch("upload", { method: "POST", body: form })).json()
            const range = await (await fetch("static/app.js", { headers: { Range: "bytes=0-4" } })).text()
            const again = (await fetch("static/style.css", { cache: "no-cache" })).status
            const color = getComputedStyle(document.body).backgroundColor
            await fetch("report", { method: "POST", body: JSON.stringify({ entries, events, upload, range, again, color, image: document.images[0].naturalWidth }) })
        }
        addEventListener("load", main)
        """

    @Test("a page with style, script, image, events, an upload", arguments: [false, true])
    func assets(isSecure: Bool) async throws {
        let folder = TestFolder.path("assets")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for (name, content) in [
            ("style.css", "body { background-color: rgb(1, 2, 3) }" + String(repeating: " ", count: 2000)),
            ("app.js", Self.script),
            (
                "dot.svg",
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"7\" height=\"7\"><rect width=\"7\" height=\"7\"/></svg>"
            ),
        ] { try Data(content.utf8).write(to: URL(filePath: "\(folder)/\(name)")) }
        let (reports, out) = AsyncStream.makeStream(of: JSONValue.self)
        var router = Router(Compression())
        router.get("/") { request in
            request.push(request.url("/static/style.css"))
            return .html(Self.page)
        }
        router.get("/events") { _ in
            .events(AsyncStream { out in for number in 0..<3 { out.yield(ServerSentEvent("event \(number)\nline")) } })
        }
        router.post("/upload") { request in
            let form = try await request.multipart(in: TestFolder.url.path)
            let file = try #require(form.file("file"))
            return .json(["name": form.fields["name"] ?? "", "file": file.fileName, "size": "\(file.size)"])
        }
        router.post("/report") { request in
            let text = String(buffer: try await request.body.collect())
            out.yield(try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8)))
            return ServerResponse(.noContent)
        }
        router.mount("/static", app: .directory(folder))
        var engine = Engine()
        engine.mount("/app", router)
        if isSecure { engine = try await engine.secured() }
        try await serving(engine) { (port, _) async throws in
            let browser = try PeerProcess(
                "chromium",
                [
                    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                    "--ignore-certificate-errors",
                    "--user-data-dir=\(TestFolder.path("chromium"))",
                    "\(isSecure ? "https" : "http")://localhost:\(port)/app/",
                ], log: TestFolder.path("chromium.log"))
            var walk = reports.makeAsyncIterator()
            let said = try #require(await walk.next())
            await browser.stop()
            let version = isSecure ? "h2" : "http/1.1"
            let entries = (0..<3).compactMap { said["entries"]?[$0] }
            for name in ["style.css", "app.js", "dot.svg"] {
                #expect(entries.contains(.array([.string("/app/static/\(name)"), .string(version), .integer(200)])))
            }
            #expect(said["events"] == .array((0..<3).map { .string("event \($0)\nline") }))
            #expect(
                said["upload"]
                    == .object(["name": .string("ä\"b"), "file": .string("c.txt"), "size": .string("100000")]))
            #expect(said["range"]?.string == "async" && said["again"]?.integer == 200)
            #expect(said["color"]?.string == "rgb(1, 2, 3)" && said["image"]?.integer == 7)
        }
    }
}
