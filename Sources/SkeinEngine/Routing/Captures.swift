// The positions of a route's parameters in the path; their text is made on demand.

import SkeinCore
import SkeinHTTP

/// Positions in a path. Up to four need no allocation.
struct Captures {
    private var inline: (UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0)
    private var further: [UInt32] = []
    private(set) var count = 0

    mutating func append(_ start: Int, _ end: Int) {
        let place = UInt32(start) << 16 | UInt32(end)
        switch count {
        case 0: inline.0 = place
        case 1: inline.1 = place
        case 2: inline.2 = place
        case 3: inline.3 = place
        default: further.append(place)
        }
        count += 1
    }

    mutating func removeLast() {
        count -= 1
        if count >= 4 { further.removeLast() }
    }

    subscript(index: Int) -> Range<Int> {
        let place =
            switch index {
            case 0: inline.0
            case 1: inline.1
            case 2: inline.2
            case 3: inline.3
            default: further[index - 4]
            }
        return Int(place >> 16)..<Int(place & 0xFFFF)
    }
}

extension ServerRequest {
    /// A parameter of the route's path, percent-decoded; nil when the route has no such parameter, or its value is not
    /// UTF-8.
    public func parameter(_ name: String) -> String? {
        guard let index = scope.route?.names.firstIndex(of: name), index < scope.captures.count else { return nil }
        let place = scope.captures[index]
        let text = scope.path.getString(at: scope.path.readerIndex + place.lowerBound, length: place.count) ?? ""
        return text.utf8.contains(UInt8(ascii: "%")) ? Percent.decode(text) : text
    }

    /// A parameter of the route's path, converted to a type.
    /// - Throws: ``ServerError`` 404 when the route has no such parameter, or its value cannot be converted.
    public func parameter<Value: LosslessStringConvertible>(
        _ name: String, as type: Value.Type
    ) throws(ServerError) -> Value {
        guard let value = parameter(name).flatMap(Value.init) else {
            throw ServerError(.notFound, "there is nothing at this path")
        }
        return value
    }
}
