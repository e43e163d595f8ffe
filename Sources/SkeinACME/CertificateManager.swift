// Automatic certificates: available before the server listens, and renewed in time (RFC 8555).

import Crypto
import Logging
import ServiceLifecycle
import SkeinCore
import SkeinEngine
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// For which names certificates are requested, and from which authority.
public struct ACMEConfiguration: Sendable, Hashable {
    /// The names of the certificate; `*.example.org` needs ``ACMEChallenge/dns(program:)``.
    public var names: [String]
    /// The address to which the authority writes before a certificate expires; nil for none.
    public var email: String?
    /// The authority's directory. Default: Let's Encrypt.
    public var directory = "https://acme-v02.api.letsencrypt.org/directory"
    /// How the authority validates the names. Default: by requests to port 80.
    public var challenge = ACMEChallenge.http
    /// A folder for the account and the certificates, readable by its owner only.
    public var folder: String
    /// A PEM file with the roots of the authority's own server. Default: the system's.
    public var rootsFile: String?

    /// - Parameters:
    ///   - names: of the certificate.
    ///   - folder: for the account and the certificates.
    public init(names: [String], folder: String) {
        self.names = names.map { $0.lowercased() }
        self.folder = folder
    }
}

extension ACMEConfiguration {
    /// - Throws: code 701 for names for which no certificate can be issued, a wildcard without dns-01, and a directory
    ///   that is not https.
    package func check() throws(SkeinError) {
        guard !names.isEmpty else { throw SkeinError(.exception, because: "a certificate needs at least one name") }
        for name in names where !Self.isName(name) {
            throw SkeinError(
                .exception, because: "\(name.debugDescription) is not a host name that a certificate can have")
        }
        if challenge == .http || challenge == .tls, let wild = names.first(where: { $0.hasBytePrefix("*.") }) {
            throw SkeinError(
                .exception, because: "\(wild) needs a program for DNS: a wildcard is validated by DNS records only")
        }
        guard directory.hasBytePrefix("https://") else {
            throw SkeinError(.exception, because: "\(directory) is not https")
        }
    }

    private static func isName(_ name: String) -> Bool {
        let labels = (name.hasBytePrefix("*.") ? String(name.dropFirst(2)) : name)
            .splitBytes(separator: ".", omittingEmptySubsequences: false)
        return name.utf8.count <= 253 && labels.count > 1
            && labels.allSatisfy { label in
                (1...63).contains(label.utf8.count) && label.utf8.first != UInt8(ascii: "-")
                    && label.utf8.allSatisfy {
                        Bytes.isDigit($0) || ($0 | 0x20) &- UInt8(ascii: "a") < 26 || $0 == UInt8(ascii: "-")
                    }
            }
    }
}

/// Keeps a certificate valid.
///
///     let challenges = CertificateChallenges()
///     let manager = try CertificateManager(configuration, challenges: challenges) { await reload() }
///     engine.challenges = challenges
///     engine.configuration.tls = ServerTLSConfiguration(certificates: [manager.certificate])
///
/// Until the first certificate is issued, a self-signed one is used. A certificate is renewed after two thirds of its
/// life; if the renewal fails, the old one stays in use, and attempts follow with growing pauses.
public final class CertificateManager: Service {
    private let configuration: ACMEConfiguration
    private let challenges: CertificateChallenges
    private let files: CertificateFiles
    private let logger: Logger
    private let renewed: @Sendable () async -> Void

    /// Prepares what the server needs in order to listen.
    /// - Parameters:
    ///   - challenges: the challenges of the engine.
    ///   - logger: for log lines.
    ///   - renewed: called when the file has a new certificate, such as `server.reloadCertificates()`.
    /// - Throws: code 701 if the folder cannot be written to, and for invalid names or an invalid directory.
    public init(
        _ configuration: ACMEConfiguration, challenges: CertificateChallenges, logger: Logger = Logger(label: "acme"),
        renewed: @escaping @Sendable () async -> Void
    ) throws {
        try configuration.check()
        self.configuration = configuration
        self.challenges = challenges
        self.logger = logger
        self.renewed = renewed
        files = try CertificateFiles(configuration.folder)
        if files.life(path) == nil {
            let made = try SelfSignedCertificate.make(names: configuration.names)
            try files.write(made.certificate + made.key, to: path)
        }
    }

    private var path: String { files.path(configuration.names) }

    /// The certificate, which exists from the beginning.
    public var certificate: ServerTLSConfiguration.Certificate {
        ServerTLSConfiguration.Certificate(certificateFile: path, keyFile: path)
    }

    /// Whether the current certificate was issued by the authority, covers all names, and is still valid.
    public var isIssued: Bool {
        guard let life = files.life(path) else { return false }
        return !life.isSelfSigned && life.names.isSuperset(of: configuration.names)
            && Date().timeIntervalSince1970 < life.end && files.isOf(configuration.directory, path)
    }

    /// Seconds until a new certificate is needed.
    private func untilRenewal() -> Double {
        guard isIssued, let life = files.life(path) else { return 0 }
        let moment = RenewalMachine.renewal(start: life.start, end: life.end, chance: .random(in: 0...1))
        return moment - Date().timeIntervalSince1970
    }

    /// Keeps the certificate valid until the task is cancelled or the service group shuts down.
    public func run() async throws {
        await cancelWhenGracefulShutdown {
            var machine = RenewalMachine()
            var pause = max(0, self.untilRenewal())
            while !Task.isCancelled {
                // In parts, so that a machine that was suspended notices the time.
                if pause > 0 {
                    let part = min(pause, 3600)
                    guard (try? await Task.sleep(for: .seconds(part))) != nil else { return }
                    pause -= part
                    if pause > 0 { continue }
                }
                do {
                    try await self.renew()
                    await self.renewed()
                    // Otherwise a certificate that is due immediately would be ordered again and again.
                    pause = self.untilRenewal()
                    if pause < 1 {
                        throw ACMEProblem(
                            kind: "unusable",
                            detail: "the issued certificate is due for renewal already; is the clock right?",
                            retryAfter: nil)
                    }
                    machine.succeeded()
                    self.logger.info(
                        "the certificate for \(self.configuration.names.joined(separator: ", ")) is renewed; the next renewal is in \(Self.text(pause))"
                    )
                } catch {
                    if Task.isCancelled { return }
                    let failure = (error as? ACMEProblem).map(RenewalMachine.Failure.init) ?? .transient
                    pause = machine.failed(failure, chance: .random(in: 0...1))
                    self.logger.error(
                        "there is no certificate for \(self.configuration.names.joined(separator: ", ")): \(error); the next attempt is in \(Self.text(pause))"
                    )
                }
            }
        }
    }

    private static func text(_ seconds: Double) -> String {
        seconds < 120
            ? "\(Int(seconds)) s"
            : seconds < 7200
                ? "\(Int(seconds / 60)) min"
                : seconds < 172_800 ? "\(Int(seconds / 3600)) h" : "\(Int(seconds / 86_400)) days"
    }

    /// Orders a certificate, and writes it.
    private func renew() async throws {
        let client = ACMEClient(
            directory: configuration.directory, rootsFile: configuration.rootsFile,
            account: files.account(configuration.directory))
        do {
            try await order(client)
        } catch {
            await client.shutdown()
            throw error
        }
        await client.shutdown()
    }

    private func order(_ client: ACMEClient) async throws {
        // The key is on disk before the authority knows it, so that after a restart in between the same account is
        // found.
        if await client.account.url == nil {
            try files.keep(await client.account, configuration.directory)
            try await client.register(email: configuration.email)
            try files.keep(await client.account, configuration.directory)
        }
        let key = P256.Signing.PrivateKey()
        let chain: String
        do {
            chain = try await client.certificate(
                for: configuration.names, key: key, configuration.challenge, challenges)
        } catch let problem as ACMEProblem
            where ["accountDoesNotExist", "unauthorized", "malformed"].contains(problem.kind)
        {
            // The authority no longer has the account, or already knows it by the next key.
            guard problem.kind == "accountDoesNotExist" || files.nextKey(configuration.directory) != nil else {
                throw problem
            }
            if let next = files.nextKey(configuration.directory) { await client.use(next) }
            try await client.register(email: configuration.email)
            try files.keep(await client.account, configuration.directory)
            chain = try await client.certificate(
                for: configuration.names, key: key, configuration.challenge, challenges)
        }
        try files.keep(
            try CertificateFiles.checked(chain, key, configuration.names), key, path, configuration.directory)
    }

    /// Replaces the key of the account, for example after the old one may have been disclosed.
    public func changeAccountKey() async throws {
        let client = ACMEClient(
            directory: configuration.directory, rootsFile: configuration.rootsFile,
            account: files.account(configuration.directory))
        do {
            if await client.account.url == nil {
                try await client.register(email: configuration.email)
                try files.keep(await client.account, configuration.directory)
            }
            // On disk before the authority has it: whatever happens in between, one of the two keys is valid.
            let next = P256.Signing.PrivateKey()
            try files.keep(await client.account, configuration.directory, next: next)
            try await client.changeKey(to: next)
            try files.keep(await client.account, configuration.directory)
        } catch {
            await client.shutdown()
            throw error
        }
        await client.shutdown()
    }
}
