// Dispatches requests to the apps at their paths, and turns thrown errors into pages.

import NIOCore

/// All mounts of an engine as one app.
struct EngineApp: App {
    let table: MountTable
    /// The mount table wrapped in the engine's middleware; nil without middleware.
    let inner: (any App)?
    /// The mount points, in the order of mounting.
    let points: [MountPoint]
    let gate: Gate
    let pages: ErrorPages
    let forwardProxy: ForwardProxy?
    let challenges: CertificateChallenges?
    /// The names of the engine's aliases.
    let aliases: [String]

    func respond(to request: ServerRequest) async throws -> ServerResponse {
        do {
            if let forwardProxy, ForwardProxy.isMeant(by: request) {
                return try await forwardProxy.respond(to: request)
            }
            if let answer = challenges?.answer(request) ?? gate.answer(request) { return answer }
            var response =
                if let inner { try await inner.respond(to: request) } else {
                    try await MountedApps(table: table).respond(to: request)
                }
            gate.complete(&response, request)
            return response
        } catch {
            var response = pages.page(for: error, request)
            gate.complete(&response, request)
            return response
        }
    }

    /// The caches of the mounted apps, by the path of the first mount that has it.
    var caches: [(name: String, cache: HTTPCache)] {
        var found: [(name: String, cache: HTTPCache)] = []
        for mount in table.all {
            guard let cache = (mount.app as? UpstreamApp)?.configuration.cache,
                !found.contains(where: { $0.cache === cache })
            else { continue }
            found.append((mount.point.path.isEmpty ? "/" : mount.point.path, cache))
        }
        return found
    }
}

/// The apps of an engine, by their mount points.
struct MountedApps: App {
    let table: MountTable

    /// Refuses a path that another parser could map to another mount: with encoded slashes, or repeated slashes. A
    /// mount's policy must not be bypassed by another spelling.
    private static func refuseAmbiguous(_ path: ByteBuffer, _ mounts: [Mount]) throws(ServerError) {
        guard mounts.count > 1, let plain = RequestPath.readWithSlashes(path) else { return }
        func place(_ path: ByteBuffer) -> String? {
            path.withUnsafeReadableBytes { bytes in mounts.first { $0.localStart(in: bytes) != nil }?.point.path }
        }
        if place(plain) != place(path) {
            throw ServerError(.badRequest, "the path is ambiguous; write single slashes, not percent-encoded")
        }
    }

    func respond(to request: ServerRequest) async throws -> ServerResponse {
        let scope = request.scope
        try scope.findPath()
        let mounts = table.mounts(for: table.hasHosts ? request.host : nil)
        try Self.refuseAmbiguous(scope.path, mounts)
        var refusal: ServerError?
        var asked: Int?
        for mount in mounts {
            // Only mounts with the longest matching path are tried in turn; a shorter path is another resource.
            if let asked, mount.point.path.utf8.count != asked { break }
            guard let start = scope.path.withUnsafeReadableBytes({ mount.localStart(in: $0) }) else { continue }
            asked = mount.point.path.utf8.count
            scope.mount = mount.point
            scope.localStart = start
            do {
                return try await mount.app.respond(to: request)
            } catch is NotServed {
                continue
            } catch let error as ServerError where error.status == .methodNotAllowed {
                refusal = refusal ?? error
            }
        }
        throw refusal ?? ServerError(.notFound, "there is nothing at this path")
    }
}
