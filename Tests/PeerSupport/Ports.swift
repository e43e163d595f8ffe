// Ports of the loopback interface.

import Foundation
import NIOCore
import NIOPosix
import Synchronization

/// The loops of the test support itself, so that it is never kept waiting by what it tests.
public enum SupportLoops {
    public static let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
}

/// Finds ports and waits for those who listen on them.
public enum Ports {
    /// Below the ports that the system gives out by itself: between this search and the moment when the peer binds its
    /// port, no other socket can be given the same one.
    private static let range = 20_000..<30_000
    private static let next = Mutex(Int.random(in: range))

    /// A port on which nobody listens, another one each time.
    public static func free() async throws -> Int {
        for _ in range {
            let port = next.withLock { next in
                next = next + 1 < range.upperBound ? next + 1 : range.lowerBound
                return next
            }
            let channel = try? await ServerBootstrap(group: SupportLoops.group).bind(host: "127.0.0.1", port: port)
                .get()
            guard let channel else { continue }
            try await channel.close()
            return port
        }
        throw PeerError("every port from \(range.lowerBound) to \(range.upperBound) is in use")
    }

    /// Waits until somebody accepts connections on a port.
    public static func untilOpen(_ port: Int, within seconds: Int = 30) async throws {
        let end = NIODeadline.now() + .seconds(Int64(seconds))
        while NIODeadline.now() < end {
            let channel = try? await ClientBootstrap(group: SupportLoops.group)
                .connect(host: "127.0.0.1", port: port).get()
            if let channel { return try await channel.close() }
            try await SupportLoops.group.any().scheduleTask(in: .milliseconds(20)) {}.futureResult.get()
        }
        throw PeerError("nobody listens on port \(port) after \(seconds) s")
    }

    /// Waits until nobody listens on a port: a process that was killed may have shared its socket with others that end a little later.
    public static func untilClosed(_ port: Int, within seconds: Int = 30) async throws {
        let end = NIODeadline.now() + .seconds(Int64(seconds))
        while NIODeadline.now() < end {
            let channel = try? await ClientBootstrap(group: SupportLoops.group)
                .connect(host: "127.0.0.1", port: port).get()
            guard let channel else { return }
            try? await channel.close()
            try await SupportLoops.group.any().scheduleTask(in: .milliseconds(20)) {}.futureResult.get()
        }
        throw PeerError("somebody listens on port \(port) after \(seconds) s")
    }
}
