// The location of the shared state of a server.

import SkeinCore
import SkeinHTTP
import SkeinWorkers

/// A location of the shared state of a server's processes, such as a Redis server for several machines.
public struct SharedLocation: Sendable {
    /// Its name in messages.
    let name: String
    let connect: @Sendable (SkeinClient) async throws -> any SharedBackend

    /// A custom location.
    /// - Parameters:
    ///   - name: its name in messages.
    ///   - connect: called once, before the server listens, with the server's client.
    public init(_ name: String, _ connect: @escaping @Sendable (SkeinClient) async throws -> any SharedBackend) {
        self.name = name
        self.connect = connect
    }
}

extension PageBackend {
    /// The shared memory, or a backend that throws the reason for its absence.
    static func orNone(_ worker: WorkerLink?) -> any SharedBackend {
        do throws(SkeinError) { return try PageBackend(worker: worker) } catch { return NoBackend(error: error) }
    }
}

/// No shared state, for a reason.
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
