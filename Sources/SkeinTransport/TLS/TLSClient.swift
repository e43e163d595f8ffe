// TLS contexts, created once for each set of options and shared by connections.

import NIOCore
import NIOSSL
import SkeinCore
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The TLS contexts of a session: reading the system's roots takes longer than a handshake.
package final class TLSClient: Sendable {
    private struct Key: Hashable {
        let options: ClientTLSConfiguration
        let protocols: [String]
        /// File names are compared by bytes, not by canonical equivalence.
        let files: [ByteKey?]

        init(_ options: ClientTLSConfiguration, _ protocols: [String]) {
            self.options = options
            self.protocols = protocols
            let roots: String? =
                switch options.roots {
                case .system: nil
                case .file(let path), .directory(let path): path
                }
            files = [roots, options.certificateFile, options.keyFile, options.keyLogFile].map { $0.map(ByteKey.init) }
        }
    }

    private let contexts = Mutex<[Key: NIOSSLContext]>([:])

    package init() {}

    /// The context for options.
    /// - Throws: code 713 with the error in a file of the options.
    package func context(_ options: ClientTLSConfiguration, protocols: [String]) throws(SkeinError) -> NIOSSLContext {
        let key = Key(options, protocols)
        if let context = contexts.withLock({ $0[key] }) { return context }
        let context = try Self.make(options, protocols)
        contexts.withLock { contexts in
            if contexts.count > 64 { contexts = [:] }  // options created for each request
            contexts[key] = context
        }
        return context
    }

    private static func make(_ options: ClientTLSConfiguration, _ protocols: [String]) throws(SkeinError)
        -> NIOSSLContext
    {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.applicationProtocols = protocols
        configuration.minimumTLSVersion = options.minimumVersion.version
        // TLSHandshake verifies the name: NIOSSL would accept the socket's address as the name.
        configuration.certificateVerification = options.verify == .none ? .none : .noHostnameVerification
        switch options.roots {
        case .system: break
        case .file(let path):
            configuration.trustRoots = .certificates(try PEM.certificates(path))
        case .directory(let path):
            configuration.trustRoots = .certificates(try PEM.certificates(inDirectory: path))
        }
        if let path = options.certificateFile {
            configuration.certificateChain = try PEM.certificates(path).map { .certificate($0) }
            configuration.privateKey = .privateKey(try PEM.key(options.keyFile ?? path))
        }
        if let path = options.keyLogFile { configuration.keyLogCallback = try PEM.keyLog(path) }
        return try configuration.makeContext()
    }
}

extension TLSConfiguration {
    /// The context of this configuration, of a client or a server.
    /// - Throws: code 713 when its parts do not match.
    package func makeContext() throws(SkeinError) -> NIOSSLContext {
        do {
            return try NIOSSLContext(configuration: self)
        } catch {
            throw SkeinError(
                .tlsHandshakeFailed,
                because: "TLS cannot be set up: \(error); does the private key match the certificate?",
                cause: error)
        }
    }
}

extension ClientTLSConfiguration.Version {
    /// The version as NIOSSL names it.
    package var version: TLSVersion {
        switch self {
        case .old: .tlsv1
        case .tls12: .tlsv12
        case .tls13: .tlsv13
        }
    }
}

/// PEM files, with errors that name them.
package enum PEM {
    /// The certificates of a file, at least one.
    package static func certificates(_ path: String) throws(SkeinError) -> [NIOSSLCertificate] {
        do {
            let certificates = try NIOSSLCertificate.fromPEMFile(path)
            if !certificates.isEmpty { return certificates }
        } catch {
            throw unreadable(path, "a certificate", error)
        }
        throw unreadable(path, "a certificate", nil)
    }

    /// The certificates of all files of a directory that contain some.
    package static func certificates(inDirectory path: String) throws(SkeinError) -> [NIOSSLCertificate] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: path)
        } catch {
            throw unreadable(path, "a directory of certificates", error)
        }
        let all = names.sorted().flatMap { (try? certificates("\(path)/\($0)")) ?? [] }
        guard !all.isEmpty else { throw unreadable(path, "a directory of certificates", nil) }
        return all
    }

    /// The private key of a file.
    package static func key(_ path: String) throws(SkeinError) -> NIOSSLPrivateKey {
        do {
            return try NIOSSLPrivateKey(file: path, format: .pem)
        } catch {
            throw unreadable(path, "a private key", error)
        }
    }

    private static func unreadable(_ path: String, _ what: String, _ error: (any Error)?) -> SkeinError {
        SkeinError(
            .tlsHandshakeFailed,
            because:
                "\(path.debugDescription) cannot be read as \(what) in PEM\(error.map { ": \($0)" } ?? "")",
            cause: error)
    }

    /// Appends the secrets of connections to a file that only its owner can read.
    package static func keyLog(_ path: String) throws(SkeinError) -> NIOSSLKeyLogCallback {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw SkeinError(
                .tlsHandshakeFailed, because: "the key log file \(path.debugDescription) cannot be opened for writing")
        }
        let file = KeyLogFile(descriptor: descriptor)
        return { file.append($0) }
    }

    private final class KeyLogFile: Sendable {
        private let descriptor: CInt

        init(descriptor: CInt) { self.descriptor = descriptor }

        deinit { close(descriptor) }

        /// One write per line, which the kernel appends atomically.
        func append(_ line: ByteBuffer) {
            _ = line.withUnsafeReadableBytes { write(descriptor, $0.baseAddress, $0.count) }
        }
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif
