// Apps in Python, mounted as any other app.

import CSkeinPython
import Logging
import SkeinCore
import SkeinEngine

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// An app in Python: Flask, Django, FastAPI and any other app with WSGI (PEP 3333) or ASGI 3.
///
///     engine.mount("/", .wsgi("mysite/wsgi.py", "application"))
///     engine.mount("/api", .asgi("api.main:app"))
public struct PythonApp: App {
    /// The interface between an app and the server.
    public enum Interface: String, Sendable, CaseIterable {
        /// PEP 3333: a call per request, on a thread.
        case wsgi
        /// ASGI 3: coroutines on an event loop.
        case asgi
        /// ASGI for a coroutine function or an object with one, WSGI for anything else.
        case auto
    }

    private let target: String
    private let name: String
    private let interface: Interface
    private let configuration: PythonConfiguration

    /// An app.
    /// - Parameters:
    ///   - target: a file, `mysite/wsgi.py`, or a module, `mysite.wsgi`; optionally with `:NAME` for the app's name in
    ///     it.
    ///   - name: the app's name, or a call that creates it: `application`, `site.app`, `create_app("test")`. Default:
    ///     `application` or `app`.
    ///   - interface: the interface of the app.
    ///   - configuration: the interpreter and its settings.
    public init(
        _ target: String, _ name: String? = nil, interface: Interface = .auto,
        configuration: PythonConfiguration = PythonConfiguration()
    ) {
        let colon = name == nil ? target.firstByte(":") : nil
        self.target = colon.map { String(target[..<$0]) } ?? target
        self.name = colon.map { String(target.text(after: $0)) } ?? name ?? ""
        self.interface = interface
        self.configuration = configuration
    }

    /// Starts Python, if it is not running, and imports the app.
    /// - Throws: code 701 with the traceback, when the app cannot be imported.
    public func bootstrap(at mount: MountPoint) async throws -> any App {
        var configuration = configuration
        configuration.folder =
            realpath(configuration.folder, nil).map { path in
                defer { free(path) }
                return String(cString: path)
            } ?? configuration.folder
        let logger = configuration.logger
        for (name, value) in configuration.variables { setenv(name, value, 1) }
        let interpreter = try PythonInterpreter.started(
            environment: configuration.environment, folder: configuration.folder, logger: logger)
        if let client = mount.client { PythonHosts.client = client }
        // An ASGI app has one lifespan, whatever its options; a WSGI app with other threads has a separate host.
        let place = "\(mount.path)\n\(configuration.folder)\n\(target)\n\(name)\n\(interface)"
        var key = place
        var host = PythonHosts.find(place)
        if host == nil {
            key = "\(place)\n\(configuration.ofThreads)"
            host = PythonHosts.find(key)
        }
        if host != nil {
            logger.warning(
                "\(target) is loaded already, and Python loads a module once per process: changed code needs a new worker (--workers 1, reload) or a restart"
            )
        } else {
            do {
                let made = try await make(interpreter, configuration, mount, logger)
                if made is ASGIHost { key = place }
                host = PythonHosts.add(made, key)
            } catch let error as SkeinError where configuration.showsTracebacks {
                PythonLog.error(error.message, to: logger)
                return BrokenApp(message: error.message)
            }
        }
        guard let host else { throw ServerError(.serviceUnavailable) }
        mount.addMetrics { [path = mount.path] in host.metrics(mount: path) }
        mount.atShutdown { [key, timeout = mount.shutdownTimeout] in await PythonHosts.letGo(of: key, within: timeout) }
        return host
    }

    private func make(
        _ interpreter: PythonInterpreter, _ configuration: PythonConfiguration, _ mount: MountPoint, _ logger: Logger
    ) async throws -> any PythonHost {
        let loaded = try await load(interpreter, configuration)
        return switch loaded.interface {
        case .asgi: try await ASGIHost.start(loaded.app, interpreter, configuration, mount, logger)
        case .wsgi, .auto: try await WSGIHost.make(loaded.app, interpreter, configuration, mount, logger)
        }
    }

    /// Not called: ``bootstrap(at:)`` returns another app.
    public func respond(to request: ServerRequest) async throws -> ServerResponse {
        throw ServerError(.serviceUnavailable)
    }

    private func load(_ interpreter: PythonInterpreter, _ configuration: PythonConfiguration) async throws -> (
        app: PythonObjectAddress, interface: Interface
    ) {
        do {
            return try await interpreter.onMain { [target, name, interface] in
                guard let load = PythonModule.function(.loadApp) else { throw PythonError.taken() }
                let paths = try PythonReference(PyList_New(0))
                for path in configuration.paths { try paths.append(new: Python.text(path)) }
                let arguments = try [target, name, configuration.folder].map {
                    try PythonReference(Python.text($0)).release()
                }
                let kind = try PythonReference(Python.text(interface.rawValue))
                defer { for argument in arguments { Py_DecRef(argument) } }
                let found = try Python.call(load, arguments + [paths.object, kind.object])
                guard let app = PyTuple_GetItem(found.object, 0), let chosen = PyTuple_GetItem(found.object, 1) else {
                    throw PythonError.taken()
                }
                Py_IncRef(app)  // owned by the engine, for the lifetime of the process
                let spoken = Python.string(chosen).flatMap { Interface(rawValue: $0) } ?? .wsgi
                return (PythonObjectAddress(app), spoken)
            }
        } catch let error as PythonError {
            throw SkeinError(.exception, because: "the app \(target) cannot be imported:\n\(error.traceback)")
        }
    }
}

extension App where Self == PythonApp {
    /// A WSGI app: `engine.mount("/", .wsgi("mysite/wsgi.py", "application"))`.
    /// - Parameters:
    ///   - target: a file or a module, optionally with `:NAME` if no name follows.
    ///   - name: the app's name in it. Default: `application` or `app`.
    ///   - configuration: which Python, and how it calls the app.
    public static func wsgi(
        _ target: String, _ name: String? = nil, _ configuration: PythonConfiguration = PythonConfiguration()
    )
        -> PythonApp
    { PythonApp(target, name, interface: .wsgi, configuration: configuration) }

    /// An ASGI app: `engine.mount("/", .asgi("app.main:app"))`.
    /// - Parameters:
    ///   - target: a file or a module, optionally with `:NAME` if no name follows.
    ///   - name: the app's name in it. Default: `application` or `app`.
    ///   - configuration: which Python.
    public static func asgi(
        _ target: String, _ name: String? = nil, _ configuration: PythonConfiguration = PythonConfiguration()
    )
        -> PythonApp
    { PythonApp(target, name, interface: .asgi, configuration: configuration) }

    /// An app in Python, whichever interface it has: `engine.mount("/", .python("app:app"))`.
    public static func python(_ target: String, _ configuration: PythonConfiguration = PythonConfiguration())
        -> PythonApp
    {
        PythonApp(target, configuration: configuration)
    }
}
