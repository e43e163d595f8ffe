// Sends the requests of a command, as many at a time as was asked for, and prints what comes back.

import Skein
import Synchronization

/// One run of a request command.
struct RequestRunner {
    let method: HTTPMethod
    let options: RequestOptions

    /// Sends all requests.
    /// - Returns: whether every answer was below 400.
    func run() async throws -> Bool {
        let urls = try options.allURLs()
        let body = try options.requestBody()
        let headers = try HeaderArguments.parse(options.header)
        let skein = options.session()
        if let output = options.output {
            return try await Download(
                file: output, method: method, body: body, headers: headers, auth: options.credentials, skein: skein
            )
            .run(urls[0])
        }
        let tally = RequestTally()
        // So many callers as may be under way: a file of a million URLs does not become a million requests at once.
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<min(options.concurrency, urls.count) {
                group.addTask {
                    while true {
                        let index = tally.position.wrappingAdd(1, ordering: .relaxed).oldValue
                        guard index < urls.count else { return }
                        let response = await skein.request(
                            method, urls[index], body, headers: headers, auth: options.credentials
                        ).dispatch()
                        Terminal.endProgress()
                        print(response, index: index, url: urls[index])
                        if response.statusCode >= 400 { tally.failed.wrappingAdd(1, ordering: .relaxed) }
                        let done = tally.finished.wrappingAdd(1, ordering: .relaxed).newValue
                        if urls.count > 1, done < urls.count { Terminal.progress("\(done) of \(urls.count)") }
                    }
                }
            }
        }
        return tally.failed.load(ordering: .relaxed) == 0
    }

    private func print(_ response: HTTPResponse, index: Int, url: String) {
        if options.json { return Terminal.say(ResponseRecord(response, index: index, url: url, options: options).line) }
        guard response.failure == nil, options.headers || options.body else {
            return Terminal.say(response.reportLine(index))
        }
        if options.headers {
            Terminal.say("\(response.version) \(response.statusCode) \(response.reason)\n\(response.headers)\n")
        }
        if options.body { response.content.withUnsafeReadableBytes { Terminal.emit($0) } }
    }
}

/// What the callers of one run share.
private final class RequestTally: Sendable {
    let position = Atomic<Int>(0)
    let finished = Atomic<Int>(0)
    let failed = Atomic<Int>(0)
}

extension HTTPResponse {
    /// The report line with the place in the list of URLs as its number.
    func reportLine(_ index: Int) -> String {
        if let failure { return "REQID \(index). \(failure)" }
        return "REQID \(index). \(version) \(statusCode) \(reason) \(content.readableBytes) bytes received"
    }
}
