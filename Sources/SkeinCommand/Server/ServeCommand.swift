// skein serve: serves files, with everything that a file server on the internet needs.

import ArgumentParser
import SkeinEngine
import SkeinEngineCommand

struct ServeCommand: EngineCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve the files of folders.",
        discussion: """
            A folder is served with its index.html, ranges, compression, and answers that spare clients what they have \
            already. Nothing outside of it is reached, and no file whose name begins with a dot. The server ends in order \
            on SIGINT and SIGTERM; on SIGHUP it reads its certificates again and begins new log files.

              skein serve public
              skein serve --mount /=public --mount /downloads=/srv/files --list
              skein serve dist --spa --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem --forward 80
              skein serve public --log access.log --log-format combined --log-off '/assets/' --max-age 3600
            """)

    @Argument(help: "The folder that is served at /.", completion: .directory)
    var folder: String?

    @Option(
        help: ArgumentHelp("Serve a folder at a path; the option may be repeated.", valueName: "/path=dir"))
    var mount: [String] = []

    @Flag(help: "Answer what is not there with index.html, for pages that find their own way.")
    var spa = false

    @Flag(help: "List what is in folders without an index.html.")
    var list = false

    @Flag(help: "Follow links that lead out of the folder, too.")
    var followLinks = false

    @Flag(help: "Serve files whose names begin with a dot, too.")
    var hidden = false

    @Flag(name: .customLong("no-compress"), help: "Send everything as it is.")
    var noCompress = false

    @Option(help: ArgumentHelp("How long clients may keep files without asking again.", valueName: "seconds"))
    var maxAge: Int?

    @Flag(help: "Serve a status page at /.status and Prometheus metrics at /.metrics, to local clients only.")
    var status = false

    @OptionGroup var options: EngineOptions

    func validate() throws {
        for place in mount { _ = try Self.place(place) }
        guard maxAge ?? 0 >= 0 else { throw ValidationError("--max-age is a number of seconds.") }
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

    private var files: FileOptions {
        var options = FileOptions()
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
            throw ValidationError("\(text.debugDescription) is no mount; write /path=folder.")
        }
        return (parts[0], parts[1])
    }
}
