// The content codings that a client accepts (RFC 9110, section 12.5.3).

import SkeinWire

/// The parsed Accept-Encoding field.
package struct AcceptedCodings {
    private var weights: [String: Double] = [:]

    package init(_ headers: Headers) {
        for part in headers.values("Accept-Encoding").flatMap({ $0.splitBytes(separator: ",") }) {
            let words = part.splitBytes(separator: ";")
            guard let name = words.first?.trimmingBlanks().lowercased(), weights.count < 32 else { continue }
            let weight = words.dropFirst().first { $0.trimmingBlanks().lowercased().hasBytePrefix("q=") }
            weights[name] = weight.map { Double($0.trimmingBlanks().dropFirst(2)) ?? 0 } ?? 1
        }
    }

    package var isEmpty: Bool { weights.isEmpty }

    /// The coding with the highest weight; the first of equals.
    package func best(of codings: [ContentCoding]) -> ContentCoding? {
        guard !weights.isEmpty else { return nil }
        var best: (coding: ContentCoding, weight: Double)?
        for coding in codings {
            let weight = weights[coding.rawValue] ?? weights["*"] ?? 0
            if weight > best?.weight ?? 0 { best = (coding, weight) }
        }
        return best?.coding
    }
}
