// WebSockets over the session.

extension SkeinClient {
    /// Opens a WebSocket: `for try await message in socket`, `socket.send("…")`.
    /// - Parameters:
    ///   - url: `ws://` or `wss://`.
    ///   - configuration: subprotocols, limits, compression, pings, reconnecting.
    ///   - headers: header fields of the handshake.
    ///   - auth: credentials.
    ///   - timeout: for the handshake. Default: the session's.
    ///   - handler: receives the socket's messages; without one, iterate over the socket.
    /// - Throws: code 701 for a malformed URL, the server's status when it refuses, 716 when it is not a WebSocket
    ///   server, else the code of the failure.
    public nonisolated(nonsending) func webSocket(
        _ url: String, configuration: WebSocketConfiguration = WebSocketConfiguration(), headers: Headers = Headers(),
        auth: HTTPAuth? = nil, timeout: Duration? = nil, handler: (any WebSocketHandler)? = nil
    ) async throws(SkeinError) -> WebSocket {
        var request = HTTPRequest(.get, try HTTPURL(webSocket: url), headers: headers, auth: auth, timeout: timeout)
        mark?(&request)
        return try await http.webSocket(request, configuration, handler: handler)
    }

    /// Sends one message over a WebSocket of its own and receives one: code 200 with the message, or with opcode -1
    /// when the server closes before it has sent one.
    /// - Parameters:
    ///   - url: `ws://` or `wss://`.
    ///   - message: a text literal, `.text(…)` or `.binary(…)`.
    ///   - configuration: subprotocols, limits, compression.
    ///   - headers: header fields of the handshake.
    ///   - auth: credentials.
    ///   - timeout: for the handshake. Default: the session's.
    ///   - meta: metadata that the response carries.
    ///   - callback: called with the response, on an event loop.
    /// - Returns: the corequest, already started.
    @discardableResult
    public func ws(
        _ url: String, _ message: WebSocketMessage, configuration: WebSocketConfiguration = WebSocketConfiguration(),
        headers: Headers = Headers(), auth: HTTPAuth? = nil, timeout: Duration? = nil,
        meta: RequestMetadata = RequestMetadata(),
        callback: (@Sendable (WebSocketResponse) -> Void)? = nil
    ) -> Corequest<WebSocketResponse> {
        let target: HTTPURL
        var problem: SkeinError?
        do throws(SkeinError) {
            target = try HTTPURL(webSocket: url)
        } catch {
            target = .unusable(url)
            problem = error
        }
        var request = HTTPRequest(.get, target, headers: headers, auth: auth, timeout: timeout, meta: meta)
        mark?(&request)
        stamp(&request, hasCallback: callback != nil)
        return http.exchange(message, request, configuration, problem: problem, callback: callback)
    }
}
