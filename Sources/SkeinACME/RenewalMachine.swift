// When a certificate is requested: in time before it expires, and not repeatedly when requests fail.

/// Decides when a certificate is requested.
struct RenewalMachine {
    /// The kind of failure.
    enum Failure: Hashable {
        /// The authority cannot be reached, or has an internal error.
        case transient
        /// The authority could not validate a name, or refuses it; it limits the number of such attempts.
        case refused
        /// There were too many requests; the authority may say when to try again.
        case rateLimited(Double?)

        init(_ problem: ACMEProblem) {
            switch problem.kind {
            case "rateLimited": self = .rateLimited(problem.retryAfter)
            case "unreachable", "serverInternal", "badNonce", "orderNotReady", "malformed": self = .transient
            case let kind where kind.hasBytePrefix("status 5"): self = .transient
            default: self = .refused
            }
        }
    }

    private(set) var failures = 0

    /// When a certificate is replaced: after two thirds of its life, plus a random part of a twelfth, so that servers
    /// do not all renew at the same time.
    /// - Parameters:
    ///   - start: when its life begins, in seconds since 1970.
    ///   - end: when it ends.
    ///   - chance: from 0 to 1.
    static func renewal(start: Double, end: Double, chance: Double) -> Double {
        let life = max(0, end - start)
        return start + life * (2.0 / 3 + chance / 12)
    }

    /// A certificate was issued.
    mutating func succeeded() { failures = 0 }

    /// An attempt has failed.
    /// - Parameter chance: from 0 to 1.
    /// - Returns: seconds until the next one.
    mutating func failed(_ failure: Failure, chance: Double) -> Double {
        failures += 1
        let growth = Double(1 << min(failures - 1, 12))
        let pause =
            switch failure {
            case .transient: min(30 * growth, 6 * 3600)
            case .refused: min(900 * growth, 24 * 3600)
            case .rateLimited(let said): max(said ?? 0, min(3600 * growth, 24 * 3600))
            }
        return pause * (1 + 0.2 * chance)
    }
}
