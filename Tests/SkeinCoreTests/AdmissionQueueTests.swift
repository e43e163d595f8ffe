import Testing

@testable import SkeinCore

@Suite("Admission")
struct AdmissionQueueTests {
    @Test("a limited number run, the rest wait in order")
    func order() {
        var queue = AdmissionQueue<String, Int>(limit: 2, order: .fair)
        let outcome1 = queue.admit()
        #expect(outcome1)
        let outcome2 = queue.admit()
        #expect(outcome2)
        let outcome3 = queue.admit()
        #expect(!outcome3)
        for number in 1...3 { queue.enqueue(number, key: "a") }
        #expect(queue.waiting == 3)
        let outcome4 = [queue.release(), queue.release(), queue.release()]
        #expect(outcome4 == [1, 2, 3])
        let outcome5 = queue.release()
        #expect(outcome5 == nil)
        let outcome6 = queue.release()
        #expect(outcome6 == nil)
        #expect(queue.running == 0)
        let outcome7 = queue.admit()
        #expect(outcome7)
    }

    @Test("keys take turns: a thousand of one do not delay another")
    func fairness() {
        var queue = AdmissionQueue<String, String>(limit: 1, order: .fair)
        _ = queue.admit()
        for number in 0..<1000 { queue.enqueue("a\(number)", key: "a") }
        queue.enqueue("b0", key: "b")
        let outcome8 = [queue.release(), queue.release(), queue.release()]
        #expect(outcome8 == ["a0", "b0", "a1"])
    }

    @Test("in random order, every element comes out once")
    func random() {
        var queue = AdmissionQueue<String, Int>(limit: 1, order: .random)
        _ = queue.admit()
        for number in 0..<200 { queue.enqueue(number, key: "a") }
        var taken: [Int] = []
        while let next = queue.release() { taken.append(next) }
        #expect(taken.sorted() == Array(0..<200))
        #expect(taken != Array(0..<200))
    }
}

@Suite("Resource pool")
struct ResourcePoolTests {
    private final class Thing: Sendable {}

    @Test("it creates members up to the maximum, then returns them in turn")
    func roundRobin() {
        let pool = ResourcePool(initial: 2, maximum: 3) { Thing() }
        #expect(pool.count == 2)
        let things = (0..<6).map { _ in pool.get() }
        #expect(pool.count == 3)
        #expect(Set(things[0..<3].map(ObjectIdentifier.init)).count == 3)
        #expect(things[3] === things[0])
        #expect(things[4] === things[1])
        #expect(things[5] === things[2])
    }
}
