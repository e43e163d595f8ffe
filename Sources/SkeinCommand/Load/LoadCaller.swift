// One iteration of a load client, for protocols other than HTTP.

import GRPCCore
import Skein
import SkeinCore
import SkeinGRPC
import SkeinMongo
import SkeinRPC
import SkeinRedis
import SkeinSQL

/// The kind of call.
enum LoadKind: Sendable {
    case http
    /// A message over a WebSocket, and the reply.
    case socket(WebSocketMessage)
    case xmlrpc(String, [any XMLRPCConvertible])
    case jsonrpc(String, JSONRPC.Arguments)
    /// A unary call with a message that is already serialized.
    case grpc(MethodDescriptor, GRPCBytes)
    /// A statement of SQL.
    case sql(SQL)
    /// A command of Redis.
    case redis(RedisCommand)
    /// A command of MongoDB.
    case mongo(Document)
}

/// The result of one iteration.
struct LoadOutcome: Sendable {
    let status: Int
    var bytes = 0
    var failure: SkeinError?

    init(_ response: some Response, bytes: Int) {
        status = response.statusCode
        failure = response.failure
        self.bytes = bytes
    }

    init(_ error: SkeinError) {
        status = error.code.rawValue
        failure = status >= 700 ? error : nil
    }

    init(status: Int, bytes: Int = 0) {
        self.status = status
        self.bytes = bytes
    }
}

/// One client: it keeps its connection state between iterations.
struct LoadCaller {
    private let kind: LoadKind
    private let skein: SkeinClient
    private let url: String
    private let headers: Headers
    private var socket: WebSocket?
    private var executor: (any SQLExecutor)?
    private var documents: MongoDatabase?
    private var store: RedisClient?
    private var client: GRPCClient<SkeinClientTransport>?

    init(_ kind: LoadKind, _ skein: SkeinClient, _ url: String, _ headers: Headers) {
        self.kind = kind
        self.skein = skein
        self.url = url
        self.headers = headers
    }

    /// Runs one iteration.
    mutating func call() async -> LoadOutcome {
        do {
            switch kind {
            case .http: return LoadOutcome(status: 0)  // the run does these itself, without a step between
            case .socket(let message): return try await say(message)
            case .xmlrpc(let method, let arguments):
                let response = try await skein.xmlrpc(url, headers: headers).call(method, arguments).dispatch()
                return LoadOutcome(response, bytes: response.http.content.readableBytes)
            case .jsonrpc(let method, let arguments):
                let response = try await skein.jsonrpc(url, headers: headers).call(method, arguments).dispatch()
                return LoadOutcome(response, bytes: response.http.content.readableBytes)
            case .grpc(let method, let message): return try await call(method, message)
            case .sql(let statement):
                let response = try await database().execute(statement).dispatch()
                return LoadOutcome(response, bytes: 0)
            case .redis(let command):
                let store = try store ?? skein.redis(url)
                self.store = store
                let response = await store.send(command).dispatch()
                return LoadOutcome(response, bytes: response.content.bytes?.readableBytes ?? 0)
            case .mongo(let command):
                let documents = try documents ?? skein.mongo(url)
                self.documents = documents
                let response = await documents.run(command).dispatch()
                return LoadOutcome(response, bytes: response.content.reply.bytes.readableBytes)
            }
        } catch let error as SkeinError {
            return LoadOutcome(error)
        } catch {
            return LoadOutcome(SkeinError(.exception, because: "\(error)", cause: error))
        }
    }

    private mutating func database() throws -> any SQLExecutor {
        if let executor { return executor }
        let made = try DatabaseAddress(url).executor(skein)
        executor = made
        return made
    }

    private mutating func say(_ message: WebSocketMessage) async throws -> LoadOutcome {
        let socket: WebSocket
        if let open = self.socket {
            socket = open
        } else {
            socket = try await skein.webSocket(url, headers: headers)
            self.socket = socket
        }
        do {
            try await socket.send(message)
            if let answer = try await socket.receive() {
                return LoadOutcome(status: 200, bytes: answer.bytes.readableBytes)
            }
        } catch {
            self.socket = nil
            throw error
        }
        self.socket = nil
        throw SkeinError(.connectionClosed, peer: url, because: "the server closed the socket")
    }

    private mutating func call(_ method: MethodDescriptor, _ message: GRPCBytes) async throws -> LoadOutcome {
        let client: GRPCClient<SkeinClientTransport>
        if let made = self.client {
            client = made
        } else {
            client = GRPCClient(transport: try SkeinClientTransport(url, skein: skein, headers: headers))
            self.client = client
        }
        do {
            let count = try await client.unary(
                request: ClientRequest(message: message), descriptor: method, serializer: AsIs(), deserializer: AsIs(),
                options: .defaults
            ) { try $0.message.count }
            return LoadOutcome(status: 200, bytes: count)
        } catch let error as RPCError {
            if let cause = error.cause as? SkeinError { return LoadOutcome(cause) }
            return LoadOutcome(status: error.code.httpStatus)
        }
    }

    /// Closes open connections.
    func end() async { await socket?.close() }

    /// Messages are passed as bytes, unchanged.
    private struct AsIs: MessageSerializer, MessageDeserializer {
        func serialize<Bytes: GRPCContiguousBytes>(_ message: GRPCBytes) throws -> Bytes {
            message as? Bytes ?? message.withUnsafeBytes { Bytes($0) }
        }

        func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> GRPCBytes {
            bytes as? GRPCBytes ?? bytes.withUnsafeBytes { GRPCBytes($0) }
        }
    }
}
