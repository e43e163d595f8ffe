// A method for each method: the short forms that most calls use. Their parameters are those of `request`.

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
    /// The corequest ends at the head of the answer; the content is also its response's `stream`.
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

    /// Starts a request whose corequest ends at the head of the answer; the body is its response's `stream`.
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

    /// Downloads into a file, which is there when all of it is: until then its content is in `FILE.part` beside it.
    /// - Parameters:
    ///   - request: what to ask for; a GET in most cases.
    ///   - path: the file; one that is there is replaced.
    ///   - resumes: whether what an earlier attempt has left is gone on with, if the server still has the same version, and
    ///     whether this attempt leaves behind what it has when it fails. Default: false.
    ///   - progress: called with each piece, on the downloading task.
    /// - Returns: the response, its stream consumed.
    /// - Throws: `SkeinError`; a status of 300 and above is one, with no file written.
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
