// The priority of a response (RFC 9218): urgency and incremental delivery.

/// The priority of a stream.
struct StreamPriority: Equatable {
    /// 0, the most urgent, to 7.
    var urgency = 3
    /// Whether it is sent in turn with others of its urgency; otherwise it is completed before them.
    ///
    /// The RFC's default is false; without priorities from the client, responses are sent concurrently.
    var isIncremental = true

    static let standard = StreamPriority()

    init() {}

    /// Parses a Priority field: `u=1, i`. Malformed and unknown parameters are ignored (RFC 9218, section 5).
    init(field: String) {
        isIncremental = false
        for member in field.splitBytes(separator: ",") {
            let parts = member.prefix(before: ";").splitBytes(separator: "=", maxSplits: 1)
            guard let key = parts.first?.trimmingBlanks() else { continue }
            let value = parts.count == 2 ? parts[1].trimmingBlanks() : "?1"
            switch key {
            case "u": if let level = Int(value), (0...7).contains(level) { urgency = level }
            case "i": isIncremental = value == "?1"
            default: break
            }
        }
    }
}
