// Asks DNS for the members of aliases, as long as they are in use.

import NIOCore
import SkeinCore
import SkeinTransport

extension HTTPClient {
    /// Looks up each member that is a name, at once and then each second. The resolver keeps answers for their time to live: DNS is
    /// asked when that is over.
    func discoverMembers(of state: AliasState, _ number: Int) {
        let watch = AliasWatch(self, state, number)
        let (resolver, shard) = (context.resolver ?? .standard, context.session.pickShard())
        for member in state.discovered { watch.discover(member, resolver, shard) }
    }
}

extension AliasWatch {
    fileprivate func discover(_ member: Alias.Member, _ resolver: DNSResolver, _ shard: Shard) {
        guard current != nil else { return }
        Self.instances(of: member, by: resolver, on: shard.eventLoop).whenComplete { result in
            current?.state.receive((try? result.get()) ?? .failed, for: member, at: shard.now)
            shard.eventLoop.scheduleTask(in: .seconds(1)) { discover(member, resolver, shard) }
        }
    }

    /// IPv4 addresses, or else IPv6 addresses: a host that has both kinds is one instance.
    private static func instances(
        of member: Alias.Member, by resolver: DNSResolver, on loop: any EventLoop
    ) -> EventLoopFuture<MemberDiscovery.Answer> {
        guard let name = member.discoveredName else { return loop.makeSucceededFuture(.failed) }
        if member.discovery == .services {
            return resolver.records(name.host, .srv, on: loop).map { .services($0) }
        }
        return resolver.resolve(name.host, .a, on: loop).flatMap { addresses in
            guard addresses.isEmpty else { return loop.makeSucceededFuture(addresses) }
            return resolver.resolve(name.host, .aaaa, on: loop)
        }.map { .addresses($0, port: name.port) }
    }
}
