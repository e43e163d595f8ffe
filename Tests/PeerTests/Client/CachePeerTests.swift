import Foundation
import NIOCore
import PeerSupport
import Skein
import Testing

/// The cache in front of servers that count their requests, and compared with squid.
@Suite("HTTP cache", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct CachePeerTests {
    private let key = UUID().uuidString

    private func services() async throws -> String { "http://127.0.0.1:\(try await Peers.shared.servicesPort())" }

    private func session(_ cache: HTTPCache, _ change: (inout HTTPConfiguration) -> Void = { _ in }) -> SkeinClient {
        var configuration = SkeinClient.Configuration()
        configuration.http.layers = [cache]
        change(&configuration.http)
        return SkeinClient(configuration)
    }

    private func caches() throws -> [HTTPCache] { [.memory(), try .disk(TestFolder.path("cache"))] }

    @Test("fresh responses are not requested again; others are")
    func fresh() async throws {
        for (number, cache) in try caches().enumerated() {
            let skein = session(cache)
            let url = "\(try await services())/kept/\(key)\(number)"
            let first = await skein.get("\(url)?control=max-age%3D60").dispatch()
            #expect(try first.text() == "1" && first.cacheUse == .miss)
            let second = await skein.get("\(url)?control=max-age%3D60").dispatch()
            #expect(try second.text() == "1" && second.cacheUse == .hit && second.statusCode == 200)
            #expect(
                second.header("Age").flatMap { Int($0) } != nil
                    && second.header("Content-Type") == first.header("Content-Type"))
            let streamed = try await skein.stream(.get, "\(url)?control=max-age%3D60").dispatch()
            #expect(try await streamed.stream?.collect(upTo: 10) == ByteBuffer(string: "1"))
            let headers: Headers = ["Cache-Control": "no-cache"]
            #expect(try await skein.get("\(url)?control=max-age%3D60", headers: headers).dispatch().text() == "2")
            for control in ["no-store", "max-age=0", "private, no-cache", ""] {
                let escaped = control.replacing("=", with: "%3D").replacing(" ", with: "%20")
                let once = try await skein.get("\(url)?control=\(escaped)").dispatch().text()
                #expect(try await skein.get("\(url)?control=\(escaped)").dispatch().text() != once, "\(control)")
            }
            let only: Headers = ["Cache-Control": "only-if-cached"]
            #expect(await skein.get("\(url)?never", headers: only).dispatch().statusCode == 504)
            await skein.fetchAll()
        }
    }

    @Test("a 304 saves the content, also with nginx")
    func revalidated() async throws {
        for (number, cache) in try caches().enumerated() {
            let skein = session(cache)
            let url = "\(try await services())/kept/\(key)\(number)?tag=one&control=max-age%3D0"
            #expect(try await skein.get(url).dispatch().text() == "1")
            for _ in 0..<3 {
                let again = await skein.get(url).dispatch()
                #expect(try again.text() == "1" && again.cacheUse == .revalidated && again.statusCode == 200)
            }
            let headers: Headers = ["Cache-Control": "max-age=0"]
            let nginx = "http://127.0.0.1:\(try await Peers.shared.nginxPort())/small.txt"
            #expect(try await skein.get(nginx, headers: headers).dispatch().text() == "a small file\n")
            let again = await skein.get(nginx, headers: headers).dispatch()
            #expect(try again.text() == "a small file\n" && again.cacheUse == .revalidated)
        }
    }

    @Test("responses vary by Vary; a POST invalidates stored ones")
    func variants() async throws {
        for (number, cache) in try caches().enumerated() {
            let skein = session(cache)
            let url = "\(try await services())/kept/\(key)\(number)?control=max-age%3D60&vary=X-Kind"
            for (kind, expected) in [("a", "1 a"), ("b", "2 b"), ("a", "1 a"), ("b", "2 b")] {
                #expect(try await skein.get(url, headers: ["X-Kind": kind]).dispatch().text() == expected)
            }
            try await skein.post(url).commit()
            #expect(try await skein.get(url, headers: ["X-Kind": "a"]).dispatch().text() == "4 a")
            let star = "\(try await services())/kept/\(key)star\(number)?control=max-age%3D60&vary=*"
            #expect(try await skein.get(star).dispatch().text() == "1")
            #expect(try await skein.get(star).dispatch().text() == "2")
        }
    }

    @Test("responses to credentials are served for the same credentials only; changing signatures bypass the cache")
    func credentials() async throws {
        for (number, cache) in try caches().enumerated() {
            let jar = CookieJar()
            let skein = session(cache) { $0.cookies = jar }
            let url = "\(try await services())/kept/\(key)\(number)?control=max-age%3D60"
            for (auth, expected) in [
                (HTTPAuth?.none, "1"), (.basic("a", "b"), "2"), (.basic("c", "d"), "3"), (.basic("a", "b"), "2"),
                (nil, "1"),
            ] {
                #expect(try await skein.get(url, auth: auth).dispatch().text() == expected)
            }
            let open = url.replacing("max-age", with: "public,max-age").replacing(key, with: "\(key)open")
            for auth in [HTTPAuth.basic("a", "b"), .basic("c", "d"), nil] {
                #expect(try await skein.get(open, auth: auth).dispatch().text() == "1")
            }
            for expected in ["4", "5"] {
                #expect(try await skein.get(url, auth: .digest("a", "b")).dispatch().text() == expected)
            }
            let varied = url.replacing(key, with: "\(key)varied") + "&vary=Cookie"
            #expect(try await skein.get(varied).dispatch().text() == "1")
            jar.set(Cookie("a", "b", domain: "127.0.0.1"))
            #expect(try await skein.get(varied).dispatch().text() == "2")
            #expect(try await skein.get(varied).dispatch().text() == "2")
            jar.clear()
            #expect(try await skein.get(varied).dispatch().text() == "1")
        }
    }

    @Test("stale responses are served during revalidation, and when it fails")
    func stale() async throws {
        let skein = session(.memory())
        let base = "\(try await services())/kept/\(key)"
        let background = "\(base)?control=max-age%3D0,%20stale-while-revalidate%3D60"
        #expect(try await skein.get(background).dispatch().text() == "1")
        let stale = await skein.get(background).dispatch()
        #expect(try stale.text() == "1" && stale.cacheUse == .stale)
        await skein.fetchAll()
        #expect(try await skein.get(background).dispatch().text() == "2")
        await skein.fetchAll()
        let failing = "\(base)x?control=max-age%3D0,%20stale-if-error%3D60&fails=1"
        #expect(try await skein.get(failing).dispatch().text() == "1")
        let instead = await skein.get(failing).dispatch()
        #expect(try instead.text() == "1" && instead.cacheUse == .stale && instead.statusCode == 200)
        let strict = "\(base)y?control=max-age%3D0&fails=1"
        #expect(try await skein.get(strict).dispatch().text() == "1")
        #expect(await skein.get(strict).dispatch().statusCode == 500)
    }

    @Test("a folder outlives the session, and damaged files are not served")
    func torn() async throws {
        let folder = TestFolder.path("cache")
        let url = "\(try await services())/kept/\(key)?control=max-age%3D60"
        #expect(try await session(try .disk(folder)).get(url).dispatch().text() == "1")
        #expect(await session(try .disk(folder)).get(url).dispatch().cacheUse == .hit)
        let name = try #require(
            try FileManager.default.contentsOfDirectory(atPath: folder).first { $0.hasSuffix(".entry") })
        let whole = try Data(contentsOf: URL(filePath: "\(folder)/\(name)"))
        var expected = 1
        for length in stride(from: 0, to: whole.count, by: max(1, whole.count / 20)) {
            try whole.prefix(length).write(to: URL(filePath: "\(folder)/\(name)"))
            expected += 1
            #expect(try await session(try .disk(folder)).get(url).dispatch().text() == "\(expected)", "\(length) bytes")
        }
        var flipped = whole
        flipped[whole.count / 2] ^= 1
        try flipped.write(to: URL(filePath: "\(folder)/\(name)"))
        #expect(await session(try .disk(folder)).get(url).dispatch().cacheUse == .miss)
        #expect(throws: SkeinError.self) { try HTTPCache.disk("/proc/none") }
    }

    @Test("size limits, in memory and on the disk")
    func bounded() async throws {
        let folder = TestFolder.path("cache")
        let base = try await services()
        for cache in [HTTPCache.memory(maximumBytes: 20_000), try .disk(folder, maximumBytes: 20_000)] {
            let skein = session(cache)
            for number in 0..<100 { try await skein.get("\(base)/kept/\(key)\(number)?control=max-age%3D60").commit() }
            #expect(await skein.get("\(base)/kept/\(key)99?control=max-age%3D60").dispatch().cacheUse == .hit)
            #expect(await skein.get("\(base)/kept/\(key)0?control=max-age%3D60").dispatch().cacheUse == .miss)
        }
        let sizes = try FileManager.default.contentsOfDirectory(atPath: folder).map {
            try FileManager.default.attributesOfItem(atPath: "\(folder)/\($0)")[.size] as? Int ?? 0
        }
        #expect(sizes.reduce(0, +) <= 20_000 && sizes.count > 10)
    }

    @Test("a shared cache sends as many requests as squid")
    func squid() async throws {
        let port = try await Ports.free()
        let folder = TestFolder.path("squid")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: folder)
        let configuration = """
            http_port 127.0.0.1:\(port)
            http_access allow all
            cache_mem 16 MB
            access_log none
            cache_log \(folder)/cache.log
            pid_filename \(folder)/pid
            coredump_dir \(folder)
            shutdown_lifetime 0 seconds
            """
        let path = try TestFolder.write(configuration, as: "squid.conf")
        let process = try PeerProcess("squid", ["-N", "-f", path], log: "\(folder)/out.log")
        try await Ports.untilOpen(port)
        let base = try await services()
        let ours = session(.memory(maximumBytes: 64 << 20, isShared: true))
        var through = SkeinClient.Configuration()
        through.http.proxy = .always(try Proxy("http://127.0.0.1:\(port)"))
        let theirs = SkeinClient(through)
        let controls = [
            "", "max-age=60", "s-maxage=60", "max-age=60, private", "max-age=60, public", "no-store", "no-cache",
            "max-age=0, s-maxage=60", "max-age=60, s-maxage=0", "private", "max-age=60, must-revalidate",
            "public, max-age=60",
        ]
        for (number, control) in controls.enumerated() {
            for (name, headers) in [("plain", Headers()), ("secret", ["Authorization": "Basic YTpi"])] {
                var answers: [String] = []
                for (who, skein) in [("ours", ours), ("squid", theirs)] {
                    let item = "\(base)/kept/\(key)\(who)\(number)\(name)"
                    var texts: [String] = []
                    for _ in 0..<3 {
                        let response = await skein.get(
                            item, parameters: ["control": control, "tag": ""], headers: headers
                        ).dispatch()
                        texts.append(String(buffer: response.content))
                    }
                    answers.append(texts.joined(separator: " "))
                }
                #expect(answers[0] == answers[1], "\(control), \(name)")
            }
        }
        await process.stop()
    }
}
