// A few tests at a time: more than that on a small machine, and each waits for the others until its time limits are over.

import Testing

/// Lets so many tests run at one time, whatever their suites.
struct InTurn: SuiteTrait, TestTrait, TestScoping {
    private static let gate = Gate(4)

    /// How many it takes: a test of several busy processes is more than one.
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

        /// Waits until so many are free at once, and until all that have waited before have theirs.
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
    /// Waits for its turn among the tests that talk to peers.
    static var inTurn: InTurn { InTurn() }
}
