// Writes the body of one response to a file, and shows the progress.

import Skein
import Synchronization

/// A request whose response body is written to a file.
struct Download {
    let request: HTTPRequest
    let file: String
    let resumes: Bool

    /// Sends the request and writes the file.
    /// - Returns: whether the response was a success and is complete.
    func run(_ skein: SkeinClient) async -> Bool {
        let size = Mutex((received: 0, resumedFrom: 0))
        do {
            let response = try await skein.download(request, to: file, resumes: resumes) { progress in
                size.withLock { $0 = (progress.received, progress.resumedFrom) }
                let total = progress.total.map { " of \($0 >> 10) KiB" } ?? ""
                Terminal.progress("\(progress.received >> 10) KiB\(total)")
            }
            Terminal.endProgress()
            let (received, resumedFrom) = size.withLock { $0 }
            let news = resumedFrom > 0 ? ", \(resumedFrom) of them from the earlier attempt" : ""
            Terminal.say(
                "REQID 0. \(response.version) \(response.statusCode) \(response.reason) "
                    + "\(received) bytes received\(news)")
            return true
        } catch {
            Terminal.endProgress()
            let kept = resumes ? size.withLock { "; \($0.received) bytes are in \(file).part" } : ""
            Terminal.say("REQID 0. \(error)\(kept)")
            return false
        }
    }
}
