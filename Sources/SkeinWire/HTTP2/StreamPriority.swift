// The priority that a client gives a response (RFC 9218): how urgent it is, and whether parts of it are of use.

/// The priority of a stream.
struct StreamPriority: Equatable {
    /// 0, the most urgent, to 7.
    var urgency = 3
    /// Whether it takes turns with others of its urgency; otherwise it is sent whole before they are.
    ///
    /// The RFC's default is false; a client that says nothing about priorities gets its answers side by side.
    var isIncremental = true

    static let standard = StreamPriority()

    init() {}

    /// Reads a Priority field: `u=1, i`. What is malformed or unknown is ignored (RFC 9218, section 5).
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
