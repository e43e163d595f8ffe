// An engine as a small service has it: a router with a parameter, files, a log of requests.

import SkeinEngine

/// skein-probe engine PORT FOLDER LOG [CERTIFICATE KEY]
func serveEngine(port: Int, folder: String, log: String?, certificate: (String, String)?) async throws {
    var configuration = ServerConfiguration(addresses: [.tcp("127.0.0.1", port: port)], threads: 1)
    if let certificate {
        configuration.addresses = [.tls("127.0.0.1", port: port)]
        configuration.tls = ServerTLSConfiguration(certificates: [
            .init(certificateFile: certificate.0, keyFile: certificate.1)
        ])
    }
    configuration.requestLog = log.map { RequestLogConfiguration($0) }
    configuration.maximumRequestsPerConnection = .max
    var router = Router()
    router.get("/hello/<name>") { request in .text("hello \(request.parameter("name") ?? "")") }
    var engine = Engine(configuration)
    engine.mount("/", router)
    engine.mount("/files", .directory(folder))
    try await engine.serve()
}
