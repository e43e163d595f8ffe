// skein get, head, options, delete, post, put, patch: one command for each method, with the same options.

import ArgumentParser
import Skein

/// A command that sends requests of one method.
protocol RequestCommand: AsyncParsableCommand {
    static var method: HTTPMethod { get }
    var options: RequestOptions { get }
}

extension RequestCommand {
    static func configured() -> CommandConfiguration {
        let name = method.rawValue.lowercased()
        return CommandConfiguration(
            commandName: name,
            abstract: "Send \(method) requests to one or many URLs.",
            discussion: """
                Prints a report line for each response. A failure has a code (700 to 722) and a message that says what to do.

                  skein \(name) http://localhost:8080/
                  skein \(name) http://localhost:8080/a http://localhost:8080/b --headers
                  skein \(name) @urls.txt --concurrency 100 --json
                """)
    }

    func run() async throws {
        let runner = RequestRunner(method: Self.method, options: options)
        guard try await runner.run() else { throw ExitCode(1) }
    }
}

enum RequestCommands {
    static let all: [any ParsableCommand.Type] = [
        Get.self, Head.self, Options.self, Delete.self, Post.self, Put.self, Patch.self,
    ]

    struct Get: RequestCommand {
        static let method = HTTPMethod.get
        static let configuration = configured()
        @OptionGroup var options: RequestOptions
    }

    struct Head: RequestCommand {
        static let method = HTTPMethod.head
        static let configuration = configured()
        @OptionGroup var options: RequestOptions
    }

    struct Options: RequestCommand {
        static let method = HTTPMethod.options
        static let configuration = configured()
        @OptionGroup var options: RequestOptions
    }

    struct Delete: RequestCommand {
        static let method = HTTPMethod.delete
        static let configuration = configured()
        @OptionGroup var options: RequestOptions
    }

    struct Post: RequestCommand {
        static let method = HTTPMethod.post
        static let configuration = configured()
        @OptionGroup var options: RequestOptions
    }

    struct Put: RequestCommand {
        static let method = HTTPMethod.put
        static let configuration = configured()
        @OptionGroup var options: RequestOptions
    }

    struct Patch: RequestCommand {
        static let method = HTTPMethod.patch
        static let configuration = configured()
        @OptionGroup var options: RequestOptions
    }
}
