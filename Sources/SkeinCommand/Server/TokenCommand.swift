// skein token: signs, verifies and shows JSON Web Tokens.

import ArgumentParser
import Foundation
import SkeinCore
import SkeinEngine

struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Sign, verify and show JSON Web Tokens.",
        discussion: """
              skein token sign --key secret.txt '{"sub": "ada"}' --expires-in 3600
              skein token verify --key public.pem --issuer https://id.example.org --audience shop TOKEN
              skein token verify --key keys.json --json - < tokens.txt
              skein token inspect TOKEN
              skein token key
              skein token password < password.txt
            """, subcommands: [Sign.self, Verify.self, Inspect.self, Key.self, Password.self])

    struct KeyOption: ParsableArguments {
        @Option(
            help: ArgumentHelp(
                "The key: a JSON Web Key or a set of them, a PEM file, or a file with the bytes of a secret.",
                valueName: "file"))
        var key: String

        @Option(help: "Allow this algorithm only; may be repeated. Default: all that match the key.")
        var algorithm: [TokenAlgorithm] = []

        func keys() throws -> [TokenKey] {
            do throws(SkeinError) {
                return try TokenKey.read(
                    file: key, algorithms: algorithm.isEmpty ? nil : Set(algorithm), allowsSecret: true)
            } catch {
                throw ValidationError("\(key.debugDescription): \(error.message).")
            }
        }
    }

    struct Key: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Generate an API key, and the hash that a gateway stores.")

        func run() async throws {
            let (key, hash) = APIKey.make()
            Terminal.say("key:    \(key)\nsha256: \(hash)")
        }
    }

    struct Password: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the hash of a password, which is read from standard input.")

        func run() async throws {
            guard let password = readLine(strippingNewline: true), !password.isEmpty else {
                throw ValidationError("The first line of standard input has no password.")
            }
            Terminal.say(try PasswordHash.make(password))
        }
    }

    struct Sign: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Sign claims, and print the token.")

        @OptionGroup var keyOption: KeyOption
        @Option(help: ArgumentHelp("Add iat, and exp this number of seconds from now.", valueName: "seconds"))
        var expiresIn: Int?
        @Argument(help: "The claims as a JSON object.")
        var claims: String

        func run() async throws {
            guard case .object(var members)? = try? JSONValue(json: claims) else {
                throw ValidationError("The claims are not a JSON object.")
            }
            if let expiresIn {
                let now = Int(Date().timeIntervalSince1970)
                members["iat"] = .integer(now)
                members["exp"] = .integer(now + expiresIn)
            }
            guard let key = try keyOption.keys().first else { throw ValidationError("No usable key was given.") }
            do {
                Terminal.say(try key.sign(.object(members), keyOption.algorithm.first))
            } catch let error as SkeinError {
                throw ValidationError("\(error.message).")
            }
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Verify tokens; exit code 1 when one is not valid.",
            discussion:
                "With --json, one object per line: valid, reason and error of an invalid token, header and claims of a valid one."
        )

        @OptionGroup var keyOption: KeyOption
        @Option(help: "An accepted issuer (iss); may be repeated. Default: any.")
        var issuer: [String] = []
        @Option(help: "An accepted audience (aud); may be repeated.")
        var audience: [String] = []
        @Option(help: ArgumentHelp("The tolerance for differences between clocks.", valueName: "seconds"))
        var leeway: Double = 60
        @Option(
            help: ArgumentHelp("Verify at this time, in seconds since 1970. Default: now.", valueName: "seconds"))
        var at: Double?
        @Flag(help: "Verify only the signature; the payload may be anything.")
        var signatureOnly = false
        @Flag(help: "Print JSON.")
        var json = false
        @Argument(help: "Tokens, or - for standard input with one token per line.")
        var tokens: [String]

        func run() async throws {
            var verifier = TokenVerifier(keys: try keyOption.keys(), issuers: Set(issuer), audiences: Set(audience))
            verifier.leeway = leeway
            var isValid = true
            for token in tokens {
                if token == "-" {
                    while let line = readLine() { if !line.isEmpty { isValid = verify(line, verifier) && isValid } }
                } else {
                    isValid = verify(token, verifier) && isValid
                }
            }
            if !isValid { throw ExitCode(1) }
        }

        private func verify(_ text: String, _ verifier: TokenVerifier) -> Bool {
            do throws(TokenError) {
                var members = JSONObject()
                members["valid"] = .bool(true)
                if signatureOnly {
                    let token = try verifier.verifySignature(text)
                    members["header"] = token.header
                    members["payload"] = .string(token.payload.base64EncodedString())
                } else {
                    let token = try verifier.verify(text, at: at ?? Date().timeIntervalSince1970)
                    members["header"] = token.header
                    members["claims"] = token.claims
                }
                Terminal.say(json ? JSONValue.object(members).json : "valid")
                return true
            } catch {
                var members = JSONObject()
                members["valid"] = .bool(false)
                members["reason"] = .string(error.reason.rawValue)
                members["error"] = .string(error.description)
                if json {
                    Terminal.say(JSONValue.object(members).json)
                } else {
                    Terminal.complain("invalid: \(error.description)")
                }
                return false
            }
        }
    }

    struct Inspect: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the header and the claims of a token, without verifying it.")

        @Argument(help: "The token.")
        var token: String

        func run() async throws {
            do throws(TokenError) {
                let parts = try SignedToken(token, maximum: 1 << 20)
                Terminal.say(parts.header.json)
                Terminal.say(String(decoding: parts.payload, as: UTF8.self))
            } catch {
                throw ValidationError("\(error.description).")
            }
        }
    }
}

extension TokenAlgorithm: ExpressibleByArgument {}
