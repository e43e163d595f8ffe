// The output of a program.

import Logging
import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The output of a program, and its exit code.
public struct ProcessOutput: Sendable, Equatable {
    /// Its standard output.
    public var output: [UInt8] = []
    /// Its standard error.
    public var errors: [UInt8] = []
    /// Its exit code; 128 plus the signal number for a program ended by a signal.
    public var code = 0

    /// The output as text; invalid UTF-8 is replaced.
    public var text: String { String(decoding: output, as: UTF8.self) }
    /// The standard error as text.
    public var errorText: String { String(decoding: errors, as: UTF8.self) }
}

/// The response of a program that was run.
public struct ProcessResponse: Response {
    /// The caller's metadata.
    public let meta: RequestMetadata
    /// `process`.
    public let method = "process"
    /// The output; empty when it could not be run.
    public let content: ProcessOutput
    /// The session's logger.
    public let logger: Logger
    /// The reason why it could not be run or completed.
    public let failure: SkeinError?
    /// The program.
    public let peer: String
    /// The bytes of its output and errors.
    public var contentSize: Int { content.output.count + content.errors.count + 1024 }
    /// 299.
    public static var highestSuccess: Int { 299 }

    init(program: String, _ result: Result<ProcessOutput, SkeinError>, meta: RequestMetadata, logger: Logger) {
        self.meta = meta
        self.logger = logger
        peer = program
        switch result {
        case .success(let output): (content, failure) = (output, nil)
        case .failure(let error): (content, failure) = (ProcessOutput(), error)
        }
    }

    /// 200 for exit code 0, 500 for others, the code of a failure.
    public var statusCode: Int { failure?.code.rawValue ?? (content.code == 0 ? 200 : 500) }
    /// The exit code and the last line of standard error.
    public var reason: String {
        if let failure { return failure.code.name }
        let last = content.errorText.splitBytes(separator: "\n").last.map { ": \($0)" } ?? ""
        return content.code == 0 ? "OK" : "exit code \(content.code)\(last)"
    }

    /// The output as JSON.
    /// - Throws: code 709 when it is not valid JSON for the type.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T {
        do {
            return try JSONDecoder().decode(type, from: Data(content.output))
        } catch {
            throw SkeinError(
                .invalidContent, peer: peer, because: "the output is not a \(type) in JSON: \(error)", cause: error)
        }
    }

    /// The output as a JSON list.
    public func decodeRecords<T: Decodable>(_ type: T.Type) throws -> [T] { try decode([T].self) }
}
