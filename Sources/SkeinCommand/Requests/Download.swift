// Writes a body to a file as it arrives, never whole in memory.

import ArgumentParser
import Skein

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A request whose answer goes to a file.
struct Download {
    let file: String
    let method: HTTPMethod
    let body: HTTPBody
    let headers: Headers
    let auth: HTTPAuth?
    let skein: Skein

    /// Sends the request and writes the file.
    /// - Returns: whether the answer was below 400 and is whole.
    func run(_ url: String) async throws -> Bool {
        let response: HTTPResponse
        do {
            response = try await skein.stream(method, url, body, headers: headers, auth: auth).dispatch()
        } catch {
            Terminal.say("REQID 0. \(error)")
            return false
        }
        guard let stream = response.stream else {
            Terminal.say(response.reportLine(0))
            return false
        }
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            stream.cancel()
            throw ValidationError(
                "The file \(file.debugDescription) cannot be written (\(String(cString: strerror(errno)))).")
        }
        defer { close(descriptor) }
        let total = response.header("Content-Length").flatMap { Int($0) }
        var received = 0
        do {
            for try await piece in stream {
                let isWritten = piece.withUnsafeReadableBytes { Terminal.writeAll($0, to: descriptor) }
                guard isWritten else {
                    stream.cancel()
                    throw ValidationError(
                        "The file \(file.debugDescription) takes no more (\(String(cString: strerror(errno)))).")
                }
                received += piece.readableBytes
                Terminal.progress("\(received >> 10) KiB\(total.map { " of \($0 >> 10) KiB" } ?? "")")
            }
        } catch let error as SkeinError {
            Terminal.endProgress()
            Terminal.say("REQID 0. \(error); \(received) bytes are in \(file)")
            return false
        }
        Terminal.endProgress()
        Terminal.say(
            "REQID 0. \(response.version) \(response.statusCode) \(response.reason) \(received) bytes received")
        return response.statusCode < 400
    }
}
