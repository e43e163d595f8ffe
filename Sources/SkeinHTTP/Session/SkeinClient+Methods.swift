// A method for each HTTP method, with the parameters of `request`.

extension SkeinClient {
    /// Starts a GET and returns at once.
    @discardableResult
    public func get(
        _ url: some HTTPURLConvertible, parameters: Parameters = [:], headers: Headers = Headers(),
        auth: HTTPAuth? = nil, cookies: [String: String] = [:], timeout: Duration? = nil,
        meta: RequestMetadata = RequestMetadata(),
        callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .get, url, parameters: parameters, headers: headers, auth: auth, cookies: cookies, timeout: timeout,
            meta: meta, callback: callback)
    }

    /// Starts a HEAD and returns at once.
    @discardableResult
    public func head(
        _ url: some HTTPURLConvertible, parameters: Parameters = [:], headers: Headers = Headers(),
        auth: HTTPAuth? = nil, cookies: [String: String] = [:], timeout: Duration? = nil,
        meta: RequestMetadata = RequestMetadata(),
        callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .head, url, parameters: parameters, headers: headers, auth: auth, cookies: cookies, timeout: timeout,
            meta: meta, callback: callback)
    }

    /// Starts an OPTIONS and returns at once.
    @discardableResult
    public func options(
        _ url: some HTTPURLConvertible, parameters: Parameters = [:], headers: Headers = Headers(),
        auth: HTTPAuth? = nil, cookies: [String: String] = [:], timeout: Duration? = nil,
        meta: RequestMetadata = RequestMetadata(),
        callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .options, url, parameters: parameters, headers: headers, auth: auth, cookies: cookies, timeout: timeout,
            meta: meta, callback: callback)
    }

    /// Starts a TRACE and returns at once.
    @discardableResult
    public func trace(
        _ url: some HTTPURLConvertible, parameters: Parameters = [:], headers: Headers = Headers(),
        auth: HTTPAuth? = nil, cookies: [String: String] = [:], timeout: Duration? = nil,
        meta: RequestMetadata = RequestMetadata(),
        callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .trace, url, parameters: parameters, headers: headers, auth: auth, cookies: cookies, timeout: timeout,
            meta: meta, callback: callback)
    }

    /// Starts a DELETE and returns at once.
    @discardableResult
    public func delete(
        _ url: some HTTPURLConvertible, body: HTTPBody = .none, parameters: Parameters = [:],
        headers: Headers = Headers(),
        auth: HTTPAuth? = nil, cookies: [String: String] = [:], timeout: Duration? = nil,
        meta: RequestMetadata = RequestMetadata(),
        callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .delete, url, body: body, parameters: parameters, headers: headers, auth: auth, cookies: cookies,
            timeout: timeout,
            meta: meta, callback: callback)
    }

    /// Starts a POST and returns at once.
    @discardableResult
    public func post(
        _ url: some HTTPURLConvertible, body: HTTPBody = .none, parameters: Parameters = [:],
        headers: Headers = Headers(),
        auth: HTTPAuth? = nil, cookies: [String: String] = [:], timeout: Duration? = nil,
        meta: RequestMetadata = RequestMetadata(),
        callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .post, url, body: body, parameters: parameters, headers: headers, auth: auth, cookies: cookies,
            timeout: timeout,
            meta: meta, callback: callback)
    }

    /// Starts a PUT and returns at once.
    @discardableResult
    public func put(
        _ url: some HTTPURLConvertible, body: HTTPBody = .none, parameters: Parameters = [:],
        headers: Headers = Headers(),
        auth: HTTPAuth? = nil, cookies: [String: String] = [:], timeout: Duration? = nil,
        meta: RequestMetadata = RequestMetadata(),
        callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .put, url, body: body, parameters: parameters, headers: headers, auth: auth, cookies: cookies,
            timeout: timeout,
            meta: meta, callback: callback)
    }

    /// Starts a PATCH and returns at once.
    @discardableResult
    public func patch(
        _ url: some HTTPURLConvertible, body: HTTPBody = .none, parameters: Parameters = [:],
        headers: Headers = Headers(),
        auth: HTTPAuth? = nil, cookies: [String: String] = [:], timeout: Duration? = nil,
        meta: RequestMetadata = RequestMetadata(),
        callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .patch, url, body: body, parameters: parameters, headers: headers, auth: auth, cookies: cookies,
            timeout: timeout,
            meta: meta, callback: callback)
    }

    /// Starts a GET whose content is read as it arrives: `for try await piece in client.stream(url)`.
    ///
    /// The corequest ends at the head of the response; the content is also its response's `stream`.
    @discardableResult
    public func stream(
        _ url: some HTTPURLConvertible, parameters: Parameters = [:], headers: Headers = Headers(),
        auth: HTTPAuth? = nil, cookies: [String: String] = [:], timeout: Duration? = nil,
        meta: RequestMetadata = RequestMetadata(),
        callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .get, url, parameters: parameters, headers: headers, auth: auth, cookies: cookies, timeout: timeout,
            isStreamed: true, meta: meta, callback: callback)
    }

    /// Starts a request whose corequest ends at the head of the response; the body is its response's `stream`.
    /// - Throws: code 701 for a malformed URL.
    @discardableResult
    public func stream(
        _ method: HTTPMethod, _ url: some HTTPURLConvertible, body: HTTPBody = .none,
        headers: Headers = Headers(),
        auth: HTTPAuth? = nil, cookies: [String: String] = [:], timeout: Duration? = nil,
        meta: RequestMetadata = RequestMetadata(),
        callback: Callback? = nil
    ) throws(SkeinError) -> Corequest<HTTPResponse> {
        var request = HTTPRequest(
            method, try url.httpURL(parameters: [:]), headers: headers, body: body, auth: auth, timeout: timeout,
            isStreamed: true,
            meta: meta)
        if !cookies.isEmpty { request.cookies = cookies }
        return start(request, callback: callback)
    }

    /// Downloads into a file, which appears when it is complete: until then its content is in `FILE.part` beside it.
    /// - Parameters:
    ///   - request: the request, usually a GET.
    ///   - path: the file; an existing one is replaced.
    ///   - resumes: whether the partial file of an earlier attempt is continued, if the server still has the same
    ///     version, and whether this attempt leaves a partial file when it fails. Default: false.
    ///   - progress: called with each piece, on the downloading task.
    /// - Returns: the response, with its stream consumed.
    /// - Throws: `SkeinError`, also for a status of 300 and above, with no file written.
    @discardableResult
    public nonisolated(nonsending) func download(
        _ request: HTTPRequest, to path: String, resumes: Bool = false,
        progress: (@Sendable (DownloadProgress) -> Void)? = nil
    ) async throws -> HTTPResponse {
        try await FileDownload(to: path, resumes: resumes, progress: progress) { self.start($0) }.run(request)
    }

    /// Downloads a URL into a file; see ``download(_:to:resumes:progress:)-(HTTPRequest,_,_,_)``.
    @discardableResult
    public nonisolated(nonsending) func download(
        _ url: some HTTPURLConvertible, to path: String, headers: Headers = Headers(), auth: HTTPAuth? = nil,
        resumes: Bool = false,
        progress: (@Sendable (DownloadProgress) -> Void)? = nil
    ) async throws -> HTTPResponse {
        let request = HTTPRequest(.get, try url.httpURL(parameters: [:]), headers: headers, auth: auth)
        return try await download(request, to: path, resumes: resumes, progress: progress)
    }
}
