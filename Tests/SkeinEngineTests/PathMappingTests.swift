import NIOCore
import SkeinCore
import Testing

@testable import SkeinEngine

/// The path that a back end receives, and the redirects that clients receive.
@Suite("Path mapping")
struct PathMappingTests {
    private func mapping(_ base: String, _ change: (inout UpstreamConfiguration) -> Void = { _ in }) throws
        -> PathMapping
    {
        var options = UpstreamConfiguration()
        change(&options)
        return try PathMapping(base: base, options)
    }

    @Test(
        "replaced, kept, merged",
        arguments: [
            ("/", "/api", "/api/users", "/users"), ("/", "/api", "/api", "/"), ("/", "/api", "/api/", "/"),
            ("/v1", "/api", "/api/users", "/v1/users"), ("/v1/", "/api", "/api", "/v1"),
            ("/v1", "", "/a//b", "/v1/a//b"),
        ])
    func replaced(base: String, mount: String, path: String, expected: String) throws {
        let mapping = try mapping(base)
        #expect(mapping.path(ByteBuffer(string: path), localStart: mount.utf8.count) == expected)
    }

    @Test("the whole path, and slashes")
    func kept() throws {
        let kept = try mapping("/x") { $0.path = .kept }
        #expect(kept.path(ByteBuffer(string: "/api/users"), localStart: 4) == "/x/api/users")
        let merging = try mapping("/") { $0.mergesSlashes = true }
        #expect(merging.path(ByteBuffer(string: "//a///b/"), localStart: 0) == "/a/b/")
    }

    @Test(
        "patterns",
        arguments: [
            ("/users/7", "/b/people/7"), ("/users/x", "/b/users/x"), ("/files/a/b/c", "/b/store/a/b/c"),
            ("/users/7/8", "/b/users/7/8"),
            ("/any/old/x", "/b/new/x"),
        ])
    func patterns(path: String, expected: String) throws {
        let mapping = try mapping("/b") {
            $0.path = .patterns([
                ("/users/<int:id>", "/people/<id>"), ("/files/<path:rest>", "/store/<path:rest>"),
                ("/any/*/<x>", "/new/<x>"),
            ])
        }
        #expect(mapping.path(ByteBuffer(string: "/m" + path), localStart: 2) == expected)
    }

    @Test("a pattern with a missing parameter is refused")
    func refused() {
        #expect(throws: SkeinError.self) { try mapping("/") { $0.path = .patterns([("/a/<x>", "/b/<y>")]) } }
        #expect(throws: SkeinError.self) { try mapping("/") { $0.path = .patterns([("/a/<x>", "/b/*")]) } }
        #expect(throws: SkeinError.self) { try mapping("/") { $0.path = .patterns([("a", "/b")]) } }
    }

    @Test(
        "redirects lead to what clients can ask for",
        arguments: [
            ("/v1/users", "/api/users"), ("/v1", "/api"), ("/v1?a=b", "/api?a=b"), ("/v12", nil), ("/other", nil),
        ] as [(String, String?)])
    func original(path: String, expected: String?) throws {
        #expect(try mapping("/v1").original(path[...], mount: "/api") == expected)
    }
}
