// Rate limit counts shared by the workers of a machine.

import Crypto
import SkeinCore
import SkeinWorkers

/// Counts on the shared page, 16 384 at most; beyond them, the least recently used ones are dropped.
struct PageRateStore: RateStore {
    private let page: SharedPage

    init(_ page: SharedPage) { self.page = page }

    func take(_ subject: String, _ rule: RateRule, at now: Double) -> RateDecision {
        var name = subject
        if name.utf8.count > SharedPage.maximumNameLength {
            name = SHA256.hash(data: Array(subject.utf8)).map {
                String($0 >> 4, radix: 16) + String($0 & 15, radix: 16)
            }
            .joined()
        }
        return page.withMeter(name, at: now) { meter in
            var own = RateMeter(used: meter.used, previous: meter.previous, since: meter.since)
            let decision = own.take(rule, at: now)
            meter = .init(used: own.used, previous: own.previous, since: own.since)
            return decision
        }
    }
}
