// A bootstrapped router: its tree is built, and its apps know their mount points.

import NIOCore
import SkeinHTTP

/// A router whose tree is built.
struct RoutedApp: App {
    private static let slash = ByteBuffer(string: "/")

    let root: RouteNode
    let names: RouteNames

    func respond(to request: ServerRequest) async throws -> ServerResponse {
        try request.scope.findPath()
        var captures = Captures()
        var allowed: [HTTPMethod] = []
        guard let route = find(request, &captures, &allowed) else {
            guard !allowed.isEmpty else { throw NotServed() }
            if allowed.contains(.get) { allowed.append(.head) }
            allowed.append(.options)
            let list = Headers(dictionaryLiteral: ("Allow", allowed.map(\.rawValue).sorted().joined(separator: ", ")))
            if request.method == .options { return ServerResponse(.noContent, headers: list) }
            throw ServerError(.methodNotAllowed, "\(request.method) is not served at this path", headers: list)
        }
        let scope = request.scope
        scope.route = route
        scope.captures = captures
        scope.names = names
        return try await route.app.respond(to: request)
    }

    private func find(
        _ request: ServerRequest, _ captures: inout Captures, _ allowed: inout [HTTPMethod]
    ) -> Route? {
        let scope = request.scope
        // The mount's path without a trailing slash is its root.
        let isRoot = scope.localStart == scope.path.readableBytes
        return (isRoot ? Self.slash : scope.path).withUnsafeReadableBytes { path in
            root.find(request.method, path, from: isRoot ? 1 : scope.localStart + 1, &captures, &allowed)
        }
    }
}

/// An app below a router, with its mount point.
struct MountedApp: App {
    let app: any App
    let point: MountPoint

    func respond(to request: ServerRequest) async throws -> ServerResponse {
        let scope = request.scope
        let before = (scope.mount, scope.localStart)
        scope.mount = point
        scope.localStart = point.path.utf8.count
        do {
            return try await app.respond(to: request)
        } catch let error as NotServed {
            (scope.mount, scope.localStart) = before
            throw error
        }
    }
}

/// The named routes of a router.
final class RouteNames: Sendable {
    private let patterns: [String: RoutePattern]

    init(patterns: [String: RoutePattern]) { self.patterns = patterns }

    subscript(name: String) -> RoutePattern? { patterns[name] }
}

extension ServerRequest {
    /// The full path of a named route of the current router.
    /// - Parameters:
    ///   - name: the name of the route.
    ///   - parameters: the values of its parameters, which are percent-encoded here.
    /// - Throws: code 701 when there is no such route, or a parameter is missing.
    public func url(to name: String, _ parameters: [String: any ParameterValue] = [:]) throws -> String {
        guard let pattern = scope.names?[name] else {
            throw SkeinError(.exception, because: "the router has no route named \(name.debugDescription)")
        }
        return mount.url(try pattern.path(parameters))
    }
}
