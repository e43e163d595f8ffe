import Testing

@testable import SkeinMail

@Suite("Policies of domains (MTA-STS)")
struct TransportPolicyTests {
    @Test("a policy, with either line end")
    func policy() throws {
        for end in ["\r\n", "\n"] {
            let text = [
                "version: STSv1", "mode: enforce", "mx: mail.example.org", "mx: *.Example.NET", "max_age: 86400",
                "x: y", "",
            ]
            let policy = try #require(TransportPolicy(text.joined(separator: end)))
            #expect(policy.mode == .enforce && policy.maximumAge == 86_400)
            for name in ["mail.example.org", "MAIL.example.org", "a.example.net"] {
                #expect(policy.names(name), "\(name)")
            }
            for name in ["example.org", "x.mail.example.org", "a.b.example.net", "example.net", "aexample.net", ""] {
                #expect(!policy.names(name), "\(name)")
            }
        }
    }

    @Test(
        "what is no policy",
        arguments: [
            "", "mode: enforce\nmx: a\nmax_age: 1", "version: STSv2\nmode: enforce\nmx: a\nmax_age: 1",
            "version: STSv1\nmode: x\nmx: a\nmax_age: 1",
            "version: STSv1\nmode: enforce\nmax_age: 1", "version: STSv1\nmode: enforce\nmx: a",
            "version: STSv1\nmode: enforce\nmx: a\nmax_age: -1",
            "<html>",
        ])
    func noPolicy(text: String) { #expect(TransportPolicy(text) == nil) }

    @Test("the record in the DNS")
    func record() {
        #expect(TransportPolicy.identifier("v=STSv1; id=20261127;") == "20261127")
        #expect(TransportPolicy.identifier("v=STSv1;id=a") == "a")
        for text in ["", "v=spf1 -all", "v=STSv1", "v=STSv12; id=1", "id=1; v=STSv1"] {
            #expect(TransportPolicy.identifier(text) == nil)
        }
    }
}
