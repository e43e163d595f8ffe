// Metadata that a caller attaches to a request to identify its response.

/// Values that are passed from a request to its response.
///
/// The keys `req_id`, `req_method` and `req_callback` are reserved: they are filled in by the session.
public struct RequestMetadata: Sendable, ExpressibleByDictionaryLiteral {
    /// The request's number in its session, from 0.
    public private(set) var requestID: Int = 0
    /// The request's method.
    public private(set) var requestMethod: String = ""
    /// Whether a callback was given for this request alone.
    public private(set) var hasCallback = false
    private var values: [String: any Sendable] = [:]

    /// Values from a literal: `["job": "nightly"]`.
    public init(dictionaryLiteral elements: (String, any Sendable)...) {
        for (key, value) in elements { values[key] = value }
    }

    /// No values.
    public init() {}

    /// Fills in the reserved keys.
    package mutating func stamp(id: Int, method: String, hasCallback: Bool) {
        requestID = id
        requestMethod = method
        self.hasCallback = hasCallback
    }

    /// A value by its key; the reserved keys can be read but not set.
    public subscript(key: String) -> (any Sendable)? {
        get {
            switch key {
            case "req_id": requestID
            case "req_method": requestMethod
            case "req_callback": hasCallback
            default: values[key]
            }
        }
        set { values[key] = newValue }
    }
}
