import Testing

@testable import SkeinTransport

/// Which addresses belong to the public internet (RFC 6890), and which to this machine.
@Suite("Addresses")
struct AddressPolicyTests {
    @Test(
        "private, local, special addresses are not public",
        arguments: [
            "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
            "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
            "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fc00::1", "fd12::1", "fe80::1", "ff02::1",
            "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "2001::1",
            "fec0::1", "64:ff9b:1:a00:0:100:808:808", "64:ff9b::1:808:808",
        ])
    func notPublic(text: String) throws {
        #expect(!IPAddress.isPublic(try #require(IPAddress.bytes(text))))
    }

    @Test(
        "the others are",
        arguments: [
            "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.0.1", "100.128.0.1", "172.15.0.1", "172.32.0.1",
            "192.1.0.1", "198.17.0.1", "198.20.0.1", "223.255.255.255", "2606:4700::1111", "2a00::1", "::ffff:8.8.8.8",
            "64:ff9b::808:808", "2002:808:808::",
        ])
    func isPublic(text: String) throws {
        #expect(IPAddress.isPublic(try #require(IPAddress.bytes(text))))
    }

    @Test("a name that looks like a loopback address is not one")
    func local() {
        for host in ["127.0.0.1", "127.9.9.9", "::1", "localhost", "::ffff:127.0.0.1"] {
            #expect(Endpoint.host(host, port: 1).isLocal, "\(host)")
        }
        for host in ["127.evil.example", "127.0.0.1.evil.example", "128.0.0.1", "::2", "127", ""] {
            #expect(!Endpoint.host(host, port: 1).isLocal, "\(host)")
        }
    }
}
