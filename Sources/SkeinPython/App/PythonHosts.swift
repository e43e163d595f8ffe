// The Python apps of a process. Python imports a module once; an app mounted again after a reload is the same object.

import SkeinCore
import SkeinEngine
import SkeinHTTP
import Synchronization

/// A Python app that answers requests.
protocol PythonHost: App {
    /// Ends the app's own tasks, when the last server that uses it has stopped.
    /// - Parameter timeout: the time limit for running tasks.
    func end(within timeout: Duration) async
    /// The metrics of the app.
    func metrics(mount: String) -> [AppMetric]
}

enum PythonHosts {
    private struct Entry {
        let host: any PythonHost
        var uses = 1
    }

    private static let entries = Mutex<[String: Entry]>([:])
    private static let latest = Mutex<SkeinClient?>(nil)

    /// The client of the latest server, for calls of apps outside of requests.
    static var client: SkeinClient? {
        get { latest.withLock { $0 } }
        set { latest.withLock { $0 = newValue } }
    }

    /// The app with a key, with its use count increased.
    static func find(_ key: String) -> (any PythonHost)? {
        entries.withLock { entries in
            entries[key]?.uses += 1
            return entries[key]?.host
        }
    }

    /// Adds an app.
    /// - Returns: the app with the key, which may have been added concurrently.
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

    /// Ends an app that is not used any more.
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

/// A placeholder for an app that cannot be imported, during development.
struct BrokenApp: App {
    let message: String

    func respond(to request: ServerRequest) async throws -> ServerResponse {
        var response = ServerResponse.text("\(message)\n", status: .internalServerError)
        response.headers = ["Cache-Control": "no-store", "Refresh": "2"]
        return response
    }
}
