// When a certificate is asked for: in time before its end, and not again and again when that fails.

/// The moments at which a certificate is asked for.
struct RenewalMachine {
    /// What kind of failure it was.
    enum Failure: Hashable {
        /// The authority cannot be reached, or has a problem of its own.
        case transient
        /// The authority could not see that a name leads here, or refuses it: it counts such attempts.
        case refused
        /// It has been asked too often; it may say when to come back.
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

    /// When a certificate is replaced: after two thirds of its life, and a part of a twelfth more, so that not all come at once.
    /// - Parameters:
    ///   - start: seconds since 1970 at which its life begins.
    ///   - end: at which it ends.
    ///   - chance: from 0 to 1.
    static func renewal(start: Double, end: Double, chance: Double) -> Double {
        let life = max(0, end - start)
        return start + life * (2.0 / 3 + chance / 12)
    }

    /// A certificate has come.
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
