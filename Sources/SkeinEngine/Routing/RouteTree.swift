// All routes of a router as a tree of segments. Literal segments take precedence over parameters, stricter types of
// parameters over others, and wildcards for the rest of a path come last; the search backtracks from dead ends.

import SkeinWire

/// The target of a route, for one method or all.
final class Route: Sendable {
    let method: HTTPMethod?
    let names: [String]
    let app: any App

    init(method: HTTPMethod?, names: [String], app: any App) {
        self.method = method
        self.names = names
        self.app = app
    }
}

/// A node of the tree. Immutable once it is built.
final class RouteNode: Sendable {
    private struct Literal {
        let bytes: [UInt8]
        let node: RouteNode
    }

    private let literals: [Literal]
    private let parameters: [(kind: ParameterKind, node: RouteNode)]
    private let any: RouteNode?
    /// The routes that end here.
    private let routes: [Route]
    /// The routes that cover this node and everything below.
    private let rest: [Route]

    /// - Parameter entries: the remaining segments of each route.
    init(_ entries: [(segments: ArraySlice<RoutePattern.Segment>, route: Route)]) {
        func below(_ isSo: (RoutePattern.Segment) -> Bool) -> RouteNode? {
            let own = entries.filter { $0.segments.first.map(isSo) ?? false }
            return own.isEmpty ? nil : RouteNode(own.map { ($0.segments.dropFirst(), $0.route) })
        }
        var names: [[UInt8]] = []
        for case .literal(let bytes)? in entries.map(\.segments.first) where !names.contains(bytes) {
            names.append(bytes)
        }
        literals = names.sorted { Self.precedes($0, $1) }.compactMap { name in
            below { $0 == .literal(name) }.map { Literal(bytes: name, node: $0) }
        }
        parameters = ParameterKind.allCases.compactMap { kind in
            below { if case .parameter(_, kind) = $0 { true } else { false } }.map { (kind, $0) }
        }
        any = below { $0 == .any }
        routes = entries.filter(\.segments.isEmpty).map(\.route)
        rest = entries.filter { if case .rest? = $0.segments.first { true } else { false } }.map(\.route)
    }

    private static func precedes(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.count != right.count ? left.count < right.count : left.lexicographicallyPrecedes(right)
    }

    /// Finds the route for a path.
    /// - Parameters:
    ///   - start: the start of the next segment, or one past the end.
    ///   - captures: receives the positions of the parameters.
    ///   - allowed: receives the allowed methods, if this one is not.
    func find(
        _ method: HTTPMethod, _ path: UnsafeRawBufferPointer, from start: Int, _ captures: inout Captures,
        _ allowed: inout [HTTPMethod]
    ) -> Route? {
        guard start <= path.count else { return Self.pick(routes, method, &allowed) }
        var end = start
        while end < path.count, path[end] != UInt8(ascii: "/") { end &+= 1 }
        let segment = UnsafeRawBufferPointer(rebasing: path[start..<end])
        if let node = literal(segment), let route = node.find(method, path, from: end + 1, &captures, &allowed) {
            return route
        }
        for (kind, node) in parameters where kind.accepts(segment) {
            captures.append(start, end)
            if let route = node.find(method, path, from: end + 1, &captures, &allowed) { return route }
            captures.removeLast()
        }
        if let any, !segment.isEmpty, let route = any.find(method, path, from: end + 1, &captures, &allowed) {
            return route
        }
        guard let route = Self.pick(rest, method, &allowed) else { return nil }
        captures.append(start, path.count)
        return route
    }

    private static func pick(_ routes: [Route], _ method: HTTPMethod, _ allowed: inout [HTTPMethod]) -> Route? {
        guard !routes.isEmpty else { return nil }
        var fallback: Route?
        for route in routes {
            guard let own = route.method else { return route }
            if own == method { return route }
            // HEAD is served where GET is (RFC 9110, section 9.3.2).
            if own == .get, method == .head { fallback = route }
            if !allowed.contains(own) { allowed.append(own) }
        }
        return fallback
    }

    private func literal(_ segment: UnsafeRawBufferPointer) -> RouteNode? {
        var low = 0
        var high = literals.count
        while low < high {
            let middle = (low + high) / 2
            let order = Self.compare(literals[middle].bytes, segment)
            if order == 0 { return literals[middle].node }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    /// The order of ``precedes(_:_:)`` as a sign.
    private static func compare(_ own: [UInt8], _ segment: UnsafeRawBufferPointer) -> Int {
        guard own.count == segment.count else { return own.count - segment.count }
        for index in 0..<own.count where own[index] != segment[index] { return Int(own[index]) - Int(segment[index]) }
        return 0
    }
}
