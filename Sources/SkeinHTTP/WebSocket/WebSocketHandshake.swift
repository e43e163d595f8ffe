// The opening handshake: key and response (RFC 6455, section 4), subprotocols, compression (RFC 7692, section 7.1).

import Crypto
import SkeinCore
import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The rules of the opening handshake.
package enum WebSocketHandshake {
    private static let magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

    /// A random key.
    package static func makeKey() -> String {
        var random = SystemRandomNumberGenerator()
        return Data((0..<16).map { _ in UInt8.random(in: .min ... .max, using: &random) }).base64EncodedString()
    }

    /// The server's response to a key.
    package static func accept(_ key: String) -> String {
        Data(Insecure.SHA1.hash(data: Array((key + magic).utf8))).base64EncodedString()
    }

    // MARK: The client's side

    /// The fields that request a socket.
    static func request(_ configuration: WebSocketConfiguration, key: String) -> Headers {
        var headers: Headers = [
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key,
        ]
        if !configuration.subprotocols.isEmpty {
            headers["Sec-WebSocket-Protocol"] = configuration.subprotocols.joined(separator: ", ")
        }
        if let compression = configuration.compression {
            var offer = "permessage-deflate; client_max_window_bits"
            if compression.startsOver { offer += "; client_no_context_takeover; server_no_context_takeover" }
            headers["Sec-WebSocket-Extensions"] = offer
        }
        return headers
    }

    /// The negotiated parameters.
    package struct Agreement: Sendable {
        package var subprotocol: String?
        package var compression: WebSocketCompression?
    }

    /// Reads the server's response.
    /// - Parameter key: the key sent over HTTP/1.1; nil over HTTP/2, which uses none (RFC 8441, section 5).
    static func agreement(
        _ headers: Headers, key: String?, _ configuration: WebSocketConfiguration
    ) throws(SkeinError) -> Agreement {
        if let key {
            guard headers.listContains("Upgrade", token: "websocket"),
                headers.listContains("Connection", token: "Upgrade")
            else { throw refusal("the server switched to a protocol other than WebSocket") }
            guard headers["Sec-WebSocket-Accept"] == accept(key) else {
                throw refusal("the server's Sec-WebSocket-Accept does not match the key; is it a WebSocket server?")
            }
        }
        var agreement = Agreement(subprotocol: headers["Sec-WebSocket-Protocol"])
        if let chosen = agreement.subprotocol {
            guard configuration.subprotocols.contains(chosen), headers.values("Sec-WebSocket-Protocol").count == 1
            else {
                throw refusal("the server chose the subprotocol \(chosen.debugDescription), which was not offered")
            }
        }
        guard let extensions = Extension.all(in: headers) else {
            throw refusal("the server's Sec-WebSocket-Extensions cannot be read")
        }
        guard let accepted = extensions.first else { return agreement }
        guard extensions.count == 1, accepted.name == "permessage-deflate", let ours = configuration.compression,
            let parameters = DeflateParameters(accepted, isOffer: false)
        else { throw refusal("the server agreed to extensions that were not offered: \(extensions.map(\.name))") }
        agreement.compression = WebSocketCompression(
            outgoingWindowBits: min(ours.windowBits, parameters.clientBits ?? 15),
            outgoingStartsOver: ours.startsOver || parameters.clientStartsOver,
            incomingWindowBits: parameters.serverBits ?? 15, incomingStartsOver: parameters.serverStartsOver)
        return agreement
    }

    private static func refusal(_ reason: String) -> SkeinError {
        SkeinError(.protocolSwitchingFailed, because: reason)
    }

    // MARK: The server's side

    /// Chooses from a client's offers.
    /// - Returns: the agreement, and its fields for the response.
    package static func choose(_ headers: Headers, _ configuration: WebSocketConfiguration) -> (Agreement, Headers) {
        var agreement = Agreement()
        var answer = Headers()
        let offered = headers.values("Sec-WebSocket-Protocol").flatMap { value in
            value.splitBytes(separator: ",").map { String($0.trimmingBlanks()) }
        }
        if let chosen = configuration.subprotocols.first(where: offered.contains) {
            agreement.subprotocol = chosen
            answer["Sec-WebSocket-Protocol"] = chosen
        }
        guard let ours = configuration.compression else { return (agreement, answer) }
        // The first acceptable offer; a malformed one counts as absent.
        for offer in Extension.all(in: headers) ?? [] where offer.name == "permessage-deflate" {
            guard let parameters = DeflateParameters(offer, isOffer: true) else { continue }
            let bits = min(ours.windowBits, parameters.serverBits ?? 15)
            let serverStartsOver = ours.startsOver || parameters.serverStartsOver
            let clientStartsOver = ours.startsOver || parameters.clientStartsOver
            var field = "permessage-deflate"
            if serverStartsOver { field += "; server_no_context_takeover" }
            if clientStartsOver { field += "; client_no_context_takeover" }
            if let asked = parameters.serverBits { field += "; server_max_window_bits=\(min(asked, max(9, bits)))" }
            var clientBits = 15
            if parameters.limitsClientBits {
                clientBits = min(max(9, ours.windowBits), parameters.clientBits ?? 15)
                field += "; client_max_window_bits=\(clientBits)"
            }
            answer["Sec-WebSocket-Extensions"] = field
            agreement.compression = WebSocketCompression(
                outgoingWindowBits: bits, outgoingStartsOver: serverStartsOver, incomingWindowBits: clientBits,
                incomingStartsOver: clientStartsOver)
            break
        }
        return (agreement, answer)
    }
}

/// An extension with its parameters, as offered or accepted (RFC 6455, section 9.1).
private struct Extension {
    let name: String
    var parameters: [(name: String, value: String?)] = []

    /// The extensions of a message's fields, in order; nil when they are malformed.
    static func all(in headers: Headers) -> [Extension]? {
        var found: [Extension] = []
        for field in headers.values("Sec-WebSocket-Extensions") {
            var scanner = FieldScanner(field)
            repeat {
                scanner.skip(" \t")
                var item = Extension(name: scanner.token().lowercased())
                guard !item.name.isEmpty else { return nil }
                scanner.skip(" \t")
                while scanner.take(";") {
                    scanner.skip(" \t")
                    let name = scanner.token().lowercased()
                    guard !name.isEmpty else { return nil }
                    scanner.skip(" \t")
                    var value: String?
                    if scanner.take("=") {
                        scanner.skip(" \t")
                        value = scanner.tokenOrQuoted()
                        scanner.skip(" \t")
                    }
                    item.parameters.append((name, value))
                }
                found.append(item)
            } while scanner.take(",")
            guard scanner.isAtEnd else { return nil }
        }
        return found
    }
}

/// The parameters of permessage-deflate.
private struct DeflateParameters {
    var serverStartsOver = false
    var clientStartsOver = false
    var serverBits: Int?
    var clientBits: Int?
    /// Whether the client accepts a limit for its window.
    var limitsClientBits = false

    /// Nil for parameters that RFC 7692 does not allow: an unknown or repeated name, an unexpected value, a number out
    /// of range.
    init?(_ item: Extension, isOffer: Bool) {
        var seen: Set<String> = []
        for (name, value) in item.parameters {
            guard seen.insert(name).inserted else { return nil }
            switch (name, value) {
            case ("server_no_context_takeover", nil): serverStartsOver = true
            case ("client_no_context_takeover", nil): clientStartsOver = true
            case ("server_max_window_bits", let value?):
                guard let bits = Self.bits(value) else { return nil }
                serverBits = bits
            case ("client_max_window_bits", let value):
                limitsClientBits = true
                guard let value else {
                    guard isOffer else { return nil }
                    continue
                }
                guard let bits = Self.bits(value) else { return nil }
                clientBits = bits
            default: return nil
            }
        }
    }

    private static func bits(_ text: String) -> Int? {
        guard text.utf8.allSatisfy(Bytes.isDigit), text.first != "0", let number = Int(text), 8...15 ~= number else {
            return nil
        }
        return number
    }
}
