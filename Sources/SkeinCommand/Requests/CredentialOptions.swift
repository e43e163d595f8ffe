// The credentials of requests, from the command line.

import ArgumentParser
import Skein

struct CredentialOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Send these credentials (basic authentication).", valueName: "user:password"))
    var auth: String?

    @Option(
        help: ArgumentHelp(
            "Answer the server's challenge with these (digest authentication).", valueName: "user:password"))
    var digest: String?

    @Option(help: ArgumentHelp("Send this token (bearer authentication).", valueName: "token"))
    var bearer: String?

    @Flag(help: "Read the credentials of hosts from ~/.netrc, or from the file that NETRC names.")
    var netrc = false

    func validate() throws {
        for (name, value) in [("--auth", auth), ("--digest", digest)] where value?.containsBytes(":") == false {
            throw ValidationError("\(name) takes USER:PASSWORD.")
        }
        guard [auth, digest, bearer].count(where: { $0 != nil }) <= 1 else {
            throw ValidationError("--auth, --digest and --bearer exclude each other.")
        }
    }

    /// The credentials of every request.
    var value: HTTPAuth? {
        if let bearer { return .bearer(bearer) }
        if let (user, password) = Self.pair(digest) { return .digest(user, password) }
        if let (user, password) = Self.pair(auth) { return .basic(user, password) }
        return nil
    }

    private static func pair(_ text: String?) -> (String, String)? {
        guard let text, let colon = text.firstByte(":") else { return nil }
        return (String(text[..<colon]), String(text[text.index(after: colon)...]))
    }

    /// Applies the options to a session's configuration.
    func apply(to configuration: inout HTTPConfiguration) throws {
        guard netrc else { return }
        do {
            configuration.credentials = try .netrc()
        } catch {
            throw ValidationError("--netrc: \(error).")
        }
    }
}
