// The same methods with a label before the content: `client.post(url, body: .json(user))`.

extension Skein {
    /// Starts a DELETE with content and returns at once.
    @discardableResult
    public func delete(
        _ url: some HTTPURLConvertible, body: HTTPBody, parameters: Parameters = [:], headers: Headers = Headers(),
        auth: HTTPAuth? = nil, cookies: [String: String] = [:], timeout: Duration? = nil, meta: Meta = Meta(),
        callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .delete, url, body, parameters: parameters, headers: headers, auth: auth, cookies: cookies,
            timeout: timeout,
            meta: meta, callback: callback)
    }

    /// Starts a POST with content and returns at once.
    @discardableResult
    public func post(
        _ url: some HTTPURLConvertible, body: HTTPBody, parameters: Parameters = [:], headers: Headers = Headers(),
        auth: HTTPAuth? = nil, cookies: [String: String] = [:], timeout: Duration? = nil, meta: Meta = Meta(),
        callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .post, url, body, parameters: parameters, headers: headers, auth: auth, cookies: cookies, timeout: timeout,
            meta: meta, callback: callback)
    }

    /// Starts a PUT with content and returns at once.
    @discardableResult
    public func put(
        _ url: some HTTPURLConvertible, body: HTTPBody, parameters: Parameters = [:], headers: Headers = Headers(),
        auth: HTTPAuth? = nil, cookies: [String: String] = [:], timeout: Duration? = nil, meta: Meta = Meta(),
        callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .put, url, body, parameters: parameters, headers: headers, auth: auth, cookies: cookies, timeout: timeout,
            meta: meta, callback: callback)
    }

    /// Starts a PATCH with content and returns at once.
    @discardableResult
    public func patch(
        _ url: some HTTPURLConvertible, body: HTTPBody, parameters: Parameters = [:], headers: Headers = Headers(),
        auth: HTTPAuth? = nil, cookies: [String: String] = [:], timeout: Duration? = nil, meta: Meta = Meta(),
        callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            .patch, url, body, parameters: parameters, headers: headers, auth: auth, cookies: cookies, timeout: timeout,
            meta: meta, callback: callback)
    }
}
