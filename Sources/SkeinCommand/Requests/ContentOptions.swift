// The content of a request, from the command line.

import ArgumentParser
import Skein
import SkeinWire

struct ContentOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "The content: TEXT, @FILE, or - for standard input.")
    var data: String?

    @Option(help: ArgumentHelp("A field of a form; may be repeated.", valueName: "name=value"))
    var form: [String] = []

    @Option(help: ArgumentHelp("A file of a form, read while it is sent; may be repeated.", valueName: "name=@file"))
    var upload: [String] = []

    @Option(help: ArgumentHelp("Compress the content: gzip, deflate, br or zstd.", valueName: "coding"))
    var compress: ContentCoding?

    @Flag(name: .customLong("expect"), help: "Send the content only when the server asks for it (100-continue).")
    var expects = false

    func validate() throws {
        guard data == nil || form.isEmpty && upload.isEmpty else {
            throw ValidationError("--data excludes --form and --upload.")
        }
        for field in form { _ = try Self.pair(field, "--form takes NAME=VALUE") }
        for file in upload {
            guard try Self.pair(file, "--upload takes NAME=@FILE").value.hasBytePrefix("@") else {
                throw ValidationError("--upload takes NAME=@FILE, not \(file.debugDescription).")
            }
        }
    }

    private static func pair(_ text: String, _ usage: String) throws -> (name: String, value: String) {
        guard let sign = text.firstByte("="), sign != text.startIndex else {
            throw ValidationError("\(usage), not \(text.debugDescription).")
        }
        return (String(text[..<sign]), String(text[text.index(after: sign)...]))
    }

    /// The body to send.
    func body() throws -> HTTPBody {
        let body = try plainBody()
        return compress.map { body.compressed($0) } ?? body
    }

    private func plainBody() throws -> HTTPBody {
        let fields = try form.map { try Self.pair($0, "--form takes NAME=VALUE") }
        if upload.isEmpty {
            if fields.isEmpty { return try InputFile.body(data) }
            var parameters = Parameters()
            for field in fields { parameters.add(field.name, field.value) }
            return .form(parameters)
        }
        let files = try upload.map { argument in
            let (name, file) = try Self.pair(argument, "--upload takes NAME=@FILE")
            return try InputFile.part(name, String(file.dropFirst()))
        }
        return .multipart(fields.map { FormPart.field($0.name, $0.value) } + files)
    }
}

extension ContentCoding: ExpressibleByArgument {}
