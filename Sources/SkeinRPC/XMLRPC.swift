// Calls by XML-RPC, written like calls.

import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinWire

/// The functions of an XML-RPC server: `stub.package.releases("roundup")` starts a call of `package.releases` and returns at
/// once.
@dynamicMemberLookup @dynamicCallable
public struct XMLRPC: Sendable {
    /// The answer to a call.
    public typealias Call = Corequest<RPCResponse<XMLRPCValue>>

    private let endpoint: RPCEndpoint

    /// The functions at a URL.
    /// - Parameter request: whom to ask, with headers and credentials; its method and content are the calls'.
    package init(_ request: HTTPRequest, over send: @escaping RPCSender) {
        endpoint = RPCEndpoint(request, over: send)
    }

    private init(_ endpoint: RPCEndpoint) { self.endpoint = endpoint }

    /// A function, or what stands before the dot in the name of one.
    public subscript(dynamicMember member: String) -> XMLRPC { XMLRPC(endpoint.member(member)) }

    /// Starts a call.
    @discardableResult
    public func dynamicallyCall(withArguments arguments: [any XMLRPCConvertible]) -> Call {
        call(endpoint.name, arguments)
    }

    /// Starts a call of a function whose name is known at run time only.
    /// - Returns: the corequest; `fetch()` gives the result or throws the fault as status 500.
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

    /// Starts many calls as one (`system.multicall`).
    /// - Returns: the corequest; ``results(of:)`` takes its answer apart.
    public func multicall(_ calls: [(method: String, arguments: [any XMLRPCConvertible])]) -> Call {
        let list = calls.map { call in
            XMLRPCValue.structure([
                "methodName": .string(call.method), "params": .array(call.arguments.map(\.xmlrpc)),
            ])
        }
        return self.call("system.multicall", [XMLRPCValue.array(list)])
    }

    /// What each call of a ``multicall(_:)`` came to.
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

/// Functions that are called by XML-RPC: a handler of a server hands it what came and sends what it says.
public struct XMLRPCService: Sendable {
    /// What is called.
    public typealias Function = @Sendable ([XMLRPCValue]) async throws -> any XMLRPCConvertible

    private var functions: [String: Function] = [:]

    /// None but those for looking around: `system.listMethods` and `system.multicall`.
    public init() {}

    /// Adds a function. One that throws an ``RPCFault`` answers with that, any other error with fault 1.
    public mutating func register(_ name: String, _ function: @escaping Function) { functions[name] = function }

    /// The answer to a call.
    /// - Parameter content: the document that came.
    /// - Returns: the document to send, of the type `text/xml`, with the status 200 whatever it says.
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
