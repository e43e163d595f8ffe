// Which back ends stand behind a name of DNS, without I/O: it is told each answer, and says whether the members have changed.

import SkeinCore

/// The instances that DNS names for one member of an alias.
package struct MemberDiscovery: Sendable {
    /// A back end that was found.
    package struct Instance: Hashable, Sendable {
        /// An address, or for a service the name of a host.
        package let host: String
        package let port: Int
        /// Its share beside the other instances.
        package let weight: Double

        package init(host: String, port: Int, weight: Double = 1) {
            self.host = host
            self.port = port
            self.weight = weight
        }
    }

    /// What DNS has said.
    package enum Answer: Sendable {
        /// The addresses of a host, and the port that the member names.
        case addresses([[UInt8]], port: Int)
        /// The records of a service (RFC 2782).
        case services([DNSRecord.Content])
        /// No server has answered.
        case failed
    }

    /// Instances of a name at most; further ones are not used.
    package static let limit = 256

    /// The instances; nil before the first answer that has any.
    package private(set) var instances: [Instance]?

    package init() {}

    /// Takes an answer. One without instances changes nothing: a name that is lost for a moment must not take the service away.
    /// - Returns: whether the instances have changed.
    package mutating func receive(_ answer: Answer) -> Bool {
        var found: [Instance] = []
        switch answer {
        case .failed: return false
        case .addresses(let addresses, let port):
            found = addresses.compactMap { IPAddress.text($0).map { Instance(host: $0, port: port) } }
        case .services(let records):
            let services = records.compactMap { record -> (priority: Int, instance: Instance)? in
                guard case .service(let priority, let weight, let port, let name?) = record, port > 0 else {
                    return nil
                }
                // A weight of 0 is the smallest one there is (RFC 2782).
                return (priority, Instance(host: name.text, port: port, weight: max(Double(weight), 0.1)))
            }
            let best = services.map(\.priority).min()
            found = services.filter { $0.priority == best }.map(\.instance)
        }
        // Servers rotate their answers; the order says nothing.
        found.sort { ($0.host, $0.port, $0.weight) < ($1.host, $1.port, $1.weight) }
        found = Array(found.prefix(Self.limit))
        guard !found.isEmpty, found != instances else { return false }
        instances = found
        return true
    }
}
