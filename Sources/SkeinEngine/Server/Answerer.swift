// From a request to its handler, whatever version of HTTP brought it.

/// What takes the answer to one request: an HTTP/1.1 connection or an HTTP/2 stream. Called on the loop.
protocol Answerer: AnyObject, Sendable {
    var owner: ServerShard { get }
    /// Sends a handler's answer.
    func answer(_ response: ServerResponse)
}

extension Answerer {
    /// Calls the handler.
    /// - Returns: the task in which it runs; nil when it was a plain call and has answered.
    func handle(_ request: ServerRequest) -> Task<Void, Never>? {
        switch owner.handling {
        case .immediate(let closure):
            do {
                try answer(closure(request))
            } catch {
                answer(self.response(for: error))
            }
            return nil
        case .task(let app):
            return Task(executorPreference: owner.shard.executor) {
                do {
                    let response = try await app.respond(to: request)
                    self.answer(response)
                } catch {
                    self.answer(self.response(for: error))
                }
            }
        }
    }

    /// What the client gets to know of an error.
    func response(for error: any Error) -> ServerResponse {
        if let error = error as? ServerError {
            return ServerResponse(error.status, headers: error.headers, body: .text(error.message + "\n"))
        }
        if !(error is CancellationError) { owner.context.configuration.logger.error("a handler failed: \(error)") }
        return .text("Internal Server Error\n", status: .internalServerError)
    }
}
