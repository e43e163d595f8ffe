// JSON-RPC 2.0 clients and services (https://www.jsonrpc.org/specification).

import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinWire
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension JSONValue: RPCValue {
    /// JSON's null.
    public static var none: JSONValue { .null }
}

/// The functions of a JSON-RPC server: `stub.sum(1, 2)` passes its arguments by position, `stub.sum(a: 1, b: 2)` by name.
@dynamicMemberLookup @dynamicCallable
public struct JSONRPC: Sendable {
    /// The response to a call.
    public typealias Call = Corequest<RPCResponse<JSONValue>>

    /// The arguments of a call.
    public enum Arguments: Sendable {
        case byPosition([any Encodable & Sendable])
        case byName([String: any Encodable & Sendable])

        /// The members of an object as named arguments, in order.
        case members(JSONObject)
    }

    private let endpoint: RPCEndpoint
    private let numbers: Numbers

    /// Unique IDs of calls.
    private final class Numbers: Sendable {
        private let next = Atomic<Int>(1)

        func take(_ count: Int = 1) -> Int { next.wrappingAdd(count, ordering: .relaxed).oldValue }
    }

    /// The functions at a URL.
    /// - Parameter request: the URL, with headers and credentials; its method and content are set for each call.
    package init(_ request: HTTPRequest, over send: @escaping RPCSender) {
        self.init(RPCEndpoint(request, over: send), Numbers())
    }

    private init(_ endpoint: RPCEndpoint, _ numbers: Numbers) {
        self.endpoint = endpoint
        self.numbers = numbers
    }

    /// A function, or a prefix of its dotted name.
    public subscript(dynamicMember member: String) -> JSONRPC { JSONRPC(endpoint.member(member), numbers) }

    /// Starts a call with arguments by position.
    @discardableResult
    public func dynamicallyCall(withArguments arguments: [any Encodable & Sendable]) -> Call {
        call(endpoint.name, .byPosition(arguments))
    }

    /// Starts a call with arguments by name.
    @discardableResult
    public func dynamicallyCall(
        withKeywordArguments arguments: KeyValuePairs<String, any Encodable & Sendable>
    ) -> Call {
        call(endpoint.name, .byName(Dictionary(arguments.map { ($0.key, $0.value) }) { $1 }))
    }

    /// Starts a call of a function whose name is known only at run time.
    /// - Returns: the corequest; `fetch()` returns the result or throws the server's error as status 500.
    @discardableResult
    public func call(_ method: String, _ arguments: Arguments = .byPosition([])) -> Call {
        let id = numbers.take()
        return relay(method, .json(Envelope(method: method, arguments: arguments, id: id))) { response in
            let answer = try Answer(response.json())
            guard answer.id == id || answer.error != nil else { throw Self.malformed("the id is that of another call") }
            return answer.outcome
        }
    }

    /// Sends a notification, which has no response: its corequest ends when the server has received it.
    @discardableResult
    public func notify(_ method: String, _ arguments: Arguments = .byPosition([])) -> Call {
        relay(method, .json(Envelope(method: method, arguments: arguments, id: nil))) { _ in .success(.null) }
    }

    /// Starts several calls as a batch.
    /// - Returns: the corequest; ``results(of:)`` splits its response.
    public func batch(_ calls: [(method: String, arguments: Arguments)]) -> Call {
        let first = numbers.take(calls.count)
        let envelopes = calls.enumerated().map { Envelope(method: $1.method, arguments: $1.arguments, id: first + $0) }
        return relay("batch", .json(envelopes)) { response in
            let document = try response.json()
            guard let answers = document.elements else {
                return try Answer(document).outcome  // the whole batch was refused
            }
            // Responses may be in any order.
            let sorted = answers.sorted { ($0["id"]?.integer ?? .max) < ($1["id"]?.integer ?? .max) }
            guard sorted.map({ $0["id"]?.integer }) == calls.indices.map({ first + $0 }) else {
                throw Self.malformed("the batch response does not have one result per call")
            }
            return .success(.array(sorted))
        }
    }

    /// The result of each call of a ``batch(_:)``, in the order of the calls.
    public static func results(of response: RPCResponse<JSONValue>) throws -> [Result<JSONValue, RPCFault>] {
        try response.raiseForStatus()
        return try (response.content.elements ?? []).map { try Answer($0).outcome }
    }

    private func relay(
        _ method: String, _ body: HTTPBody,
        _ read: @escaping @Sendable (HTTPResponse) throws -> Result<JSONValue, RPCFault>
    ) -> Call {
        endpoint.call(method, body, accepting: "application/json", read)
    }

    private static func malformed(_ why: String) -> SkeinError {
        SkeinError(.invalidContent, because: "the content is not JSON-RPC: \(why)")
    }

    // MARK: Documents

    private struct Envelope: Encodable {
        let method: String
        let arguments: Arguments
        let id: Int?

        private enum Keys: String, CodingKey {
            case jsonrpc, method, params, id
        }

        /// A value of a type known only at run time.
        private struct Argument: Encodable {
            let value: any Encodable

            func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Keys.self)
            try container.encode("2.0", forKey: .jsonrpc)
            try container.encode(method, forKey: .method)
            try container.encodeIfPresent(id, forKey: .id)
            switch arguments {
            case .byPosition(let values) where values.isEmpty: break
            case .byPosition(let values): try container.encode(values.map { Argument(value: $0) }, forKey: .params)
            case .members(let members): try container.encode(JSONValue.object(members), forKey: .params)
            case .byName(let values): try container.encode(values.mapValues { Argument(value: $0) }, forKey: .params)
            }
        }
    }

    private struct Answer {
        let id: Int?
        let result: JSONValue
        let error: RPCFault?

        /// - Throws: code 709 when it is not a JSON-RPC response.
        init(_ answer: JSONValue) throws {
            guard answer.members != nil else { throw JSONRPC.malformed("it is not an object") }
            id = answer["id"]?.integer
            result = answer["result"] ?? .null
            error = try answer["error"].flatMap { error in
                if error == .null { return nil }
                guard let code = error["code"]?.integer, let message = error["message"]?.string else {
                    throw JSONRPC.malformed("the error lacks a code or a message")
                }
                return RPCFault(code, message)
            }
        }

        var outcome: Result<JSONValue, RPCFault> { error.map { .failure($0) } ?? .success(result) }
    }
}

/// A JSON-RPC service: a request handler passes request content to it and sends the result.
public struct JSONRPCService: Sendable {
    /// A function: its parameter is an array, an object, or null without arguments.
    public typealias Function = @Sendable (JSONValue) async throws -> any Encodable & Sendable

    private static let maximumBatch = 1000
    private var functions: [String: Function] = [:]

    /// An empty service.
    public init() {}

    /// Adds a function. An ``RPCFault`` that it throws becomes the error, any other error becomes -32603.
    public mutating func register(_ name: String, _ function: @escaping Function) { functions[name] = function }

    /// The response to a call or a batch.
    /// - Parameter content: the content of the request.
    /// - Returns: the content of the response, or nil for notifications: a response without content then, 204 or, since
    ///   some clients accept no other success, 200.
    public func answer(_ content: ByteBuffer) async -> HTTPBody? {
        let document: JSONValue
        do {
            document = try JSONValue(json: content.readableBytesView)
        } catch {
            return .json(Self.failure(RPCFault(-32700, "the content is no JSON: \(error)"), id: .null))
        }
        guard let calls = document.elements else { return await one(document).map { .json($0) } }
        guard (1...Self.maximumBatch).contains(calls.count) else {
            return .json(Self.failure(RPCFault(-32600, "a batch has 1 to \(Self.maximumBatch) calls"), id: .null))
        }
        var answers: [JSONValue] = []
        for call in calls {
            if let answer = await one(call) { answers.append(answer) }
        }
        return answers.isEmpty ? nil : .json(answers)
    }

    private func one(_ call: JSONValue) async -> JSONValue? {
        let id = call["id"]
        guard call["jsonrpc"]?.string == "2.0", let method = call["method"]?.string, Self.isID(id) else {
            return Self.failure(
                RPCFault(-32600, "it is no call of JSON-RPC 2.0"), id: Self.isID(id) ? id ?? .null : .null)
        }
        let answer = await self.answer(method, call["params"] ?? .null, id: id ?? .null)
        return id == nil ? nil : answer
    }

    private func answer(_ method: String, _ arguments: JSONValue, id: JSONValue) async -> JSONValue {
        guard let function = functions[method] else {
            return Self.failure(RPCFault(-32601, "there is no \(method)"), id: id)
        }
        do {
            let result = try await function(arguments)
            let value = try JSON.tree(of: result)
            return .object(["jsonrpc": .string("2.0"), "id": id, "result": value])
        } catch let fault as RPCFault {
            return Self.failure(fault, id: id)
        } catch {
            return Self.failure(RPCFault(-32603, "\(error)"), id: id)
        }
    }

    private static func isID(_ id: JSONValue?) -> Bool {
        switch id {
        case nil, .null?, .string?, .number?: true
        default: false
        }
    }

    private static func failure(_ fault: RPCFault, id: JSONValue) -> JSONValue {
        let error: JSONValue = .object(["code": .integer(fault.code), "message": .string(fault.message)])
        return .object(["jsonrpc": .string("2.0"), "id": id, "error": error])
    }
}
