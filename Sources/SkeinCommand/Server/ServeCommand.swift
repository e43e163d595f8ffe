// skein serve: serves files, with everything that a file server on the internet needs.

import ArgumentParser
import SkeinEngine
import SkeinEngineCommand

struct ServeCommand: EngineCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve the files of folders.",
        discussion: """
            A folder is served with its index.html, ranges, compression and conditional requests. Files outside of it, and \
            files whose names begin with a dot, are not served. The server shuts down gracefully \
            on SIGINT and SIGTERM; on SIGHUP it reads its certificates again and reopens log files.

              skein serve public
              skein serve --mount /=public --mount /downloads=/srv/files --list
              skein serve dist --spa --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem --forward 80
              skein serve public --log access.log --log-format combined --log-off '/assets/' --max-age 3600
            """)

    @Argument(help: "The folder to serve at /.", completion: .directory)
    var folder: String?

    @Option(
        help: ArgumentHelp("Serve a folder at a path; the option may be repeated.", valueName: "/path=dir"))
    var mount: [String] = []

    @Flag(help: "Answer missing paths with index.html, for single-page applications.")
    var spa = false

    @Flag(help: "List the files of folders without an index.html.")
    var list = false

    @Flag(help: "Also follow symbolic links that lead out of the folder.")
    var followLinks = false

    @Flag(help: "Also serve files whose names begin with a dot.")
    var hidden = false

    @Flag(name: .customLong("no-compress"), help: "Do not compress responses.")
    var noCompress = false

    @Option(help: ArgumentHelp("How long clients may cache files (max-age).", valueName: "seconds"))
    var maxAge: Int?

    @Flag(help: "Serve a status page at /.status and Prometheus metrics at /.metrics, to local clients only.")
    var status = false

    @OptionGroup var options: EngineOptions

    func validate() throws {
        for place in mount { _ = try Self.place(place) }
        guard maxAge ?? 0 >= 0 else { throw ValidationError("--max-age must be a number of seconds.") }
    }

    func mount(into engine: inout Engine) {
        for case let (path, folder)? in mount.map({ try? Self.place($0) }) {
            engine.mount(path, .directory(folder, files))
        }
        if status {
            engine.mount("/.status", .status())
            engine.mount("/.metrics", .metrics())
        }
        if folder != nil || mount.isEmpty { engine.mount("/", .directory(folder ?? ".", files)) }
    }

    private var files: FileConfiguration {
        var options = FileConfiguration()
        options.listsFolders = list
        options.fallback = spa ? "index.html" : nil
        options.links = followLinks ? .followed : .inside
        options.servesHidden = hidden
        options.compresses = !noCompress
        options.usesCompressedSiblings = !noCompress
        if let maxAge { options.maximumAge = ["/": .seconds(maxAge)] }
        return options
    }

    /// Reads `/path=folder`.
    static func place(_ text: String) throws -> (String, String) {
        let parts = text.splitBytes(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2, parts[0].hasBytePrefix("/") else {
            throw ValidationError("\(text.debugDescription) is not a mount; write /path=folder.")
        }
        return (parts[0], parts[1])
    }
}
