// The Python apps of a process. Python imports a module once; an app that is mounted again, when a configuration is read again, is the same.

import SkeinCore
import SkeinEngine
import SkeinHTTP
import Synchronization

/// A Python app that answers requests.
protocol PythonHost: App {
    /// Ends what the app has begun, when the last server that has it has stopped.
    /// - Parameter timeout: how long what still runs may go on.
    func end(within timeout: Duration) async
    /// What is worth to be watched.
    func metrics(mount: String) -> [AppMetric]
}

enum PythonHosts {
    private struct Entry {
        let host: any PythonHost
        var uses = 1
    }

    private static let entries = Mutex<[String: Entry]>([:])
    private static let latest = Mutex<SkeinClient?>(nil)

    /// The client of the server that was made ready last, for what apps ask outside of requests.
    static var client: SkeinClient? {
        get { latest.withLock { $0 } }
        set { latest.withLock { $0 = newValue } }
    }

    /// The app of a key, used once more.
    static func find(_ key: String) -> (any PythonHost)? {
        entries.withLock { entries in
            entries[key]?.uses += 1
            return entries[key]?.host
        }
    }

    /// Adds an app.
    /// - Returns: the app of the key, which somebody may have added meanwhile.
    static func add(_ host: any PythonHost, _ key: String) -> any PythonHost {
        entries.withLock { entries in
            if entries[key] != nil {
                entries[key]?.uses += 1
            } else {
                entries[key] = Entry(host: host)
            }
            return entries[key]?.host ?? host
        }
    }

    /// Ends an app that nobody uses any more.
    static func letGo(of key: String, within timeout: Duration) async {
        let (last, isEmpty) = entries.withLock { entries -> ((any PythonHost)?, Bool) in
            entries[key]?.uses -= 1
            guard entries[key]?.uses == 0 else { return (nil, false) }
            let host = entries.removeValue(forKey: key)?.host
            return (host, entries.isEmpty)
        }
        await last?.end(within: timeout)
        if isEmpty { await PythonInterpreter.running?.leave() }
    }
}

/// In place of an app that cannot be imported, while it is being written.
struct BrokenApp: App {
    let message: String

    func respond(to request: ServerRequest) async throws -> ServerResponse {
        var response = ServerResponse.text("\(message)\n", status: .internalServerError)
        response.headers = ["Cache-Control": "no-store", "Refresh": "2"]
        return response
    }
}
