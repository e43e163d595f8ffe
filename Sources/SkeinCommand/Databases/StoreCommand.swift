// skein redis: runs a command, and prints its reply as text or as JSON.

import ArgumentParser
import Foundation
import NIOCore
import Skein
import SkeinRedis

struct StoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redis", abstract: "Send a command to Redis.",
        discussion: """
            Options come first; everything after the URL is the command. SUBSCRIBE and PSUBSCRIBE print messages until they are \
            interrupted. The exit code is 1 when the server returns an error or does not respond.

              skein redis redis://localhost GET hits
              skein redis --json redis://:secret@localhost/2 HGETALL user:1
              skein redis redis+cluster://node1,node2 LRANGE jobs 0 -1
              skein redis redis://localhost PSUBSCRIBE 'news.*'
            """)

    @Flag(help: "Print the reply as JSON.")
    var json = false

    @Flag(
        name: [.customShort("x"), .long],
        help: "Read the last argument of the command from standard input, as bytes.")
    var stdin = false

    @Flag(help: "Send the command to every member of an alias, and print their replies in order.")
    var all = false

    @Option(
        help: ArgumentHelp(
            "Seconds for the command. Default: 10; blocking commands use their own timeout.", valueName: "seconds"))
    var timeout: Double?

    @Argument(help: "redis://…, rediss://…, redis+unix://…, redis+cluster://… or redis+sentinel://….")
    var url: String

    @Argument(parsing: .captureForPassthrough, help: "The command and its arguments.")
    var command: [String]

    @OptionGroup(title: "Aliases")
    var aliases: AliasOptions

    func validate() throws {
        guard timeout ?? 1 > 0, timeout ?? 1 < 1e9 else { throw ValidationError("--timeout must be more than 0.") }
        guard !command.isEmpty else { throw ValidationError("Name a command, such as PING.") }
        guard !all || aliases.names(url) else {
            throw ValidationError("--all takes the name of an alias, as in @store.")
        }
        if aliases.names(url) { return }
        do { _ = try RedisConfiguration(url) } catch { throw ValidationError("\(error.message).") }
    }

    func run() async throws { try await CommandSession.run(aliases) { try await send(by: $0) } }

    private func send(by skein: SkeinClient) async throws {
        let words = Array(command.dropFirst())
        if all {
            let values = try await skein.all(url).redis {
                $0.send(RedisCommand(command[0], words), timeout: timeout.map { .seconds($0) })
            }.fetch()
            for value in values { say(value) }
            return
        }
        let redis = try skein.redis(url)
        switch command[0].uppercased() {
        case "SUBSCRIBE": try await listen(try await redis.subscribe(words))
        case "PSUBSCRIBE": try await listen(try await redis.psubscribe(words))
        default:
            var arguments: [any RedisEncodable] = words
            if stdin { arguments.append(ByteBuffer(bytes: try InputFile.bytes("-") ?? [])) }
            let call = redis.send(RedisCommand(command[0], arguments), timeout: timeout.map { .seconds($0) })
            say(try await call.fetch())
        }
    }

    private func say(_ value: RedisValue) {
        Terminal.say(bytes: (json ? Array(value.json.json.utf8) : Self.text(value)) + [UInt8(ascii: "\n")])
    }

    private func listen(_ messages: RedisSubscription) async throws {
        for try await message in messages {
            if json {
                let payload = message.payload.json
                Terminal.say(JSONValue.object(["channel": .string(message.channel), "payload": payload]).json)
            } else {
                Terminal.say(
                    bytes: Array("\(message.channel): ".utf8) + Self.text(message.payload) + [UInt8(ascii: "\n")])
            }
        }
    }

    /// One element on each line, with nested elements indented; strings are printed as their bytes.
    private static func text(_ value: RedisValue, indent: String = "") -> [UInt8] {
        let lineEnd = [UInt8(ascii: "\n")]
        switch value {
        case .array(let list), .set(let list):
            if list.isEmpty { return Array((indent + "(empty)").utf8) }
            return Array(
                list.map { text($0, indent: $0.elements == nil ? indent : indent + "  ") }.joined(separator: lineEnd))
        case .map(let entries):
            if entries.isEmpty { return Array((indent + "(empty)").utf8) }
            return Array(
                entries.map { entry -> [UInt8] in
                    let key = text(entry.key, indent: indent)
                    guard entry.value.elements == nil, !entry.value.isMap else {
                        return key + ":\n".utf8 + text(entry.value, indent: indent + "  ")
                    }
                    return key + ": ".utf8 + text(entry.value)
                }.joined(separator: lineEnd))
        case .string(let bytes): return Array(indent.utf8) + bytes.readableBytesView
        default: return Array((indent + value.description).utf8)
        }
    }
}

extension RedisValue {
    fileprivate var isMap: Bool { if case .map = self { true } else { false } }

    /// The value as JSON; bytes that are not UTF-8 are `{"$base64": "…"}`, and a map with such a key is a list of
    /// pairs.
    fileprivate var json: JSONValue {
        switch self {
        case .null: return .null
        case .string(let bytes):
            let bytes = bytes.readableBytesView
            return String(validating: bytes, as: UTF8.self).map { .string($0) } ?? .base64(bytes)
        case .integer(let value): return .integer(value)
        case .double(let value): return JSONNumber(value).map { .number($0) } ?? .string("\(value)")
        case .bool(let value): return .bool(value)
        case .bigNumber(let digits): return JSONNumber(digits).map { .number($0) } ?? .string(digits)
        case .array(let list), .set(let list): return .array(list.map(\.json))
        case .map(let entries):
            let members = entries.map { (key: $0.key.json.string ?? $0.key.name, value: $0.value.json) }
            guard members.allSatisfy({ $0.key != nil }) else {
                return .array(entries.map { .array([$0.key.json, $0.value.json]) })
            }
            return .object(JSONObject(members.map { ($0.key ?? "", $0.value) }))
        case .error(let error): return .object(["error": .string(error.message)])
        }
    }

    /// The text of a key that is not a string, such as a number; nil for a string.
    private var name: String? { if case .string = self { nil } else { description } }
}
