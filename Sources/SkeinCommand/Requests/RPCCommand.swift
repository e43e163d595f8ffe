// skein rpc: makes one call, and prints its result as JSON.

import ArgumentParser
import Foundation
import Skein
import SkeinCore

struct RPCCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rpc", abstract: "Call a function by XML-RPC or JSON-RPC.",
        discussion: """
            Valid JSON arguments are parsed, others are text: 3 is a number, "3" with its quotes is text, and so is yarn. The
            result is printed as JSON. The exit code is 1 when the server returns a fault or does not respond.

              skein rpc http://localhost:8080/RPC2 package.releases roundup
              skein rpc --json-rpc http://localhost:8080/ sum 1 2 '[3, 4]'
              skein rpc --json-rpc http://localhost:8080/ sum --named '{"a": 1, "b": 2}'
            """)

    @Argument(help: "The URL of the service.")
    var url: String

    @Argument(help: "The name of the function.")
    var method: String

    @Argument(help: "Its arguments.")
    var arguments: [String] = []

    @Flag(name: .customLong("json-rpc"), help: "Use JSON-RPC 2.0; the default is XML-RPC.")
    var isJSON = false

    @Flag(name: .customLong("xml-rpc"), help: "Use XML-RPC (the default).")
    var isXML = false

    @Option(help: ArgumentHelp("The arguments by name, for JSON-RPC.", valueName: "json-object"))
    var named: String?

    @Option(name: [.customShort("H"), .long], help: "A header field, 'Name: value'; may be repeated.")
    var header: [String] = []

    @Option(help: ArgumentHelp("Seconds for the call.", valueName: "seconds"))
    var timeout: Double = 30

    @OptionGroup(title: "Credentials")
    var credentials: CredentialOptions

    @OptionGroup(title: "Aliases")
    var aliases: AliasOptions

    @OptionGroup(title: "Connection options")
    var transport: TransportOptions

    func validate() throws {
        guard !(isJSON && isXML) else { throw ValidationError("--json-rpc and --xml-rpc exclude each other.") }
        guard named == nil || isJSON && arguments.isEmpty else {
            throw ValidationError("--named replaces the arguments, and needs --json-rpc.")
        }
        if let named, Self.value(named).members == nil { throw ValidationError("--named takes a JSON object.") }
        do { _ = try HTTPURL(url) } catch { throw ValidationError("\(error.message).") }
        _ = try HeaderArguments.parse(header)
    }

    func run() async throws {
        var configuration = SkeinClient.Configuration()
        guard timeout > 0, timeout < 1e9 else { throw ValidationError("--timeout must be more than 0 seconds.") }
        configuration.http.timeout = .seconds(timeout)
        transport.apply(to: &configuration.http)
        try credentials.apply(to: &configuration.http)
        let skein = SkeinClient(configuration)
        try aliases.register(on: skein)
        let headers = try HeaderArguments.parse(header)
        let values = arguments.map(Self.value)
        do {
            if isJSON {
                let stub = try skein.jsonrpc(url, headers: headers, auth: credentials.value)
                let arguments: JSONRPC.Arguments =
                    named.flatMap { Self.value($0).members }.map { .members($0) } ?? .byPosition(values)
                try Self.say(await stub.call(method, arguments).fetch())
            } else {
                let stub = try skein.xmlrpc(url, headers: headers, auth: credentials.value)
                try Self.say(await stub.call(method, try values.map(Self.xml)).fetch())
            }
        } catch let error as SkeinError {
            Terminal.complain("\(error)")
            throw ExitCode(1)
        }
    }

    /// JSON if the text is JSON, otherwise a string; numbers keep all digits.
    static func value(_ text: String) -> JSONValue { (try? JSONValue(json: text)) ?? .string(text) }

    static func xml(_ value: JSONValue) throws(SkeinError) -> XMLRPCValue {
        switch value {
        case .null: return .none
        case .bool(let value): return .bool(value)
        case .number(let number):
            if let value = number.int { return .integer(value) }
            guard number.isExactDouble else {
                throw SkeinError(
                    .exception,
                    because: "XML-RPC cannot represent all digits of \(number); send it as text, in quotation marks")
            }
            return .double(number.double)
        case .string(let value): return .string(value)
        case .array(let values):
            var elements: [XMLRPCValue] = []
            for value in values { elements.append(try xml(value)) }
            return .array(elements)
        case .object(let members):
            var structure: [String: XMLRPCValue] = [:]
            for (name, value) in members { structure[name] = try xml(value) }
            guard structure.count == members.count else {
                throw SkeinError(.exception, because: "two names of a structure differ only in their Unicode form")
            }
            return .structure(structure)
        }
    }

    private static func say(_ value: JSONValue) { Terminal.say(value.json) }

    private static func say(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        Terminal.say(String(decoding: try encoder.encode(value), as: UTF8.self))
    }
}
