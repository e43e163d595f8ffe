// The session settings of a command: cookies, cache, attempts, redirects.

import ArgumentParser
import Skein
import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct SessionOptions: ParsableArguments {
    @Flag(name: .customLong("no-follow"), help: "Do not follow redirects.")
    var staysPut = false

    @Option(
        help: ArgumentHelp(
            "Read cookies from FILE if it exists, and write them back at the end (cookies.txt; JSON for *.json).",
            valueName: "file"))
    var cookieJar: String?

    @Option(help: ArgumentHelp("Send a cookie; may be repeated.", valueName: "name=value"))
    var cookie: [String] = []

    @Option(help: ArgumentHelp("Cache responses in this folder (RFC 9111).", valueName: "folder"))
    var cache: String?

    @Option(help: ArgumentHelp("Number of retries after temporary failures.", valueName: "times"))
    var retry = 0

    @Flag(name: .customLong("raw"), help: "Do not decompress content.")
    var staysCoded = false

    func validate() throws {
        guard retry >= 0 else { throw ValidationError("--retry takes a number of attempts.") }
        guard cookie.allSatisfy({ $0.containsBytes("=") }) else { throw ValidationError("--cookie takes NAME=VALUE.") }
    }

    /// The cookies of every request.
    var cookies: [String: String] {
        let pairs = cookie.map { text in
            let parts = text.splitBytes(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (String(parts[0]), String(parts[1]))
        }
        return Dictionary(pairs) { $1 }
    }

    /// Applies the options to a session's configuration.
    func apply(to configuration: inout HTTPConfiguration) throws {
        configuration.redirects.isEnabled = !staysPut
        configuration.decompression.isEnabled = !staysCoded
        do {
            if retry > 0 { configuration.layers.append(RetryLayer(maximum: retry)) }
            if let cache { configuration.layers.append(try HTTPCache.disk(cache)) }
            if let cookieJar {
                let isThere = FileState(path: cookieJar) != nil
                configuration.cookies = isThere ? try CookieJar(file: cookieJar) : CookieJar()
            }
        } catch {
            throw ValidationError("\(error).")
        }
    }

    /// Writes the cookies back.
    func save(_ jar: CookieJar?) throws {
        guard let cookieJar else { return }
        try jar?.save(to: cookieJar, format: cookieJar.hasByteSuffix(".json") ? .json : .netscape)
    }
}
