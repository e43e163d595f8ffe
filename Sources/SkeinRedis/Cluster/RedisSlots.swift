// The slots of a cluster (the cluster specification at redis.io: 16384 slots, CRC16, hash tags).

import NIOCore
import SkeinTransport

/// The slots of keys, and the servers of slots. A value without I/O.
struct RedisSlots: Sendable, Equatable {
    static let count = 16384

    private var owners: [UInt16]
    /// The masters.
    private(set) var nodes: [Endpoint]

    /// - Parameter ranges: the reply to CLUSTER SLOTS.
    /// - Parameter asked: the server that sent it; an empty host in the reply means this server.
    init?(_ ranges: RedisValue, asked: Endpoint) {
        guard let ranges = ranges.elements, ranges.count <= Self.count else { return nil }
        var owners = Array(repeating: UInt16.max, count: Self.count)
        var nodes: [Endpoint] = []
        for range in ranges {
            guard let first = range[0]?.int, let last = range[1]?.int, let master = range[2], let port = master[1]?.int,
                (0..<Self.count).contains(first), (first..<Self.count).contains(last), (1...65535).contains(port)
            else { return nil }
            let name = master[0]?.string ?? ""
            let endpoint = Endpoint.host(name.isEmpty || name == "?" ? asked.host : name, port: port)
            let place = nodes.firstIndex(of: endpoint) ?? nodes.count
            if place == nodes.count { nodes.append(endpoint) }
            for slot in first...last { owners[slot] = UInt16(place) }
        }
        self.owners = owners
        self.nodes = nodes
    }

    /// The server of a slot; nil when there is none.
    func owner(of slot: Int) -> Endpoint? {
        let place = Int(owners[slot])
        return place < nodes.count ? nodes[place] : nil
    }

    /// A slot has moved.
    mutating func move(_ slot: Int, to endpoint: Endpoint) {
        guard (0..<Self.count).contains(slot) else { return }
        let place = nodes.firstIndex(of: endpoint) ?? nodes.count
        guard place < Int(UInt16.max) else { return }
        if place == nodes.count { nodes.append(endpoint) }
        owners[slot] = UInt16(place)
    }

    /// The slot of a key: of the part in braces, if there is one.
    static func slot(_ key: RedisArgument) -> Int { slot(key.utf8) }

    static func slot(_ key: [UInt8]) -> Int {
        var part = key[...]
        if let open = key.firstIndex(of: UInt8(ascii: "{")),
            let close = key[(open + 1)...].firstIndex(of: UInt8(ascii: "}")), close > open + 1
        {
            part = key[(open + 1)..<close]
        }
        return Int(crc16(part)) % count
    }

    /// CRC16 of XMODEM: polynomial 0x1021, from zero.
    static func crc16(_ bytes: ArraySlice<UInt8>) -> UInt16 {
        var crc: UInt16 = 0
        for byte in bytes {
            crc ^= UInt16(byte) << 8
            for _ in 0..<8 { crc = crc & 0x8000 != 0 ? crc << 1 ^ 0x1021 : crc << 1 }
        }
        return crc
    }
}
