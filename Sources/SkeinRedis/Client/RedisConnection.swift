// One connection to a Redis server, with pipelined commands of several callers; replies arrive in command order.

import DequeModule
import NIOCore
import SkeinCore
import SkeinTransport

/// A connection.
///
/// Unchecked: used on its channel's loop only.
final class RedisConnection: PooledConnection, @unchecked Sendable {
    let link: PipelineLink
    private let configuration: RedisConfiguration
    @exclusivity(unchecked) private var decoder = RESPDecoder()
    /// The operations that wait for a reply, each with the number of writes before it.
    @exclusivity(unchecked) private var pipeline = Deque<(operation: any RedisOperation, write: Int)>()
    /// Receives push messages: published messages, invalidations.
    @exclusivity(unchecked) var onPush: (([RedisValue]) -> Void)?
    /// Whether the connection receives RESP2 messages, which look like replies.
    @exclusivity(unchecked) var isSubscriber = false
    /// Receives the replies to commands of a subscriber: an error, or nil for any other.
    @exclusivity(unchecked) var onReply: ((RedisError?) -> Void)?
    /// Whether this user may use MULTI, which must be known before a transaction is sent.
    @exclusivity(unchecked) private var mayUseMulti: Bool?
    /// Transactions that wait for the permission check.
    @exclusivity(unchecked) private var held: [RedisCall] = []
    @exclusivity(unchecked) private var isAskingForMulti = false
    /// Whether the server speaks RESP3.
    @exclusivity(unchecked) private(set) var speaksRESP3 = false
    /// Commands for setup, after the greeting.
    private let preparations: [RedisCommand]

    init(
        _ configuration: RedisConfiguration, shard: Shard, peer: String, preparations: [RedisCommand] = [],
        ready: EventLoopPromise<Void>
    ) {
        self.configuration = configuration
        self.preparations = preparations
        link = PipelineLink(shard: shard, peer: peer, ready: ready)
    }

    // MARK: Sending

    var underWay: Int { pipeline.count + held.count }
    var onlyAbandoned: Bool {
        pipeline.allSatisfy(\.operation.isAbandoned) && held.allSatisfy(\.isAbandoned)
    }

    func encode(_ call: RedisCall) {
        let wantsMulti = if case .transaction = call.commands { mayUseMulti != true } else { false }
        guard !wantsMulti, !isAskingForMulti else {
            held.append(call)  // queued behind the probe, as are the commands that follow it
            return askForMulti(into: &link.output)
        }
        enqueue(call)
        call.write(into: &link.output)
    }

    /// Without the permission for MULTI, the server would execute the queued commands one by one. So the permission is
    /// probed once, before any transaction. DISCARD also clears watched keys: callers of WATCH must call this before.
    func learnWhetherMulti() { if mayUseMulti != true { link.write { askForMulti(into: &$0) } } }

    private func askForMulti(into output: inout ByteBuffer) {
        guard !isAskingForMulti else { return }
        isAskingForMulti = true
        link.begins(at: shard.now)
        var refusal: RedisError?
        enqueue(Probe { if case .success(.error(let error)) = $0 { refusal = error } })
        enqueue(
            Probe { [weak self] result in
                guard let self, case .success(let value) = result else { return }
                if refusal == nil, case .error(let error) = value {
                    // In a transaction that cannot be discarded, every command would only be queued.
                    return self.close(
                        because: SkeinError(
                            .connectionFailed, peer: self.peer,
                            because: "the user is allowed MULTI but not DISCARD, and needs both: \(error)", cause: error
                        ))
                }
                self.learned(refusal)
            })
        RESPEncoder.write(RedisCommand("MULTI"), into: &output)
        RESPEncoder.write(RedisCommand("DISCARD"), into: &output)
    }

    /// Writes the waiting commands, in order.
    private func learned(_ refusal: RedisError?) {
        isAskingForMulti = false
        mayUseMulti = refusal == nil
        let calls = held
        held = []
        for call in calls where !call.isOver {
            if let refusal, case .transaction = call.commands {
                call.receive(.error(refusal), on: self)
            } else {
                enqueue(call)
                call.write(into: &link.output)
            }
        }
        link.flushSoon()
    }

    /// Registers an operation whose command is about to be written.
    private func enqueue(_ operation: any RedisOperation) { pipeline.append((operation, link.writes)) }

    func ask(_ command: RedisCommand, _ done: @escaping (Result<RedisValue, SkeinError>) -> Void) {
        link.begins(at: shard.now)
        enqueue(Probe(done))
        link.write { RESPEncoder.write(command, into: &$0) }
    }

    /// Writes a command without a regular reply: a subscription.
    func tell(_ command: RedisCommand) { link.write { RESPEncoder.write(command, into: &$0) } }

    func check() { ask(RedisCommand("PING")) { _ in } }

    func abandon(_ call: any PipelinedCall) {
        // A connection with a blocking command is not shared.
        if isLeased { return close(because: nil) }
        link.abandoned()
    }

    // MARK: The greeting

    func greet() {
        guard configuration.speaksRESP3 else { return authenticate() }
        var words: [any RedisEncodable] = [3]
        if let password = configuration.password {
            words += ["AUTH", configuration.user ?? "default", password] as [any RedisEncodable]
        }
        if !configuration.clientName.isEmpty { words += ["SETNAME", configuration.clientName] as [any RedisEncodable] }
        ask(RedisCommand("HELLO", words)) { [weak self] result in
            guard let self else { return }
            switch result {
            case .success(.error(let error))
            where error.kind == "NOPROTO" || error.message.containsBytes("unknown command"):
                self.authenticate()  // a server without RESP3
            case .success(.error(let error)): self.refuse(error)
            case .success:
                self.speaksRESP3 = true
                self.choose()
            case .failure: break
            }
        }
    }

    private func authenticate() {
        guard let password = configuration.password else { return choose() }
        let words: [any RedisEncodable] = configuration.user.map { [$0, password] } ?? [password]
        ask(RedisCommand("AUTH", words)) { [weak self] result in
            if case .success(.error(let error)) = result { self?.refuse(error) } else { self?.choose() }
        }
    }

    private func choose() {
        guard !isClosed else { return }
        var commands = preparations
        if configuration.database != 0 { commands.insert(RedisCommand("SELECT", [configuration.database]), at: 0) }
        prepare(commands[...])
    }

    private func prepare(_ commands: ArraySlice<RedisCommand>) {
        guard !isClosed else { return }
        guard let command = commands.first else { return link.becomeReady() }
        ask(command) { [weak self] result in
            if case .success(.error(let error)) = result {
                self?.refuse(error)
            } else {
                self?.prepare(commands.dropFirst())
            }
        }
    }

    private func refuse(_ error: RedisError) {
        let isForbidden = ["WRONGPASS", "NOAUTH", "NOPERM"].contains(error.kind) || error.message.containsBytes("AUTH")
        close(
            because: SkeinError(
                isForbidden ? .unknownAuthentication : .connectionFailed, peer: peer,
                because: "the server refuses the session: \(error)", cause: error))
    }

    // MARK: Receiving

    func receive(_ bytes: ByteBuffer) {
        decoder.append(bytes)
        do throws(RESPError) {
            let now = shard.now
            while !isClosed, let message = try decoder.next() {
                switch message {
                case .value(let value): answer(value, at: now)
                case .push(let elements):
                    link.heard(at: now)
                    onPush?(elements)
                }
            }
            if decoder.hasBegunAnswer, !isSubscriber, !isClosed, (pipeline.first?.write ?? .max) >= link.writes {
                refuseUnsolicited()
            }
        } catch {
            close(because: SkeinError(.responseHeaderError, peer: peer, because: "\(error)", cause: error))
        }
    }

    private func answer(_ value: RedisValue, at now: NIODeadline) {
        if isSubscriber, pipeline.isEmpty {
            link.heard(at: now)
            switch value {
            case .array(let elements): onPush?(elements)
            case .error(let error): onReply?(error)
            default: onReply?(nil)
            }
            return
        }
        guard let (operation, write) = pipeline.first, link.writes > write else {
            return refuseUnsolicited(value)
        }
        if operation.absorbs(value) { return }
        pipeline.removeFirst()
        operation.receive(value, on: self)
        link.madeProgress(at: now)
    }

    /// A reply, or the beginning of one, arrived before any command was sent: the next caller must not get it.
    private func refuseUnsolicited(_ value: RedisValue? = nil) {
        close(
            because: SkeinError(
                .responseHeaderError, peer: peer,
                because: "the server sent an unsolicited response"
                    + (value.map { ": \("\($0)".prefix(200))" } ?? "")))
    }

    func loseCalls(_ reason: SkeinError) {
        let lost = pipeline
        pipeline = []
        let unsent = held
        held = []
        for (operation, write) in lost {
            if link.writes > write { operation.lost(reason) } else { operation.wasNotSent(reason) }
        }
        for call in unsent { call.wasNotSent(reason) }
        onPush = nil
        onReply = nil
    }

    /// A command of the connection itself.
    private final class Probe: RedisOperation {
        private let done: (Result<RedisValue, SkeinError>) -> Void

        init(_ done: @escaping (Result<RedisValue, SkeinError>) -> Void) { self.done = done }
        var isAbandoned: Bool { true }
        func receive(_ value: RedisValue, on connection: RedisConnection) {
            done(.success(value))
        }
        func lost(_ reason: SkeinError) { done(.failure(reason)) }
    }
}
