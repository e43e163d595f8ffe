// skein sqs: sends and receives messages.

import ArgumentParser
import Skein
import SkeinAWS

struct SQSCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sqs", abstract: "Send and receive messages of Amazon's Simple Queue Service.",
        discussion: AmazonOptions.discussion + """


            A queue is given by name or URL.

              skein sqs create jobs
              skein sqs send jobs 'first' 'second'
              skein sqs receive jobs --delete --wait 20
              skein sqs list --json
              skein sqs attributes https://sqs.eu-west-1.amazonaws.com/123456789012/jobs
            """,
        subcommands: [
            Send.self, Receive.self, List.self, Create.self, Attributes.self, Purge.self, Drop.self,
        ])

    fileprivate static func queue(_ name: String, _ skein: SkeinClient, _ amazon: AmazonOptions) async throws
        -> SQSQueue
    {
        let sqs = skein.sqs(amazon.options)
        return name.containsBytes("://") ? sqs.queue(name) : try await sqs.queue(named: name)
    }

    struct Send: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Send messages.")

        @OptionGroup var amazon: AmazonOptions
        @Option(help: ArgumentHelp("The message group, for FIFO queues.", valueName: "id"))
        var group: String?
        @Option(help: ArgumentHelp("Delay before messages can be received.", valueName: "seconds"))
        var delay: Int?
        @Argument(help: "The queue.")
        var queue: String
        @Argument(help: "Messages: TEXT, @FILE, or - for standard input.")
        var messages: [String]

        func run() async throws {
            let outgoing = try messages.map { word in
                SQSOutgoing(
                    try InputFile.utf8(word), delay: delay.map { .seconds($0) },
                    groupID: group)
            }
            try await CommandSession.run { skein in
                let failures = try await SQSCommand.queue(queue, skein, amazon).sendAll(outgoing)
                for failure in failures { Terminal.complain("\(failure)") }
                let sent = outgoing.count - failures.count
                Terminal.say(amazon.json ? "{\"sent\": \(sent), \"failed\": \(failures.count)}" : "\(sent) sent")
                if !failures.isEmpty {
                    throw SkeinError(.exception, because: "\(failures.count) messages could not be sent")
                }
            }
        }
    }

    struct Receive: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Receive messages and print their text, one a line.")

        @OptionGroup var amazon: AmazonOptions
        @Flag(help: "Delete messages after printing them.")
        var delete = false
        @Option(help: ArgumentHelp("Seconds to wait for the first message, at most 20.", valueName: "seconds"))
        var wait = 0
        @Option(help: ArgumentHelp("Maximum number of messages, 1 to 10.", valueName: "count"))
        var maximum = 10
        @Argument(help: "The queue.")
        var queue: String

        func validate() throws {
            guard (0...20).contains(wait), (1...10).contains(maximum) else {
                throw ValidationError("--wait must be from 0 to 20, and --maximum from 1 to 10.")
            }
        }

        func run() async throws {
            try await CommandSession.run { skein in
                let queue = try await SQSCommand.queue(queue, skein, amazon)
                let messages = try await queue.messages(maximum: maximum, wait: .seconds(wait))
                for message in messages {
                    Terminal.say(
                        amazon.json
                            ? RowsText.text(
                                .object([
                                    "id": .string(message.id), "body": .string(message.body),
                                    "receipt": .string(message.receipt),
                                    "attributes": .object(
                                        JSONObject(message.systemAttributes.mapValues { .string($0) })),
                                ])) : message.body)
                }
                guard delete else { return }
                for failure in try await queue.deleteAll(messages) { Terminal.complain("\(failure)") }
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print the URLs of the queues.")

        @OptionGroup var amazon: AmazonOptions
        @Argument(help: "A prefix of the names.")
        var prefix: String?

        func run() async throws {
            try await CommandSession.run { skein in
                let urls = try await skein.sqs(amazon.options).queues(prefix: prefix).map(\.url)
                if amazon.json { return Terminal.say(RowsText.text(.array(urls.map { .string($0) }))) }
                for url in urls { Terminal.say(url) }
            }
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Create a queue and print its URL.")

        @OptionGroup var amazon: AmazonOptions
        @Option(
            name: .shortAndLong, parsing: .unconditionalSingleValue,
            help: ArgumentHelp("An attribute, such as VisibilityTimeout=60; may be repeated.", valueName: "name=value"))
        var attribute: [String] = []
        @Argument(help: "Its name; that of a FIFO queue ends with .fifo.")
        var name: String

        func validate() throws {
            guard attribute.allSatisfy({ $0.containsBytes("=") }) else {
                throw ValidationError("Write an attribute as NAME=VALUE.")
            }
        }

        func run() async throws {
            let pairs = attribute.map { text -> (String, String) in
                let parts = text.splitBytes(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                return (String(parts[0]), String(parts[1]))
            }
            try await CommandSession.run { skein in
                let queue = try await skein.sqs(amazon.options).createQueue(name, attributes: Dictionary(pairs) { $1 })
                Terminal.say(amazon.json ? RowsText.text(.object(["url": .string(queue.url)])) : queue.url)
            }
        }
    }

    struct Attributes: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print the attributes of a queue.")

        @OptionGroup var amazon: AmazonOptions
        @Argument(help: "The queue.")
        var queue: String

        func run() async throws {
            try await CommandSession.run { skein in
                let found = try await SQSCommand.queue(queue, skein, amazon).attributes()
                if amazon.json {
                    return Terminal.say(RowsText.text(.object(JSONObject(found.mapValues { .string($0) }))))
                }
                for (name, value) in found.sorted(by: { $0.key < $1.key }) { Terminal.say("\(name): \(value)") }
            }
        }
    }

    struct Purge: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Delete all messages of a queue.")

        @OptionGroup var amazon: AmazonOptions
        @Argument(help: "The queue.")
        var queue: String

        func run() async throws {
            try await CommandSession.run { try await SQSCommand.queue(queue, $0, amazon).purge().commit() }
        }
    }

    struct Drop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Delete a queue and its messages.")

        @OptionGroup var amazon: AmazonOptions
        @Argument(help: "The queue.")
        var queue: String

        func run() async throws {
            try await CommandSession.run { try await SQSCommand.queue(queue, $0, amazon).drop().commit() }
        }
    }
}
