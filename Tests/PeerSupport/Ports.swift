// Ports of the loopback interface.

import Foundation
import NIOCore
import NIOPosix
import Synchronization

/// The event loops of the test support, separate so that the code under test never delays them.
public enum SupportLoops {
    public static let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
}

/// Finds ports, and waits for their listeners.
public enum Ports {
    /// Below the ephemeral ports of the system: between this search and the peer's bind, no other socket can be given
    /// the same port.
    private static let range = 20_000..<30_000
    private static let next = Mutex(Int.random(in: range))

    /// A free port, a different one each time.
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

    /// Waits until a listener accepts connections on a port.
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

    /// Waits until no process listens on a port: a killed process may have shared its socket with others that end a
    /// little later.
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
