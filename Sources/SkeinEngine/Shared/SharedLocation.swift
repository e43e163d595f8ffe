// Where the processes of a server keep what they share.

import SkeinCore
import SkeinHTTP
import SkeinWorkers

/// A place for what processes of a server share, such as a Redis server for those of many machines.
public struct SharedLocation: Sendable {
    /// What it is called in messages.
    let name: String
    let connect: @Sendable (SkeinClient) async throws -> any SharedBackend

    /// A place of one's own.
    /// - Parameters:
    ///   - name: what it is called in messages.
    ///   - connect: is called once, before the server listens, with the server's client.
    public init(_ name: String, _ connect: @escaping @Sendable (SkeinClient) async throws -> any SharedBackend) {
        self.name = name
        self.connect = connect
    }
}

extension PageBackend {
    /// The memory, or what says why there is none.
    static func orNone(_ worker: WorkerLink?) -> any SharedBackend {
        do throws(SkeinError) { return try PageBackend(worker: worker) } catch { return NoBackend(error: error) }
    }
}

/// Nothing is shared, for a reason.
private struct NoBackend: SharedBackend {
    let error: SkeinError

    func value(_ state: String) async throws -> Int { throw error }
    func set(_ state: String, _ value: Int) async throws { throw error }
    func add(_ number: Int, to state: String) async throws -> Int { throw error }
    func compareAndSet(_ state: String, expected: Int, _ value: Int) async throws -> Bool { throw error }
    func touch(_ name: String) async throws { throw error }
    func lastChange(_ name: String) async throws -> Double? { throw error }
    func tryLock(_ name: String) async throws -> (any SharedLock)? { throw error }
    func broadcast(_ message: Broadcast) async throws { throw error }
    func listen(_ receive: @escaping @Sendable (Broadcast) -> Void) {}
    var rates: any RateStore { LocalRateStore() }
    func close() {}
}
