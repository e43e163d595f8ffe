import Foundation
import NIOCore
import SkeinCore
import Testing

@testable import SkeinHTTP
@testable import SkeinWire

/// Credentials, with the examples of their specifications.
@Suite("Credentials")
struct AuthTests {
    private func request(
        _ method: HTTPMethod = .get, _ url: String, headers: Headers = Headers(), body: HTTPBody = .none
    ) throws -> HTTPRequest {
        HTTPRequest(method, try HTTPURL(url), headers: headers, body: body)
    }

    @Test("challenges are parsed correctly, whatever their quoted strings contain")
    func challenges() {
        let fields = [
            #"Basic realm="a, \"b\"", Digest realm="c",nonce="n", algorithm=SHA-256 , qop="auth,auth-int""#,
            "Negotiate, ,Bearer realm=\"x\"",
        ]
        let challenges = fields.flatMap { Challenge.parse($0) }
        #expect(challenges.map(\.scheme) == ["basic", "digest", "negotiate", "bearer"])
        #expect(challenges[0].parameters["realm"] == "a, \"b\"")
        #expect(
            challenges[1].parameters
                == ["realm": "c", "nonce": "n", "algorithm": "SHA-256", "qop": "auth,auth-int"])
    }

    @Test(
        "digests are those of RFC 7616, section 3.9.1",
        arguments: [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ])
    func digest(algorithm: String, response: String) throws {
        let challenge = Challenge.parse(
            """
            Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=\(algorithm), \
            nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", \
            opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
            """)
        let field = try #require(DigestChallenge(challenge[0])).answer(
            user: "Mufasa", password: "Circle of Life",
            request: try request(.get, "http://www.example.org/dir/index.html"),
            count: 1, clientNonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
        #expect(field.contains("response=\"\(response)\""), "\(field)")
        #expect(
            field.contains("nc=00000001") && field.contains("qop=auth,") && field.contains("uri=\"/dir/index.html\""))
    }

    @Test("a hashed user name with non-ASCII letters, by SHA-512-256")
    func userHash() throws {
        let challenge = Challenge.parse(
            """
            Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, userhash=true, charset=UTF-8, \
            nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", \
            opaque="HRPCssKJSGjCrkzDg8OhwpzCiGChXYjwrI2QmXDnsOS"
            """)
        let field = try #require(DigestChallenge(challenge[0])).answer(
            user: "Jäsøn Doe", password: "Secret, or not?",
            request: try request(.get, "http://api.example.org/doe.json"),
            count: 1, clientNonce: "NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm")
        #expect(field.contains("username=\"793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b\""))
        #expect(
            field.contains("response=\"7a4e1192babbba02e91182d2895bfdbf7adafc6e48d4e517ca301974843d840c\""), "\(field)")
    }

    @Test("challenges that cannot be answered are not")
    func unanswerable() {
        for field in [
            #"Digest realm="a""#, #"Digest realm="a", nonce="n", algorithm=ROT13"#,
            #"Digest realm="a", nonce="n", qop="token""#,
        ] {
            #expect(DigestChallenge(Challenge.parse(field)[0]) == nil)
        }
    }

    @Test(
        "SHA-512/256 at every length around a block",
        arguments: [
            ("", 0, "c672b8d1ef56ed28ab87c3622c5114069bdd3ad7b8f9737498d0c01ecef0967a"),
            ("abc", 1, "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"),
            ("a", 111, "0239e429f98d0ed61ee8e2a7c30afe98c1c3a80ce5dff62a107e9c538f7632ce"),
            ("a", 112, "9216b5303edb66504570bee90e48ea5beaa5e9fe9f760bbd3e0460559fc005f6"),
            ("b", 200, "da660abb4819cfd16722ffe6e9497aba3346bd73e1b07f37afc6fe01ef3ebe02"),
        ])
    func sha512Half(text: String, count: Int, hash: String) {
        #expect(Hex.encode(SHA512Half.hash(Array(String(repeating: text, count: count).utf8))) == hash)
    }

    @Test("OAuth signs the base string of RFC 5849, section 3.4.1.1")
    func baseString() throws {
        let form: Parameters = ["c2": "", "a3": "2 q"]
        let own = [
            ("oauth_consumer_key", "9djdj82h48djs9d2"), ("oauth_token", "kkk9d7dh3k39sjv7"),
            ("oauth_signature_method", "HMAC-SHA1"), ("oauth_timestamp", "137131201"),
            ("oauth_nonce", "7d8f3e4a"),
        ]
        let text = OAuth1(clientKey: "9djdj82h48djs9d2").baseString(
            try request(.post, "http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b", body: .form(form)), own)
        #expect(
            text == "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D"
                + "%26c%2540%3D%26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a"
                + "%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
        )
    }

    @Test("a netrc file: machines, a default, quotes, comments, macros")
    func netrc() throws {
        let credentials = HTTPCredentials(
            netrc: """
                # who is who
                machine A.example login weaver password "se cret\\"" # at home
                machine b.example
                  login other
                  account ignored
                  password p
                macdef init
                machine c.example login x password y

                default login anybody password guest
                """)
        func basic(_ host: String) throws -> String? {
            guard case .fixed(let field)? = credentials.auth(for: try HTTPURL("http://\(host)/").origin)?.kind else {
                return nil
            }
            return Data(base64Encoded: String(field.dropFirst(6))).map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(try basic("a.example") == "weaver:se cret\"")
        #expect(try basic("b.example") == "other:p")
        #expect(try basic("c.example") == "anybody:guest")
        #expect(
            HTTPCredentials(netrc: "machine a login b password c").auth(for: try HTTPURL("http://d/").origin) == nil)
    }

    @Test("trace contexts are parsed and written as W3C specifies, and refused where it says so")
    func trace() throws {
        let field = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        let context = try #require(TraceContext(traceparent: field, state: "a=b"))
        #expect(context.traceparent == field && context.isSampled)
        #expect(context.child.traceID == context.traceID && context.child.spanID != context.spanID)
        #expect(TraceContext(traceparent: "cc" + field.dropFirst(2) + "-more") != nil)
        for wrong in [
            "", "ff" + field.dropFirst(2), field + "-x", field.uppercased(), String(field.dropLast()),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            #expect(TraceContext(traceparent: wrong) == nil, "\(wrong)")
        }
    }
}
