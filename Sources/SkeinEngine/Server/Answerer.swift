// Dispatches a request to its handler, for all HTTP versions.

/// Receives the response to one request: an HTTP/1.1 connection or an HTTP/2 stream. Called on the loop.
protocol Answerer: AnyObject, Sendable {
    var owner: ServerShard { get }
    /// Sends a handler's response.
    func answer(_ response: ServerResponse)
}

extension Answerer {
    /// Calls the handler.
    /// - Returns: its task; nil when it was a function call and has responded.
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

    /// The reason why a response cannot be sent.
    func problem(with response: ServerResponse) -> SkeinError? {
        if let problem = response.body.problem { return problem }
        let code = response.status.code
        if (200...599).contains(code) || code == 101 && response.upgrade != nil { return nil }
        return SkeinError(
            .exception, because: "a handler answered with the status \(code); a response status must be from 200 to 599"
        )
    }

    /// The response for an error.
    func response(for error: any Error) -> ServerResponse {
        if let error = error as? ServerError {
            return ServerResponse(error.status, headers: error.headers, body: .text(error.message + "\n"))
        }
        if let known = (error as? SkeinError).flatMap(ServerError.init) {
            owner.context.configuration.logger.error("a handler failed: \(error)")
            return response(for: known)
        }
        if !(error is CancellationError) { owner.context.configuration.logger.error("a handler failed: \(error)") }
        return .text("Internal Server Error\n", status: .internalServerError)
    }
}
