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
    private static let taken = Mutex<Set<Int>>([])

    /// A port on which nobody listens, another one each time.
    public static func free() async throws -> Int {
        while true {
            let channel = try await ServerBootstrap(group: SupportLoops.group)
                .bind(host: "127.0.0.1", port: 0).get()
            let port = channel.localAddress?.port
            try await channel.close()
            guard let port else { throw PeerError("no port was bound") }
            if taken.withLock({ $0.insert(port).inserted }) { return port }
        }
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
}
