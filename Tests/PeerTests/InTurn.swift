// Runs a few tests at a time: with more on a small machine, tests delay each other until their time limits are over.

import Testing

/// Limits how many tests run at the same time, across all suites.
struct InTurn: SuiteTrait, TestTrait, TestScoping {
    private static let gate = Gate(4)

    /// The number of places it takes: a test with several busy processes takes more than one.
    var places = 1

    let isRecursive = true

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        guard testCase != nil else { return try await function() }  // a suite holds no place, its tests do
        await Self.gate.enter(places)
        do {
            try await function()
        } catch {
            await Self.gate.leave(places)
            throw error
        }
        await Self.gate.leave(places)
    }

    private actor Gate {
        private var free: Int
        private var waiting: [(places: Int, continuation: CheckedContinuation<Void, Never>)] = []

        init(_ places: Int) { free = places }

        /// Waits until this many places are free at once, and until all earlier waiters have theirs.
        func enter(_ places: Int) async {
            if waiting.isEmpty, free >= places {
                free -= places
            } else {
                await withCheckedContinuation { waiting.append((places, $0)) }
            }
        }

        func leave(_ places: Int) {
            free += places
            while let next = waiting.first, free >= next.places {
                free -= next.places
                waiting.removeFirst().continuation.resume()
            }
        }
    }
}

extension Trait where Self == InTurn {
    /// Waits for a place among the tests that talk to peers.
    static var inTurn: InTurn { InTurn() }
}
