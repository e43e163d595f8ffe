// The options of all request commands, and how they become a request.

import ArgumentParser
import Foundation
import Skein
import SkeinCore
import SkeinHTTP

struct RequestOptions: ParsableArguments {
    @Argument(help: ArgumentHelp("URLs, or @FILE with one on each line (@- reads standard input).", valueName: "url"))
    var urls: [String]

    @Option(name: [.customShort("H"), .long], help: "A header field, 'Name: value'; may be repeated.")
    var header: [String] = []

    @Flag(help: "Print the bodies.")
    var body = false

    @Flag(help: "Print the status lines and header sections.")
    var headers = false

    @Flag(help: "Print a JSON record for each response, with --headers and --body including those.")
    var json = false

    @Option(
        name: [.short, .long, .customLong("download")],
        help: "Write the body of the only URL to FILE, which appears when it is complete.")
    var output: String?

    @Flag(help: "Continue a failed --output, and keep the partial file if this one fails.")
    var resume = false

    @Flag(help: "Print the timings of each request: name, connection, TLS, first byte.")
    var trace = false

    @Option(name: [.short, .long, .customLong("workers")], help: "Maximum number of concurrent requests.")
    var concurrency: Int = 10

    @Option(help: ArgumentHelp("Seconds for each request.", valueName: "seconds"))
    var timeout: Double = 30

    @Flag(help: "The version of HTTP; without a flag, HTTP/1.1 in clear text.")
    var version: VersionOption?

    @OptionGroup(title: "Content options")
    var content: ContentOptions

    @OptionGroup(title: "Credentials")
    var credentials: CredentialOptions

    @OptionGroup(title: "Session options")
    var sessionOptions: SessionOptions

    @OptionGroup(title: "Aliases")
    var aliases: AliasOptions

    @Flag(help: "Send each request to every member of the alias that its URL names.")
    var all = false

    @OptionGroup(title: "Connection options")
    var transport: TransportOptions

    func validate() throws {
        guard !urls.isEmpty else { throw ValidationError("Name at least one URL.") }
        guard concurrency > 0 else { throw ValidationError("--concurrency must be at least 1.") }
        guard timeout > 0, timeout < 1e9 else { throw ValidationError("--timeout must be more than 0 seconds.") }
        if output != nil, urls.count != 1 || urls[0].hasBytePrefix("@") && !aliases.names(urls[0]) {
            throw ValidationError("--output needs exactly one URL.")
        }
        guard !all || urls.allSatisfy({ aliases.names($0) }) else {
            throw ValidationError("--all needs URLs of aliases, such as @x/path with --alias '@x=…'.")
        }
        guard !all || output == nil else { throw ValidationError("--all and --output exclude each other.") }
        if output != nil, body || json { throw ValidationError("--output cannot be combined with --body or --json.") }
        guard !resume || output != nil else { throw ValidationError("--resume needs --output.") }
        _ = try HeaderArguments.parse(header)
    }

    /// The session for the requests.
    func session() throws -> SkeinClient {
        var configuration = SkeinClient.Configuration()
        configuration.concurrency = concurrency
        configuration.http.timeout = .seconds(timeout)
        transport.apply(to: &configuration.http)
        try sessionOptions.apply(to: &configuration.http)
        try credentials.apply(to: &configuration.http)
        if content.expects { configuration.http.expectContinueAbove = 0 }
        configuration.http.recordsTimings = trace
        if let version { configuration.http.http2.use = version.use }
        let client = SkeinClient(configuration)
        try aliases.register(on: client)
        return client
    }

    /// All URLs, including those in files.
    func allURLs() throws -> [String] {
        try urls.flatMap { aliases.names($0) ? [$0] : try InputFile.lists([$0]) }
    }
}

/// The flags for the HTTP version.
enum VersionOption: EnumerableFlag {
    case http1
    case http2
    case http2Upgrade

    var use: HTTP2Use {
        switch self {
        case .http1: .never
        case .http2: .priorKnowledge
        case .http2Upgrade: .upgrade
        }
    }

    static func help(for value: VersionOption) -> ArgumentHelp? {
        switch value {
        case .http1: "Use HTTP/1.1."
        case .http2: "Use HTTP/2 from the first byte, also in clear text (prior knowledge)."
        case .http2Upgrade: "Offer HTTP/2 in the first request (Upgrade: h2c)."
        }
    }
}

/// Reads 'Name: value' arguments.
enum HeaderArguments {
    static func parse(_ arguments: [String]) throws -> Headers {
        var headers = Headers()
        for argument in arguments {
            guard let colon = argument.firstByte(":"), colon != argument.startIndex else {
                throw ValidationError("\(argument.debugDescription) is not a header field; write 'Name: value'.")
            }
            headers.add(String(argument[..<colon]), String(argument[argument.index(after: colon)...].trimmingBlanks()))
            if let problem = headers.problem { throw ValidationError("\(problem).") }
        }
        return headers
    }
}

/// Files named on the command line.
enum InputFile {
    /// The content of `--data`: text, a file, or standard input. JSON and forms are distinguished by a header, as in
    /// curl.
    static func body(_ argument: String?) throws -> HTTPBody {
        guard let argument else { return .none }
        if argument.hasBytePrefix("@"), argument != "@-" {
            let path = String(argument.dropFirst())
            // A pipe can be read only once; a file is read while it is sent, however large it is.
            guard FileState(path: path)?.isFile == true, path != "/dev/stdin" else { return try whole(read(path)) }
            guard let file = FileHandle(forReadingAtPath: path) else { throw unreadable(path) }
            return .file(path, contentType: contentType(try file.read(upToCount: 64) ?? Data()))
        }
        return try whole(argument == "-" || argument == "@-" ? read("-") : Array(argument.utf8))
    }

    /// A file of a form; a pipe, which can be read only once, is read immediately.
    static func part(_ name: String, _ path: String) throws -> FormPart {
        guard FileState(path: path)?.isFile == false, path != "-" else { return .file(name, path: path) }
        return FormPart(
            name, .bytes(try read(path), contentType: "application/octet-stream"),
            fileName: URL(filePath: path).lastPathComponent)
    }

    /// The bytes of an argument of the form TEXT, @FILE or -; nil without an argument.
    static func bytes(_ argument: String?) throws -> [UInt8]? {
        guard let argument else { return nil }
        if argument == "-" || argument == "@-" { return try read("-") }
        return try argument.hasBytePrefix("@") ? read(String(argument.dropFirst())) : Array(argument.utf8)
    }

    /// The same as text.
    /// - Throws: when it is not UTF-8.
    static func utf8(_ argument: String) throws -> String {
        guard let text = String(validating: try bytes(argument) ?? [], as: UTF8.self) else {
            throw ValidationError("\(argument.debugDescription) is not UTF-8 text.")
        }
        return text
    }

    private static func whole(_ bytes: [UInt8]) -> HTTPBody {
        .bytes(bytes, contentType: contentType(bytes))
    }

    /// Expands arguments, each of which may be @FILE with one value on each line.
    static func lists(_ arguments: [String]) throws -> [String] {
        try arguments.flatMap { argument -> [String] in
            guard argument.hasBytePrefix("@") else { return [argument] }
            return try text(String(argument.dropFirst())).lines()
                .map { $0.trimmingBlanks() }.filter { !$0.isEmpty && !$0.hasBytePrefix("#") }.map(String.init)
        }
    }

    /// Whether a path is a directory.
    static func isDirectory(_ path: String) -> Bool { FileState(path: path)?.isFolder == true }

    /// A variable of the environment, unless it is empty.
    static func environment(_ name: String) -> String? {
        ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// A file as text.
    static func text(_ path: String) throws -> String { String(decoding: try read(path), as: UTF8.self) }

    private static func contentType(_ bytes: some Sequence<UInt8>) -> String {
        switch bytes.first(where: { $0 > 0x20 }) {
        case UInt8(ascii: "{"), UInt8(ascii: "["): "application/json"
        case UInt8(ascii: "<"): "text/xml; charset=utf-8"
        default: "application/x-www-form-urlencoded"
        }
    }

    /// All bytes of a file, a pipe, or (as `-`) standard input.
    private static func read(_ path: String) throws -> [UInt8] {
        let isInput = path == "-" || path == "/dev/stdin"
        let descriptor = isInput ? 0 : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw unreadable(path) }
        defer { if !isInput { close(descriptor) } }
        var content: [UInt8] = []
        while let piece = FileDescriptorInput.read(descriptor) {
            if piece.isEmpty { return content }
            content += piece
        }
        throw unreadable(path)
    }

    private static func unreadable(_ path: String) -> ValidationError {
        ValidationError(
            path == "-"
                ? "Standard input cannot be read."
                : "The file \(path.debugDescription) cannot be read; is its name right?")
    }
}
