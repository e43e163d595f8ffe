// Rate meters that several machines share.

import SkeinCore
import SkeinEngine
import SkeinRedis

/// Rate meters on a Redis server, which use its clock.
///
/// The script does the arithmetic of ``RateRule`` on the server, so that no request is counted twice or missed.
struct RedisRates: RateStore {
    let backend: RedisBackend

    private static let script = RedisScript(
        """
        local limit, window, size, sliding = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
        local t = redis.call('TIME')
        local now = t[1] + t[2] / 1e6
        local kept = redis.call('HMGET', KEYS[1], 'u', 'p', 's')
        local used, previous, since = tonumber(kept[1] or '0'), tonumber(kept[2] or '0'), tonumber(kept[3] or now)
        local allowed, free, reset, retry = 0, 0, 0, 0
        if sliding then
            local passed = math.floor((now - since) / window)
            if passed >= 1 then
                previous = passed < 2 and used or 0
                used = 0
                since = since + passed * window
            end
            local share = math.max(0, 1 - math.max(0, now - since) / window)
            if previous * share + used + 1 <= limit + 1e-9 then
                allowed = 1
                used = used + 1
            end
            free = limit - previous * share - used
            reset = used > 0 and since + 2 * window - now or math.max(0, since + window - now)
            if free + 1e-9 < 1 then
                local finish = since + window
                if previous > 0 and used + 1 <= limit then
                    retry = math.max(0, since + window * (1 - (limit - used - 1) / previous) - now)
                else
                    retry = math.max(0, finish + window * math.max(0, 1 - (limit - 1) / used) - now)
                end
            end
        else
            local rate = limit / window
            used = math.max(0, used - math.max(0, now - since) * rate)
            since = math.max(since, now)
            if used + 1 <= size + 1e-9 then
                allowed = 1
                used = used + 1
            end
            free = size - used
            reset = used / rate
            if free + 1e-9 < 1 then retry = (1 - free) / rate end
        end
        redis.call('HSET', KEYS[1], 'u', string.format('%.17g', used), 'p', string.format('%.17g', previous), 's', string.format('%.17g', since))
        redis.call('PEXPIRE', KEYS[1], math.ceil(math.max(2 * window, reset) * 1000) + 1000)
        return {allowed, tostring(math.max(0, math.floor(free + 1e-9))), string.format('%.6f', reset), string.format('%.6f', retry)}
        """)

    func take(_ subject: String, _ rule: RateRule, at now: Double) async throws -> RateDecision {
        var (size, isSliding) = (rule.limit, 0)
        switch rule.algorithm {
        case .tokenBucket(let own): size = min(max(1, own ?? rule.limit), 1 << 40)
        case .slidingWindow: isSliding = 1
        }
        let answer = try await backend.redis.run(
            Self.script, keys: [backend.key("rate", subject)], rule.limit, rule.window, size, isSliding)
        guard let allowed = answer[0]?.int, let remaining = answer[1]?.int, let reset = answer[2]?.double,
            let retry = answer[3]?.double
        else { throw SkeinError(.invalidContent, because: "Redis answered the script of a rate limit with \(answer)") }
        return RateDecision(isAllowed: allowed == 1, remaining: remaining, reset: reset, retryAfter: retry)
    }
}
