// XML-RPC clients and services.

import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinWire

/// The functions of an XML-RPC server: `stub.package.releases("roundup")` starts a call of `package.releases` and returns at
/// once.
@dynamicMemberLookup @dynamicCallable
public struct XMLRPC: Sendable {
    /// The response to a call.
    public typealias Call = Corequest<RPCResponse<XMLRPCValue>>

    private let endpoint: RPCEndpoint

    /// The functions at a URL.
    /// - Parameter request: the URL, with headers and credentials; its method and content are set for each call.
    package init(_ request: HTTPRequest, over send: @escaping RPCSender) {
        endpoint = RPCEndpoint(request, over: send)
    }

    private init(_ endpoint: RPCEndpoint) { self.endpoint = endpoint }

    /// A function, or a prefix of its dotted name.
    public subscript(dynamicMember member: String) -> XMLRPC { XMLRPC(endpoint.member(member)) }

    /// Starts a call.
    @discardableResult
    public func dynamicallyCall(withArguments arguments: [any XMLRPCConvertible]) -> Call {
        call(endpoint.name, arguments)
    }

    /// Starts a call of a function whose name is known only at run time.
    /// - Returns: the corequest; `fetch()` returns the result or throws the fault as status 500.
    @discardableResult
    public func call(_ method: String, _ arguments: [any XMLRPCConvertible] = []) -> Call {
        let body: HTTPBody
        do {
            body = .xml(try XMLRPCCodec.call(method, arguments.map(\.xmlrpc)))
        } catch {
            body = .refused(error)
        }
        return endpoint.call(method, body, accepting: "text/xml") { try XMLRPCCodec.readAnswer($0.xml()) }
    }

    /// Starts several calls as one (`system.multicall`).
    /// - Returns: the corequest; ``results(of:)`` splits its response.
    public func multicall(_ calls: [(method: String, arguments: [any XMLRPCConvertible])]) -> Call {
        let list = calls.map { call in
            XMLRPCValue.structure([
                "methodName": .string(call.method), "params": .array(call.arguments.map(\.xmlrpc)),
            ])
        }
        return self.call("system.multicall", [XMLRPCValue.array(list)])
    }

    /// The result of each call of a ``multicall(_:)``.
    public static func results(of response: RPCResponse<XMLRPCValue>) throws -> [Result<XMLRPCValue, RPCFault>] {
        try response.raiseForStatus()
        return try (response.content.elements ?? []).map { item in
            if let fault = XMLRPCCodec.fault(item) { return .failure(fault) }
            guard let value = item.elements?.first else {
                throw SkeinError(
                    .invalidContent, peer: response.peer, because: "a result of multicall is not an array of one value")
            }
            return .success(value)
        }
    }
}

/// An XML-RPC service: a request handler passes request content to it and sends the result.
public struct XMLRPCService: Sendable {
    /// A function of a service.
    public typealias Function = @Sendable ([XMLRPCValue]) async throws -> any XMLRPCConvertible

    private var functions: [String: Function] = [:]

    /// A service with the introspection functions `system.listMethods` and `system.multicall` only.
    public init() {}

    /// Adds a function. An ``RPCFault`` that it throws becomes the fault, any other error becomes fault 1.
    public mutating func register(_ name: String, _ function: @escaping Function) { functions[name] = function }

    /// The response to a call.
    /// - Parameter content: the content of the request.
    /// - Returns: the content of the response, of the type `text/xml`, always with the status 200.
    public func answer(_ content: ByteBuffer) async -> HTTPBody {
        let result: Result<XMLRPCValue, RPCFault>
        do {
            let (method, arguments) = try XMLRPCCodec.readCall(content)
            result = await call(method, arguments)
        } catch {
            result = .failure(RPCFault(-32700, error.message))
        }
        return .xml(XMLRPCCodec.answer(result))
    }

    private func call(_ method: String, _ arguments: [XMLRPCValue]) async -> Result<XMLRPCValue, RPCFault> {
        switch method {
        case "system.listMethods":
            return .success(
                .array((functions.keys + ["system.listMethods", "system.multicall"]).sorted().map { .string($0) }))
        case "system.multicall": return await multicall(arguments)
        default: break
        }
        guard let function = functions[method] else { return .failure(RPCFault(-32601, "there is no \(method)")) }
        do {
            return .success(try await function(arguments).xmlrpc)
        } catch let fault as RPCFault {
            return .failure(fault)
        } catch {
            return .failure(RPCFault(1, "\(error)"))
        }
    }

    private func multicall(_ arguments: [XMLRPCValue]) async -> Result<XMLRPCValue, RPCFault> {
        guard let calls = arguments.first?.elements else {
            return .failure(RPCFault(-32602, "a list of calls is wanted"))
        }
        var results: [XMLRPCValue] = []
        for item in calls {
            guard let method = item["methodName"]?.string, method != "system.multicall" else {
                results.append(
                    XMLRPCCodec.value(of: RPCFault(-32600, "a call has no methodName, or calls many itself")))
                continue
            }
            switch await call(method, item["params"]?.elements ?? []) {
            case .success(let value): results.append(.array([value]))
            case .failure(let fault): results.append(XMLRPCCodec.value(of: fault))
            }
        }
        return .success(.array(results))
    }
}
