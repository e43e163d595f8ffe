// Serves a folder over TLS, and sends who asks in clear text there: file-server FOLDER --tls-cert cert.pem --listen 0.0.0.0:443 --forward 80

import ArgumentParser
import SkeinEngine
import SkeinEngineCommand

@main struct FileServer: EngineCommand {
    @OptionGroup var options: EngineOptions
    @Argument(help: "The folder.") var folder: String

    func mount(into engine: inout Engine) async throws {
        engine.mount("/", .directory(folder))
    }
}
