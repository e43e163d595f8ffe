// skein redis: a command, its answer as text or as JSON.

import ArgumentParser
import Foundation
import Skein

struct StoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redis", abstract: "Send a command to Redis.",
        discussion: """
            Options come first; everything behind the URL is the command. SUBSCRIBE and PSUBSCRIBE print messages until they are \
            interrupted. Ends with 1 when the server refuses, or does not answer.

              skein redis redis://localhost GET hits
              skein redis --json redis://:secret@localhost/2 HGETALL user:1
              skein redis redis+cluster://node1,node2 LRANGE jobs 0 -1
              skein redis redis://localhost PSUBSCRIBE 'news.*'
            """)

    @Flag(help: "Print the answer as JSON.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Seconds for the command. Default: 10; those that block wait as long as they say.", valueName: "seconds"))
    var timeout: Double?

    @Argument(help: "redis://…, rediss://…, redis+unix://…, redis+cluster://… or redis+sentinel://….")
    var url: String

    @Argument(parsing: .captureForPassthrough, help: "The command and its arguments.")
    var command: [String]

    func validate() throws {
        guard timeout ?? 1 > 0, timeout ?? 1 < 1e9 else { throw ValidationError("--timeout must be more than 0.") }
        guard !command.isEmpty else { throw ValidationError("Name a command, such as PING.") }
        do { _ = try RedisOptions(url) } catch { throw ValidationError("\(error.message).") }
    }

    func run() async throws { try await CommandSession.run { try await send(by: $0) } }

    private func send(by skein: Skein) async throws {
        let redis = try skein.redis(url)
        let words = Array(command.dropFirst())
        switch command[0].uppercased() {
        case "SUBSCRIBE": try await listen(try await redis.subscribe(words))
        case "PSUBSCRIBE": try await listen(try await redis.psubscribe(words))
        default:
            let call = redis.send(RedisCommand(command[0], words), timeout: timeout.map { .seconds($0) })
            let value = try await call.fetch()
            Terminal.say(json ? RowsText.text(value.json) : Self.text(value))
        }
    }

    private func listen(_ messages: RedisSubscription) async throws {
        for try await message in messages {
            Terminal.say(
                json
                    ? RowsText.text(.object(["channel": .string(message.channel), "payload": message.payload.json]))
                    : "\(message.channel): \(message.payload)")
        }
    }

    /// An element a line, what is inside of others further to the right.
    private static func text(_ value: RedisValue, indent: String = "") -> String {
        switch value {
        case .array(let list), .set(let list):
            if list.isEmpty { return indent + "(empty)" }
            return list.map { text($0, indent: $0.elements == nil ? indent : indent + "  ") }.joined(separator: "\n")
        case .map(let entries):
            if entries.isEmpty { return indent + "(empty)" }
            return entries.map { entry in
                entry.value.elements == nil && entry.value.entries == nil
                    ? "\(indent)\(entry.key): \(entry.value)"
                    : "\(indent)\(entry.key):\n" + text(entry.value, indent: indent + "  ")
            }.joined(separator: "\n")
        default: return indent + value.description
        }
    }
}

extension RedisValue {
    fileprivate var json: JSONValue {
        switch self {
        case .null: .null
        case .string(let bytes): .string(string ?? Data(bytes.readableBytesView).base64EncodedString())
        case .integer(let value): Int(exactly: value).map { .integer($0) } ?? .string("\(value)")
        case .double(let value): value.isFinite ? .number(value) : .string("\(value)")
        case .bool(let value): .bool(value)
        case .bigNumber(let digits): .string(digits)
        case .array(let list), .set(let list): .array(list.map(\.json))
        case .map(let entries):
            .object(Dictionary(entries.map { ($0.key.description, $0.value.json) }, uniquingKeysWith: { $1 }))
        case .error(let error): .object(["error": .string(error.message)])
        }
    }
}
