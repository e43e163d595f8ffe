import Foundation
import PeerSupport
import SkeinCore
import SkeinEngine
import Testing

/// JSON Web Tokens between Skein and PyJWT, and the published attacks on verifiers.
@Suite("Tokens", .serialized, .inTurn, .timeLimit(.minutes(2)))
struct TokenTests {
    /// Keys and tokens of PyJWT for every algorithm.
    private static let issue = """
        import json, time, jwt
        from cryptography.hazmat.primitives.asymmetric import rsa, ec, ed25519
        from cryptography.hazmat.primitives import serialization as s
        claims = {"sub": "ada", "iss": "https://id.example", "aud": ["shop", "x"], "exp": int(time.time()) + 600}
        found = []
        rsa_key = rsa.generate_private_key(65537, 2048)
        keys = {"RS256": rsa_key, "RS384": rsa_key, "RS512": rsa_key, "PS256": rsa_key, "PS384": rsa_key, "PS512": rsa_key,
            "ES256": ec.generate_private_key(ec.SECP256R1()), "ES384": ec.generate_private_key(ec.SECP384R1()),
            "ES512": ec.generate_private_key(ec.SECP521R1()), "EdDSA": ed25519.Ed25519PrivateKey.generate()}
        for name, key in keys.items():
            algorithm = jwt.algorithms.get_default_algorithms()[name]
            found.append({"alg": name, "token": jwt.encode(claims, key, name, headers={"kid": "k1"}),
                "public": key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo).decode(),
                "private": key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()).decode(),
                "jwk": json.loads(algorithm.to_jwk(key.public_key()))})
        for name, size in (("HS256", 32), ("HS384", 48), ("HS512", 64)):
            secret = "s" * size
            found.append({"alg": name, "token": jwt.encode(claims, secret, name), "secret": secret})
        print(json.dumps(found))
        """

    private static let check = """
        import json, sys, jwt
        good = []
        for item in json.load(open(sys.argv[1])):
            claims = jwt.decode(item["token"], item["key"], algorithms=[item["alg"]], audience="shop", issuer="https://id.example")
            good.append([item["alg"], claims["sub"]])
        print(json.dumps(good))
        """

    private func key(_ item: JSONValue) throws -> [TokenKey] {
        if let secret = item["secret"]?.string { return [try TokenKey(secret: secret.utf8)] }
        let pem = try #require(item["public"]?.string)
        let jwk = try #require(item["jwk"])
        return [try TokenKey(pem: pem), try TokenKey(jsonWebKey: jwk)]
    }

    @Test("tokens of PyJWT for all algorithms are valid, their one-bit mutations are not; and PyJWT accepts ours")
    func algorithms() async throws {
        let items = try #require(try await python(Self.issue).elements)
        #expect(items.count == 13)
        var ours: [JSONValue] = []
        for item in items {
            let name = try #require(item["alg"]?.string)
            let algorithm = try #require(TokenAlgorithm(rawValue: name))
            let token = try #require(item["token"]?.string)
            for key in try key(item) {
                var verifier = TokenVerifier(keys: [key], issuers: ["https://id.example"], audiences: ["shop"])
                let verified = try verifier.verify(token)
                #expect(verified.subject == "ada", "\(name)")
                // All cases of some algorithms, and some cases of the others, which take longer.
                let step = name.hasPrefix("HS") || name == "EdDSA" ? 1 : 13
                for index in token.utf8.indices.enumerated().filter({ $0.offset % step == 0 }).map(\.element) {
                    await Task.yield()  // other tests share the threads
                    var bytes = Array(token.utf8)
                    bytes[token.utf8.distance(from: token.utf8.startIndex, to: index)] ^= 1
                    let mutated = String(decoding: bytes, as: UTF8.self)
                    #expect(throws: TokenError.self, "\(name) \(mutated)") { try verifier.verify(mutated) }
                }
                // The same key under another algorithm's name (RFC 8725, section 2.1).
                for other in TokenAlgorithm.allCases where other != algorithm {
                    let head = Data("{\"alg\":\"\(other.rawValue)\"}".utf8).base64EncodedString().replacing(
                        "=", with: "")
                    let parts = token.split(separator: ".")
                    #expect(throws: TokenError.self) { try verifier.verify("\(head).\(parts[1]).\(parts[2])") }
                }
                verifier.audiences = ["other"]
                #expect(throws: TokenError.self) { try verifier.verify(token) }
            }
            let signer: TokenKey
            if let secret = item["secret"]?.string {
                signer = try TokenKey(secret: secret.utf8)
            } else {
                signer = try TokenKey(pem: try #require(item["private"]?.string), id: "k1")
            }
            let claims = try JSONValue(
                json:
                    "{\"sub\":\"ada\",\"iss\":\"https://id.example\",\"aud\":\"shop\",\"exp\":\(Int(Date().timeIntervalSince1970) + 600)}"
            )
            ours.append([
                "alg": .string(name), "token": .string(try signer.sign(claims, algorithm)),
                "key": item["secret"] ?? item["public"] ?? .null,
            ])
        }
        let path = try TestFolder.write(JSONValue.array(ours).json, as: "tokens.json")
        let taken = try await python(Self.check, path)
        #expect(taken.elements?.count == 13)
    }

    @Test("published attacks are refused, each with its reason")
    func attacks() throws {
        let secret = try TokenKey(secret: Array(repeating: 7, count: 32), id: "a")
        let verifier = TokenVerifier(keys: [secret])
        func part(_ text: String) -> String {
            Data(text.utf8).base64EncodedString().replacing("=", with: "").replacing("+", with: "-").replacing(
                "/", with: "_")
        }
        func reason(_ token: String) -> TokenError.Reason? {
            do throws(TokenError) { _ = try verifier.verify(token, at: 1_000_000) } catch { return error.reason }
            return nil
        }
        let claims = part("{\"exp\":2000000}")
        for (header, expected) in [
            ("{\"alg\":\"none\"}", TokenError.Reason.algorithmNotAllowed), ("{\"alg\":\"None\"}", .algorithmNotAllowed),
            ("{\"alg\":\"\"}", .algorithmNotAllowed), ("{}", .malformed), ("{\"alg\":1}", .malformed),
            ("[]", .malformed),
            ("{\"alg\":\"HS256\",\"alg\":\"none\"}", .malformed), ("{\"alg\":\"RS256\"}", .algorithmNotAllowed),
            ("{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", .headerNotAllowed),
            ("{\"alg\":\"HS256\",\"jwk\":{}}", .headerNotAllowed),
            ("{\"alg\":\"HS256\",\"jku\":\"http://evil\"}", .headerNotAllowed),
            ("{\"alg\":\"HS256\",\"x5u\":\"\"}", .headerNotAllowed),
            ("{\"alg\":\"HS256\",\"b64\":false}", .headerNotAllowed), ("{\"alg\":\"HS256\",\"kid\":1}", .malformed),
            ("{\"alg\":\"HS256\",\"kid\":\"../../dev/null\"}", .unknownKey), ("{\"alg\":\"HS256\"}", .invalidSignature),
        ] {
            #expect(reason("\(part(header)).\(claims).") == expected, "\(header)")
            #expect(reason("\(part(header)).\(claims).AAAA") == expected, "\(header)")
        }
        #expect(reason("a.b") == .malformed)
        #expect(reason("a.b.c.d.e") == .malformed)
        #expect(reason(String(repeating: "a", count: 20_000)) == .tooLarge)
        let good = try secret.sign(try JSONValue(json: "{\"exp\":2000000}"))
        #expect(reason(good) == nil)
        for changed in [good + "=", good + " ", " " + good, good.replacing(".", with: ". "), good + "\n"] {
            #expect(reason(changed) == .malformed, "\(changed.debugDescription)")
        }
        for (text, expected) in [
            ("{}", TokenError.Reason.invalidClaim), ("{\"exp\":\"2000000\"}", .invalidClaim),
            ("{\"exp\":999939}", .expired),
            ("{\"exp\":2000000,\"nbf\":1000061}", .notYetValid), ("{\"exp\":2000000,\"iat\":1000061}", .notYetValid),
            ("{\"exp\":2000000,\"aud\":\"x\"}", .wrongAudience),
        ] {
            #expect(reason(try secret.sign(try JSONValue(json: text))) == expected, "\(text)")
        }
        for (text, expected) in [("{\"exp\":999941}", nil), ("{\"exp\":2000000,\"nbf\":1000060}", nil)]
            as [(String, TokenError.Reason?)]
        {
            #expect(reason(try secret.sign(try JSONValue(json: text))) == expected, "\(text)")
        }
        #expect(throws: SkeinError.self) { try TokenKey(secret: Array("short".utf8)) }
        #expect(throws: (any Error).self) { try TokenKey.jsonWebKeys(Array("{\"kty\":\"oct\",\"k\":\"AAAA\"}".utf8)) }
        #expect(throws: (any Error).self) {
            try TokenKey.jsonWebKeys(Array("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}".utf8))
        }
    }

    @Test("an engine requires a token, and the command signs and verifies")
    func serving() async throws {
        let key = try TokenKey(secret: Array(repeating: 9, count: 32))
        var router = Router()
        router.group("/orders", TokenAuthentication(realm: "shop", TokenVerifier(keys: [key]))) {
            $0.get("") { .text("orders of \($0.user ?? "") \($0.token?.claims["role"]?.string ?? "")") }
        }
        var engine = Engine()
        engine.mount("/", router)
        try await PeerTests.serving(engine) { port, _ in
            let url = "http://127.0.0.1:\(port)/orders"
            let claims = try JSONValue(
                json: "{\"sub\":\"ada\",\"role\":\"buyer\",\"exp\":\(Int(Date().timeIntervalSince1970) + 60)}")
            let token = try key.sign(claims)
            for _ in 0..<2 {
                let text = try await curl("-H", "Authorization: Bearer \(token)", url)
                #expect(text == "orders of ada buyer")
            }
            let none = try await curl("-i", url)
            #expect(none.contains("401") && none.contains("WWW-Authenticate: Bearer realm=\"shop\"\r\n"))
            let wrong = try await curl("-i", "-H", "Authorization: Bearer \(token)x", url)
            #expect(wrong.contains("401") && wrong.contains("error=\"invalid_token\""))
        }
        let file = try TestFolder.write(String(repeating: "k", count: 40), as: "secret")
        let signed = try await runToEnd(
            CommandTests.skein,
            ["token", "sign", "--key", file, "--algorithm", "HS256", "--expires-in", "60", "{\"sub\":\"ada\"}"])
        let token = signed.output.trimmingCharacters(in: .newlines)
        let verified = try await runToEnd(CommandTests.skein, ["token", "verify", "--key", file, "--json", token])
        #expect(
            verified.code == 0 && verified.output.contains("\"valid\":true"), "\(verified.output) \(verified.errors)")
        let mixed = try await runToEnd(
            CommandTests.skein, ["token", "verify", "--key", file, "--json", "-"], input: "\(token)\n\(token)x\n")
        #expect(mixed.code == 1 && mixed.output.split(separator: "\n").count == 2, "\(mixed.output) \(mixed.errors)")
        let shown = try await runToEnd(CommandTests.skein, ["token", "inspect", token])
        #expect(shown.output.contains("\"sub\":\"ada\""), "\(shown.output)")
    }
}
