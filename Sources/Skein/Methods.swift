// A method for each method: the short forms that most calls use. Their parameters are those of `request`.

extension Skein {
    /// Starts a GET and returns at once.
    @discardableResult
    public func get(
        _ url: String, parameters: Parameters = [:], headers: Headers = Headers(), auth: HTTPAuth? = nil,
        timeout: Duration? = nil,
        meta: Meta = Meta(), callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .get, url, parameters: parameters, headers: headers, auth: auth, timeout: timeout, meta: meta,
            callback: callback)
    }

    /// Starts a HEAD and returns at once.
    @discardableResult
    public func head(
        _ url: String, parameters: Parameters = [:], headers: Headers = Headers(), auth: HTTPAuth? = nil,
        timeout: Duration? = nil,
        meta: Meta = Meta(), callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .head, url, parameters: parameters, headers: headers, auth: auth, timeout: timeout, meta: meta,
            callback: callback)
    }

    /// Starts an OPTIONS and returns at once.
    @discardableResult
    public func options(
        _ url: String, parameters: Parameters = [:], headers: Headers = Headers(), auth: HTTPAuth? = nil,
        timeout: Duration? = nil,
        meta: Meta = Meta(), callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .options, url, parameters: parameters, headers: headers, auth: auth, timeout: timeout, meta: meta,
            callback: callback)
    }

    /// Starts a TRACE and returns at once.
    @discardableResult
    public func trace(
        _ url: String, parameters: Parameters = [:], headers: Headers = Headers(), auth: HTTPAuth? = nil,
        timeout: Duration? = nil,
        meta: Meta = Meta(), callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .trace, url, parameters: parameters, headers: headers, auth: auth, timeout: timeout, meta: meta,
            callback: callback)
    }

    /// Starts a DELETE and returns at once.
    @discardableResult
    public func delete(
        _ url: String, _ body: HTTPBody = .none, parameters: Parameters = [:], headers: Headers = Headers(),
        auth: HTTPAuth? = nil,
        timeout: Duration? = nil, meta: Meta = Meta(), callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .delete, url, body, parameters: parameters, headers: headers, auth: auth, timeout: timeout, meta: meta,
            callback: callback)
    }

    /// Starts a POST and returns at once.
    @discardableResult
    public func post(
        _ url: String, _ body: HTTPBody = .none, parameters: Parameters = [:], headers: Headers = Headers(),
        auth: HTTPAuth? = nil,
        timeout: Duration? = nil, meta: Meta = Meta(), callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .post, url, body, parameters: parameters, headers: headers, auth: auth, timeout: timeout, meta: meta,
            callback: callback
        )
    }

    /// Starts a PUT and returns at once.
    @discardableResult
    public func put(
        _ url: String, _ body: HTTPBody = .none, parameters: Parameters = [:], headers: Headers = Headers(),
        auth: HTTPAuth? = nil,
        timeout: Duration? = nil, meta: Meta = Meta(), callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .put, url, body, parameters: parameters, headers: headers, auth: auth, timeout: timeout, meta: meta,
            callback: callback)
    }

    /// Starts a PATCH and returns at once.
    @discardableResult
    public func patch(
        _ url: String, _ body: HTTPBody = .none, parameters: Parameters = [:], headers: Headers = Headers(),
        auth: HTTPAuth? = nil,
        timeout: Duration? = nil, meta: Meta = Meta(), callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .patch, url, body, parameters: parameters, headers: headers, auth: auth, timeout: timeout, meta: meta,
            callback: callback)
    }

    /// Starts a GET whose corequest ends at the head of the answer; the body is its response's `stream`.
    @discardableResult
    public func stream(
        _ method: HTTPMethod = .get, _ url: String, _ body: HTTPBody = .none, headers: Headers = Headers(),
        auth: HTTPAuth? = nil,
        timeout: Duration? = nil, meta: Meta = Meta(), callback: Callback? = nil
    ) throws(SkeinError) -> Corequest<HTTPResponse> {
        start(
            HTTPRequest(
                method, try HTTPURL(url), headers: headers, body: body, auth: auth, timeout: timeout, isStreamed: true,
                meta: meta),
            callback: callback)
    }
}
