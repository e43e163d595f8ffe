// skein python: serves Python apps.

import ArgumentParser
import SkeinEngine
import SkeinEngineCommand
import SkeinPython

extension PythonApp.Interface: ExpressibleByArgument {}

struct PythonCommand: EngineCommand {
    static let configuration = CommandConfiguration(
        commandName: "python",
        abstract: "Serve an app in Python: Flask, Django, FastAPI or any other WSGI or ASGI app.",
        discussion: """
            The app is given by its module or file: `app:app`, `mysite/wsgi.py:application`, `shop.main:create_app()`. It runs unchanged; \
            the engine handles HTTP, TLS, files and slow clients without Python's lock (GIL). The Python that runs the app is that of \
            --environment, or VIRTUAL_ENV, .venv and venv in the folder, or python3 on the PATH. With the module `skein`, the app uses \
            the engine's client.

              skein python app:app
              skein python mysite/wsgi.py:application --static /static=mysite/static --workers 4
              skein python api.main:app --listen 0.0.0.0:443 --tls-cert cert.pem
              skein python app:app --reload
            """)

    @Argument(help: "The app: MODULE:NAME or FILE:NAME. Default name: application or app.")
    var app: String?

    @Option(help: "wsgi, asgi or auto (detected from the app).")
    var interface: PythonApp.Interface = .auto

    @Option(help: ArgumentHelp("The folder of a virtual environment, or a Python program.", valueName: "path"))
    var environment: String?

    @Option(help: ArgumentHelp("Serve the app below this path, as SCRIPT_NAME or root_path.", valueName: "/path"))
    var mount = "/"

    @Option(help: ArgumentHelp("Serve a folder of files at a path; may be repeated.", valueName: "/path=dir"))
    var `static`: [String] = []

    @Option(
        help: ArgumentHelp(
            "Minimum number of threads that call a WSGI app; more are started while calls wait, for example for databases. Default: 1, or one per core in a Python without the GIL.",
            valueName: "count"))
    var appThreads: Int?

    @Option(help: ArgumentHelp("Maximum number of threads that call a WSGI app. Default: 64.", valueName: "count"))
    var maxAppThreads: Int?

    @Option(
        help: ArgumentHelp(
            "Maximum number of requests that wait for a thread of a WSGI app; others get 503.", valueName: "count"))
    var queue = 1024

    @Option(
        help: ArgumentHelp(
            "Answer with 504 when a WSGI app takes longer; the log shows its stack, and the worker is replaced.",
            valueName: "seconds"))
    var requestTimeout: Double?

    @Option(
        help: ArgumentHelp(
            "Maximum size of a request's content; large content is stored in a temporary file.",
            valueName: "MiB"))
    var maxBody = 1024

    @Flag(help: "Compress text responses of the app for clients that accept it.")
    var compress = false

    @OptionGroup(title: "Back ends of skein.get and its like") var aliases: AliasOptions

    @OptionGroup(title: "Mail") var mail: MailAgentOption

    @OptionGroup var options: EngineOptions

    func validate() throws {
        guard app != nil || options.processes.isForAnotherProcess else {
            throw ValidationError("Name the app, such as app:app or mysite/wsgi.py:application.")
        }
        for place in self.static { _ = try ServeCommand.place(place) }
        guard mount.hasBytePrefix("/") else { throw ValidationError("--mount must begin with a slash.") }
        guard [appThreads, maxAppThreads].allSatisfy({ (1...1024).contains($0 ?? 1) }) else {
            throw ValidationError("--app-threads and --max-app-threads must be from 1 to 1024.")
        }
        guard queue > 0, (1...(1 << 20)).contains(maxBody) else {
            throw ValidationError("--queue and --max-body must be above 0, and --max-body at most 1048576.")
        }
        if let requestTimeout {
            // Excludes numbers that are too large for a duration.
            guard requestTimeout > 0, requestTimeout <= 1e6 else {
                throw ValidationError("--request-timeout must be a number of seconds above 0 and at most 1000000.")
            }
        }
    }

    var sourceFolders: [String] { ["."] }

    func mount(into engine: inout Engine) throws {
        try mail.start()
        for (name, alias) in try aliases.all() { engine.alias(name, alias) }
        for place in self.static {
            let (path, folder) = try ServeCommand.place(place)
            engine.mount(path, .directory(folder))
        }
        var python = PythonConfiguration()
        python.environment = environment
        python.threads = appThreads
        python.maximumThreads = maxAppThreads
        python.queue = queue
        python.requestTimeout = requestTimeout.map { .seconds($0) }
        python.showsTracebacks = options.processes.reload
        python.logger = engine.configuration.logger
        engine.configuration.maximumBodySize = maxBody << 20
        // One Python thread keeps one loop busy; more loops would only compete for the processor.
        if options.threads == nil { engine.configuration.threads = 1 }
        let app = PythonApp(app ?? "", interface: interface, configuration: python)
        if compress { engine.mount(mount, app.inside(Compression())) } else { engine.mount(mount, app) }
    }
}
