// The status page of an agent, for people and for Prometheus.

import SkeinCore
import SkeinEngine
import SkeinMail

enum AgentPage {
    /// Serves the page of an agent.
    /// - Returns: the listening server.
    static func serve(_ agent: MailAgent, at address: (host: String, port: Int)) async throws -> HTTPServer {
        var configuration = ServerConfiguration(addresses: [.tcp(address.host, port: address.port)], threads: 1)
        configuration.logger = .silent
        let server = HTTPServer(configuration) { request in
            guard request.method == .get || request.method == .head else { throw ServerError(.methodNotAllowed) }
            let status = await agent.status
            switch request.path {
            case "/": return request.prefersHTML ? page(status) : .json(status)
            case "/.metrics":
                return ServerResponse(
                    body: .text(metrics(status), contentType: "text/plain; version=0.0.4; charset=utf-8"))
            default: throw ServerError(.notFound)
            }
        }
        do {
            _ = try await server.start()
        } catch let error as SkeinError {
            throw CommandFailure(error)
        }
        return server
    }

    private static func rows(_ status: AgentStatus) -> [(String, Int)] {
        [
            ("messages", status.messages), ("waiting", status.waiting), ("running", status.running),
            ("connections_total", status.connections), ("delivered_total", status.counters.delivered),
            ("deferred_total", status.counters.deferred), ("failed_total", status.counters.failed),
            ("expired_total", status.counters.expired), ("uncertain_total", status.counters.uncertain),
        ]
    }

    private static func metrics(_ status: AgentStatus) -> String {
        rows(status).map { name, value in
            "# TYPE skein_mail_\(name) \(name.hasByteSuffix("_total") ? "counter" : "gauge")\nskein_mail_\(name) \(value)\n"
        }.joined()
    }

    private static func page(_ status: AgentStatus) -> ServerResponse {
        let rows = rows(status).map { "<tr><td>\($0.replacingBytes("_total", with: ""))</td><td>\($1)</td></tr>" }
            .joined()
        let destinations = status.destinations.map { destination in
            "<tr><td>\(Markup.escape(destination.name))</td><td>\(destination.waiting)</td><td>\(destination.running)</td>"
                + "<td>\(destination.isResting ? "cannot be reached" : "")</td></tr>"
        }.joined()
        var response = ServerResponse.html(
            """
            <!doctype html><meta charset="utf-8"><title>Mail agent</title><style>\(MailPages.style)</style>
            <h1>Mail agent</h1><p>Process \(status.process), since \(MailTime.text(status.began)) UTC.</p>
            <table>\(rows)</table><h2>Destinations</h2>
            <table><tr><th>Destination</th><th>Waiting</th><th>Under way</th><th></th></tr>\(destinations)</table>
            """)
        response.headers = MailPages.headers
        response.headers["Refresh"] = "5"
        return response
    }
}

/// The common parts of all pages about mail.
enum MailPages {
    static let style = """
        body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em;color:#222}
        table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3em .6em;border-bottom:1px solid #ddd;vertical-align:top}
        a{color:#06c}iframe{width:100%;height:30em;border:1px solid #ccc}pre{white-space:pre-wrap;background:#f6f6f6;padding:1em}
        """
    static var headers: Headers {
        [
            "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy":
                "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; frame-src 'self'; frame-ancestors 'self'",
        ]
    }
}
