// Certificates by themselves: there before the server listens, and renewed in time (RFC 8555).

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

/// What certificates are asked for, and where.
public struct ACMEConfiguration: Sendable, Hashable {
    /// The names of the certificate; `*.example.org` needs ``ACMEChallenge/dns(program:)``.
    public var names: [String]
    /// Where the authority writes to before something ends; nil for nowhere.
    public var email: String?
    /// The authority's directory. Default: Let's Encrypt.
    public var directory = "https://acme-v02.api.letsencrypt.org/directory"
    /// How it sees that the names lead here. Default: by requests to port 80.
    public var challenge = ACMEChallenge.http
    /// A folder for the account and the certificates, for its owner alone.
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
    /// - Throws: code 701 for names that no certificate can have, a wildcard without dns-01, and a directory that is not https.
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
/// Until the first certificate has come, there is one that its own key has signed. A certificate is renewed after two thirds of its life; when
/// that fails, the old one stays in use, and attempts follow with growing pauses.
public final class CertificateManager: Service {
    private let configuration: ACMEConfiguration
    private let challenges: CertificateChallenges
    private let files: CertificateFiles
    private let logger: Logger
    private let renewed: @Sendable () async -> Void

    /// Makes ready what the server needs to listen.
    /// - Parameters:
    ///   - challenges: those of the engine.
    ///   - logger: where lines go.
    ///   - renewed: called when another certificate is in the file, such as `server.reloadCertificates()`.
    /// - Throws: code 701 when the folder cannot be written to, and for names or a directory that cannot be.
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

    /// The certificate, which is there from the beginning.
    public var certificate: ServerTLSConfiguration.Certificate {
        ServerTLSConfiguration.Certificate(certificateFile: path, keyFile: path)
    }

    /// Whether the certificate of now is one of the authority's, for all names, and still valid.
    public var isIssued: Bool {
        guard let life = files.life(path) else { return false }
        return !life.isSelfSigned && life.names.isSuperset(of: configuration.names)
            && Date().timeIntervalSince1970 < life.end && files.isOf(configuration.directory, path)
    }

    /// Seconds until a certificate is needed.
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
                // In parts, so that a machine that slept finds out.
                if pause > 0 {
                    let part = min(pause, 3600)
                    guard (try? await Task.sleep(for: .seconds(part))) != nil else { return }
                    pause -= part
                    if pause > 0 { continue }
                }
                do {
                    try await self.renew()
                    await self.renewed()
                    // A certificate that is due at once would be ordered again and again.
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
        // The key is on disk before the authority knows it: a restart in the middle finds the same account.
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
            // The authority has forgotten the account, or knows it by the key that was to follow.
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

    /// Gives the account another key, as after somebody may have read the old one.
    public func changeAccountKey() async throws {
        let client = ACMEClient(
            directory: configuration.directory, rootsFile: configuration.rootsFile,
            account: files.account(configuration.directory))
        do {
            if await client.account.url == nil {
                try await client.register(email: configuration.email)
                try files.keep(await client.account, configuration.directory)
            }
            // On disk before the authority has it: whatever happens in between, one of the two is the account's.
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
