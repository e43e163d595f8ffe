// Sends the requests of a command with the requested concurrency, and prints the responses.

import Skein
import Synchronization

/// One run of a request command.
struct RequestRunner {
    let method: HTTPMethod
    let options: RequestOptions

    /// Sends all requests.
    /// - Returns: whether every status was below 400.
    func run() async throws -> Bool {
        let skein = try options.session()
        let isSuccess = try await send(by: skein)
        do {
            try options.sessionOptions.save(skein.configuration.http.cookies)
        } catch {
            Terminal.complain("\(error)")
            return false
        }
        return isSuccess
    }

    private func send(by skein: SkeinClient) async throws -> Bool {
        let urls = try options.allURLs()
        let body = try options.content.body()
        let auth = options.credentials.value
        let cookies = options.sessionOptions.cookies
        let headers = try HeaderArguments.parse(options.header)
        if let output = options.output {
            var request: HTTPRequest
            do {
                request = HTTPRequest(method, try HTTPURL(urls[0]), headers: headers, body: body, auth: auth)
            } catch {
                Terminal.say("REQID 0. \(error)")
                return false
            }
            if !cookies.isEmpty { request.cookies = cookies }
            return await Download(request: request, file: output, resumes: options.resume).run(skein)
        }
        if options.all { return try await sendToAll(urls, body, headers, by: skein) }
        let tally = RequestTally()
        // The number of callers is the concurrency: a file of a million URLs does not become a million simultaneous
        // requests.
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<min(options.concurrency, urls.count) {
                group.addTask {
                    while true {
                        let index = tally.position.wrappingAdd(1, ordering: .relaxed).oldValue
                        guard index < urls.count else { return }
                        let response = await skein.request(
                            method, urls[index], body: body, headers: headers, auth: auth, cookies: cookies
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

    /// Sends each request to every member of its alias, and prints the responses in the order of the members.
    private func sendToAll(
        _ urls: [String], _ body: HTTPBody, _ headers: Headers, by skein: SkeinClient
    ) async throws -> Bool {
        var isSuccess = true
        var number = 0
        for url in urls {
            let path = String(url.dropFirst(url.prefix(before: "/", "?").count))
            let group = try skein.all(String(url.prefix(before: "/", "?"))).request(
                method, path, body: body, headers: headers)
            for response in await group.dispatch() {
                print(response, index: number, url: "\(response.url)")
                isSuccess = isSuccess && response.statusCode < 400
                number += 1
            }
        }
        return isSuccess
    }

    private func print(_ response: HTTPResponse, index: Int, url: String) {
        defer { if options.trace, !options.json, let timings = response.timings { Terminal.say(timings.line) } }
        if options.json { return Terminal.say(ResponseRecord(response, index: index, url: url, options: options).line) }
        guard response.failure == nil, options.headers || options.body else {
            return Terminal.say(response.reportLine(index))
        }
        if options.headers {
            var head = Array("\(response.version) \(response.statusCode) \(response.reason)\n".utf8)
            response.headers.write(to: &head)
            Terminal.say(bytes: head + [UInt8(ascii: "\n")])
        }
        if options.body { response.content.withUnsafeReadableBytes { Terminal.emit($0) } }
    }
}

/// State that the callers of one run share.
private final class RequestTally: Sendable {
    let position = Atomic<Int>(0)
    let finished = Atomic<Int>(0)
    let failed = Atomic<Int>(0)
}

extension HTTPResponse {
    /// The report line, numbered by the position in the list of URLs.
    func reportLine(_ index: Int) -> String {
        if let failure { return "REQID \(index). \(failure)" }
        return "REQID \(index). \(version) \(statusCode) \(reason) \(content.readableBytes) bytes received"
    }
}

extension HTTPTimings {
    /// The time spans that were measured, with their names.
    var spans: [(name: String, milliseconds: Double)] {
        let all: [(String, Duration?)] = [
            ("queued", queued), ("dns", dns), ("connect", connect), ("tls", tls), ("first byte", firstByte),
            ("total", total),
        ]
        return all.compactMap { name, span in span.map { (name, ($0 / .microseconds(1)).rounded() / 1000) } }
    }

    /// One line for people: `  dns 0.4 ms, connect 0.2 ms, first byte 1.1 ms, total 1.2 ms`.
    var line: String {
        "  "
            + spans.filter { $0.name != "queued" || $0.milliseconds >= 1 }
            .map { "\($0.name) \($0.milliseconds) ms" }.joined(separator: ", ")
    }
}

extension Headers {
    /// Appends the fields, one on each line, with their values as received.
    fileprivate func write(to text: inout [UInt8]) {
        for index in 0..<count {
            text += name(at: index).utf8
            text += ": ".utf8
            text += valueBytes(at: index)
            text.append(UInt8(ascii: "\n"))
        }
    }
}
