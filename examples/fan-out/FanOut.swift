// Asks many servers at once and tells how each of them is: fan-out URL …

import Skein

@main struct FanOut {
    static func main() async {
        let client = SkeinClient(concurrency: 50, timeout: .seconds(10))
        let urls = CommandLine.arguments.dropFirst()
        // Every request is on its way before the first is waited for.
        let group = CorequestGroup(urls.map { client.get($0) })
        for (url, response) in zip(urls, await group.dispatch()) {
            if let failure = response.failure {
                print("\(url): \(failure)")
            } else {
                print("\(url): \(response.statusCode), \(response.content.readableBytes) bytes")
            }
        }
        print(await client.fetchAll())
        await client.shutdown()
    }
}
