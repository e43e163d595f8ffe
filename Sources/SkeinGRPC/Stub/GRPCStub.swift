// Calls without generated service code: by method name, with protobuf messages.

import GRPCCore
import GRPCProtobuf
import NIOCore
import Skein
import SkeinCore
import SkeinHTTP
import SwiftProtobuf

/// A service by its name.
///
///     let guide = try client.grpc("http://localhost:50051", "routeguide.RouteGuide")
///     let feature = try await guide.call("GetFeature", point, as: Feature.self).fetch()
public struct GRPCStub: Sendable {
    private let transport: SkeinClientTransport
    private let skein: SkeinClient
    private let service: String
    private let peer: String

    init(_ transport: SkeinClientTransport, _ skein: SkeinClient, _ service: String, peer: String) {
        self.transport = transport
        self.skein = skein
        self.service = service
        self.peer = peer
    }

    /// Starts a unary call.
    /// - Parameters:
    ///   - method: the name of the method.
    ///   - message: the request message.
    ///   - type: the type of the response message.
    ///   - metadata: the metadata of the call. Default: none.
    ///   - options: timeout, size limits, compression.
    ///   - meta: metadata that the response carries.
    ///   - callback: called with the response, on an event loop.
    /// - Returns: the corequest, already started; `fetch()` returns the message or throws the server's status.
    @discardableResult
    public func call<Answer: SwiftProtobuf.Message>(
        _ method: String, _ message: some SwiftProtobuf.Message, as type: Answer.Type, metadata: Metadata = [:],
        options: CallOptions = .defaults, meta: RequestMetadata = RequestMetadata(),
        callback: (@Sendable (GRPCResponse<Answer>) -> Void)? = nil
    ) -> Corequest<GRPCResponse<Answer>> {
        var meta = meta
        skein.stamp(&meta, method: method, hasCallback: callback != nil)
        let shape = GRPCResponse<Answer>(
            meta: meta, method: method, peer: peer, logger: skein.configuration.logger)
        let descriptor = MethodDescriptor(fullyQualifiedService: service, method: method)
        return CorequestTask.start(
            skein.session, { await self.exchange(message, descriptor, metadata, options, shape) },
            failed: { error, _ in shape.failed(error) }, callback: callback)
    }

    private func exchange<Answer: SwiftProtobuf.Message>(
        _ message: some SwiftProtobuf.Message, _ descriptor: MethodDescriptor, _ metadata: Metadata,
        _ options: CallOptions,
        _ shape: GRPCResponse<Answer>
    ) async -> GRPCResponse<Answer> {
        do {
            let client = GRPCClient(transport: transport)
            let (answer, trailers) = try await client.unary(
                request: ClientRequest(message: message, metadata: metadata), descriptor: descriptor,
                serializer: ProtobufSerializer(), deserializer: ProtobufDeserializer<Answer>(), options: options
            ) { response in
                (try response.message, response.trailingMetadata)
            }
            return shape.answered(answer, trailers)
        } catch let error as RPCError {
            return shape.refused(error)
        } catch {
            return shape.failed(SkeinError(.exception, peer: peer, because: "\(error)", cause: error))
        }
    }
}

extension SkeinClient {
    /// A gRPC service by its name, over HTTP/2, in clear text by prior knowledge.
    /// - Parameters:
    ///   - url: `http://` or `https://`.
    ///   - service: its full name, such as `routeguide.RouteGuide`.
    ///   - serviceConfig: retries, timeouts and size limits by method. Default: none.
    ///   - auth: credentials of a fixed kind, such as basic or bearer.
    /// - Throws: code 701 for a malformed URL.
    public func grpc(
        _ url: String, _ service: String, serviceConfig: ServiceConfig = ServiceConfig(), auth: HTTPAuth? = nil
    ) throws(SkeinError) -> GRPCStub {
        let transport = try SkeinClientTransport(url, skein: self, serviceConfig: serviceConfig, auth: auth)
        return GRPCStub(transport, self, service, peer: try HTTPURL(url).origin.description)
    }
}

extension EveryMember {
    /// Calls a method of every member by gRPC:
    /// `try client.all("@guides").grpc("routeguide.RouteGuide") { $0.call("GetFeature", point, as: Routeguide_Feature.self) }`.
    /// - Parameters:
    ///   - service: the full name of the service.
    ///   - call: starts a call on a member.
    /// - Returns: the corequests in the order of the members.
    /// - Throws: code 701 when the members do not speak HTTP.
    public func grpc<Result: Response>(
        _ service: String, _ call: (GRPCStub) -> Corequest<Result>
    ) throws(SkeinError) -> CorequestGroup<Result> {
        var calls: [Corequest<Result>] = []
        for target in targets {
            guard let origin = target.origin else {
                throw SkeinError(
                    .exception, peer: alias.name, because: "the members of \(alias.name) do not speak HTTP")
            }
            let transport = SkeinClientTransport(origin, prefix: target.prefix, skein: client, auth: target.auth)
            calls.append(call(GRPCStub(transport, client, service, peer: origin.description)))
        }
        return CorequestGroup(calls)
    }
}
