// Serves a folder.

import NIOPosix
import SkeinCore
import SkeinHTTP
import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Serves the files of a folder: `engine.mount("/static", .directory("public"))`.
///
/// Requests for anything but existing files are passed on. Files outside of the folder are never served, whatever the
/// spelling of
/// a path or the target of a link, unless ``FileConfiguration/links`` allows it.
public struct FileApp: App {
    let root: String
    let configuration: FileConfiguration
    let ages: [(prefix: String, age: Int)]
    let cache: FileCache

    /// An app for a folder.
    /// - Parameter path: absolute, or relative to the working directory.
    public init(_ path: String, _ configuration: FileConfiguration = FileConfiguration()) {
        root = path
        self.configuration = configuration
        ages = configuration.maximumAge.map { ($0.key, Int($0.value.components.seconds)) }
            .sorted { $0.0.utf8.count > $1.0.utf8.count }
        cache = FileCache(maximum: configuration.memory)
    }

    /// Checks the folder.
    /// - Throws: code 701 when it does not exist.
    public func bootstrap(at mount: MountPoint) async throws -> any App {
        guard FileState.at(root)?.isFolder == true, let path = realpath(root, nil) else {
            throw SkeinError(
                .exception, peer: root,
                because: "the folder to serve does not exist; relative paths start at the working directory")
        }
        defer { free(path) }
        return FileApp(String(cString: path), configuration)
    }

    /// Responds with a file.
    public func respond(to request: ServerRequest) async throws -> ServerResponse {
        try request.scope.findPath()
        guard let place = place(of: request) else { throw NotServed() }
        // Recent files are in the page cache or in our cache; all others may block on the disk, which loops must not.
        if cache.isWarm(place) {
            do {
                return try answer(place, request)
            } catch is NeedsThread {}
        }
        // A missing file is warm, too: the next lookup does not block, and the request is passed to other apps.
        defer { cache.warm(place) }
        return try await NIOThreadPool.singleton.runIfActive(eventLoop: request.shard.eventLoop) {
            try self.answer(place, request)
        }.get()
    }

    private func answer(_ place: String, _ request: ServerRequest) throws -> ServerResponse {
        guard let state = FileState.at(root + place) else { return try fallback(request) }
        if state.isFolder { return try folder(place, request) }
        guard state.isFile, !place.hasByteSuffix("/") else { return try fallback(request) }
        return try file(place, state, request)
    }

    /// Throws on an event loop, where blocking or long computation would delay its other connections.
    static func requireThread() throws(NeedsThread) {
        if MultiThreadedEventLoopGroup.currentEventLoop != nil { throw NeedsThread() }
    }

    /// The decoded path of a request below the root; nil for one that cannot be a file of the folder.
    private func place(of request: ServerRequest) -> String? {
        let local = request.localPath
        guard !local.isEmpty else { return "" }
        // An encoded slash would be part of a file name, which is impossible.
        guard let text = local.utf8.contains(UInt8(ascii: "%")) ? Percent.bytes(local).map(EscapedBytes.text) : local,
            text.utf8.count(where: { $0 == UInt8(ascii: "/") }) == local.utf8.count(where: { $0 == UInt8(ascii: "/") }),
            !text.utf8.contains(0), text.utf8.count < 4096
        else { return nil }
        var start = text.utf8.startIndex
        let bytes = text.utf8
        while start < bytes.endIndex {
            start = bytes.index(after: start)
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "/")) ?? bytes.endIndex
            let segment = bytes[start..<end]
            if segment.isEmpty, end < bytes.endIndex { return nil }
            if segment.first == UInt8(ascii: ".") {
                guard !segment.elementsEqual(".".utf8), !segment.elementsEqual("..".utf8),
                    configuration.servesHidden || segment.elementsEqual(".well-known".utf8)
                else { return nil }
            }
            start = end
        }
        return text
    }

    // MARK: Folders

    private func folder(_ place: String, _ request: ServerRequest) throws -> ServerResponse {
        try Self.requireReading(request)
        for name in configuration.index {
            let path = place.hasByteSuffix("/") ? place + name : "\(place)/\(name)"
            guard let state = FileState.at(root + path), state.isFile else { continue }
            guard place.hasByteSuffix("/") else { return Self.withSlash(request) }
            return try file(path, state, request)
        }
        try Self.requireThread()
        guard configuration.listsFolders, isInside(folder: root + place) else { return try fallback(request) }
        guard place.hasByteSuffix("/") else { return Self.withSlash(request) }
        return try FolderListing(of: self, root + place).response(to: request)
    }

    /// Links in a page are relative to its folder, so its URL must end with a slash.
    private static func withSlash(_ request: ServerRequest) -> ServerResponse {
        let query = request.query.map { "?\($0)" } ?? ""
        // A path that begins with two slashes would be parsed as a host.
        let path = Substring(request.url(request.localPath).utf8.drop { $0 == UInt8(ascii: "/") })
        return .redirect(to: "/\(path)/\(query)", status: .permanentRedirect)
    }

    private func fallback(_ request: ServerRequest) throws -> ServerResponse {
        guard let name = configuration.fallback, request.method == .get || request.method == .head,
            let accept = request.headers["Accept"], accept.containsBytes("text/html")
        else { throw NotServed() }
        let place = name.hasBytePrefix("/") ? name : "/" + name
        guard let state = FileState.at(root + place), state.isFile else { throw NotServed() }
        return try file(place, state, request)
    }

    static func requireReading(_ request: ServerRequest) throws(ServerError) {
        switch request.method {
        case .get, .head: return
        default:
            throw ServerError(
                .methodNotAllowed, "a file is read-only", headers: ["Allow": "GET, HEAD"])
        }
    }
}

/// The work needs a thread that may block.
struct NeedsThread: Error {}

extension App where Self == FileApp {
    /// The files of a folder.
    /// - Parameter path: absolute, or relative to the working directory.
    public static func directory(_ path: String, _ configuration: FileConfiguration = FileConfiguration()) -> FileApp {
        FileApp(path, configuration)
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif
