// A few tests at a time: more than that on a small machine, and each waits for the others until its time limits are over.

import Testing

/// Lets so many tests run at one time, whatever their suites.
struct InTurn: SuiteTrait, TestTrait, TestScoping {
    private static let gate = Gate(4)

    let isRecursive = true

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        guard testCase != nil else { return try await function() }  // a suite holds no place, its tests do
        await Self.gate.enter()
        do {
            try await function()
        } catch {
            await Self.gate.leave()
            throw error
        }
        await Self.gate.leave()
    }

    private actor Gate {
        private var free: Int
        private var waiting: [CheckedContinuation<Void, Never>] = []

        init(_ places: Int) { free = places }

        func enter() async {
            if free > 0 {
                free -= 1
            } else {
                await withCheckedContinuation { waiting.append($0) }
            }
        }

        func leave() {
            if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
        }
    }
}

extension Trait where Self == InTurn {
    /// Waits for its turn among the tests that talk to peers.
    static var inTurn: InTurn { InTurn() }
}
