// Sends requests from many callers and tells how long they took: load-generator URL [REQUESTS] [CALLERS]

import Skein

@main struct LoadGenerator {
    static func main() async {
        let arguments = CommandLine.arguments
        guard arguments.count > 1 else { return print("load-generator URL [REQUESTS] [CALLERS]") }
        let url = arguments[1]
        let requests = arguments.count > 2 ? Int(arguments[2]) ?? 1000 : 1000
        let callers = arguments.count > 3 ? Int(arguments[3]) ?? 10 : 10
        let client = SkeinClient(concurrency: callers)
        let begun = ContinuousClock.now
        let results = await withTaskGroup(of: [(status: Int, time: Duration)].self) { group in
            for caller in 0..<callers {
                group.addTask {
                    var results: [(status: Int, time: Duration)] = []
                    for _ in stride(from: caller, to: requests, by: callers) {
                        let start = ContinuousClock.now
                        let response = await client.get(url).dispatch()
                        results.append((response.statusCode, ContinuousClock.now - start))
                    }
                    return results
                }
            }
            var all: [(status: Int, time: Duration)] = []
            for await some in group { all += some }
            return all
        }
        let seconds = (ContinuousClock.now - begun) / .seconds(1)
        let times = results.map(\.time).sorted()
        for (status, count) in Dictionary(grouping: results, by: \.status).mapValues(\.count).sorted(by: <) {
            print("\(status): \(count)")
        }
        print("\(Int(Double(results.count) / seconds)) requests/s")
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] where !times.isEmpty {
            print("\(name): \(times[Int(Double(times.count - 1) * share)])")
        }
        await client.shutdown()
    }
}
