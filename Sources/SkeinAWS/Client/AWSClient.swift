// The common client of all services: signed POST requests with JSON, retried when that may help.

import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinTransport
import SkeinWire
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Calls of one service (the JSON protocol, https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html).
final class AWSClient: Sendable {
    let configuration: AWSConfiguration
    private let service: String
    private let target: String
    private let session: Session
    private let http: HTTPClient
    private let store: AWSCredentialStore
    private let budget = RetryBudget(share: 0.2)
    private let places = Mutex<[String: (url: HTTPURL, region: String)]>([:])
    private let signer = Mutex<AWSSigner?>(nil)
    /// The difference between the service's clock and this machine's.
    private let skew = Mutex<TimeInterval>(0)

    /// - Parameters:
    ///   - service: the service's name in signatures and hosts.
    ///   - target: the prefix of operation names.
    init(_ configuration: AWSConfiguration, service: String, target: String, session: Session, http: HTTPClient) {
        self.configuration = configuration
        self.service = service
        self.target = target
        self.session = session
        self.http = http
        store = AWSCredentialStore(configuration.credentials, by: http.service)
    }

    /// Starts a call and returns at once.
    /// - Parameters:
    ///   - operation: `SendMessage`, `PutItem`.
    ///   - input: the input, as JSON.
    ///   - url: the URL, if it is not the options' endpoint.
    func call(
        _ operation: String, _ input: some Encodable & Sendable, form: AWSResponse.Form = .json, at url: String? = nil,
        timeout: Duration? = nil, meta: RequestMetadata = RequestMetadata(),
        callback: (@Sendable (AWSResponse) -> Void)? = nil
    ) -> Corequest<AWSResponse> {
        CorequestTask.start(
            session,
            {
                do {
                    let body = ByteBuffer(bytes: try JSONEncoder().encode(input))
                    let response = try await self.send(operation, body, url, timeout, meta)
                    return AWSResponse(response, operation, form)
                } catch {
                    return self.failed(operation, error, meta)
                }
            }, failed: { error, _ in self.failed(operation, error, meta) }, callback: callback)
    }

    /// Starts an operation of several calls, with a combined response.
    func work(
        _ operation: String, _ work: @escaping @Sendable () async throws -> AWSResponse
    ) -> Corequest<AWSResponse> {
        CorequestTask.start(
            session,
            {
                do { return try await work() } catch { return self.failed(operation, error, RequestMetadata()) }
            }, failed: { error, _ in self.failed(operation, error, RequestMetadata()) }, callback: nil)
    }

    func failed(_ operation: String, _ error: any Error, _ meta: RequestMetadata = RequestMetadata()) -> AWSResponse {
        let failure =
            error as? SkeinError
            ?? SkeinError(.exception, because: "\(operation) could not be sent: \(error)", cause: error)
        return AWSResponse(failure, operation, meta: meta, logger: session.logger)
    }

    // MARK: Attempts

    private func send(
        _ operation: String, _ body: ByteBuffer, _ url: String?, _ timeout: Duration?, _ meta: RequestMetadata
    ) async throws -> HTTPResponse {
        let place = try place(of: url)
        var request = HTTPRequest(
            .post, place.url, headers: ["X-Amz-Target": "\(target).\(operation)"],
            body: .bytes(body, contentType: "application/x-amz-json-1.0"), timeout: timeout ?? configuration.timeout)
        request.meta = meta
        budget.deposit()
        let backoff = Backoff(first: configuration.firstWait, longest: configuration.longestWait, jitter: .full)
        var credentials = try await store.current()
        var mayRenew = true
        var retries = 0
        var tried: [Balancer.MemberID] = []
        while true {
            let moment = Date(timeIntervalSinceNow: skew.withLock { $0 })
            let response = try await send(request, &tried) { sign($0, credentials, place.region, moment) }
            if response.failure == nil, response.statusCode < 300 { return response }
            if response.failure == nil, mayRenew {
                let error = AWSError(response)
                if error.isExpired {
                    mayRenew = false
                    credentials = try await store.current(insteadOf: credentials)
                    continue
                }
                if error.isSkewed, let date = response.header("Date").flatMap(HTTPDate.parse) {
                    mayRenew = false
                    skew.withLock { $0 = date.timeIntervalSinceNow }
                    continue
                }
            }
            guard retries < configuration.maximumRetries, isTransient(response), budget.withdraw() else {
                return response
            }
            retries += 1
            guard try await backoff.wait(after: retries) else { return response }
        }
    }

    /// Sends a signed request; to a member when the endpoint is an alias, and to another one than before.
    private func send(
        _ request: HTTPRequest, _ tried: inout [Balancer.MemberID], _ sign: (HTTPRequest) -> HTTPRequest
    ) async throws -> HTTPResponse {
        guard request.url.origin.isAlias else { return await http.start(sign(request)).dispatch() }
        let alias = try http.aliases.find(request.url.origin.authority)
        var waits = 0
        while true {
            switch alias.begin(tried: tried, isFirst: tried.isEmpty, at: .now()) {
            case .none(let error):
                // DNS has not named a member yet.
                guard alias.count == 0, waits < 100 else { throw error }
                waits += 1
                try await Task.sleep(for: .milliseconds(50))
            case .attempt(let attempt):
                tried.append(attempt.id)
                // The signature covers the host, which is known now.
                let response = await http.start(sign(attempt.target.request(request))).dispatch()
                let outcome = AliasState.outcome(response)
                alias.end(attempt, outcome, since: response.began, at: .now())
                if case .unreachable = outcome { http.awaitReturn(attempt, of: alias) }
                return response
            }
        }
    }

    /// Where calls go, and the region that they are signed for: found out once for each host.
    private func place(of url: String?) throws(SkeinError) -> (url: HTTPURL, region: String) {
        let named = configuration.endpoint == nil ? url.map { String($0.prefix(before: "?")) } : nil
        let key = named?.splitBytes(separator: "/", maxSplits: 2).prefix(2).joined(separator: "//") ?? ""
        if let known = places.withLock({ $0[key] }) { return known }
        let endpoint = if let named { try HTTPURL(named) } else { try configuration.endpoint(of: service) }
        let region = try configuration.region(endpoint.origin.endpoint.host)
        let place = (url: try HTTPURL("\(endpoint.origin)/"), region: region)
        places.withLock { $0[key] = place }
        return place
    }

    private func isTransient(_ response: HTTPResponse) -> Bool {
        if let failure = response.failure { return isTemporaryNetworkError(failure) && !Task.isCancelled }
        return AWSError(response).isTransient
    }

    /// The signer is reused, since it caches the day's key.
    private func sign(
        _ request: HTTPRequest, _ credentials: AWSCredentials, _ region: String, _ moment: Date
    ) -> HTTPRequest {
        let signer = signer.withLock { signer in
            if let signer, signer.credentials == credentials, signer.region == region { return signer }
            let made = AWSSigner(credentials, region: region, service: service)
            signer = made
            return made
        }
        return signer.sign(request, at: moment)
    }
}
