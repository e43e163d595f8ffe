import NIOCore
import Testing

@testable import SkeinCore

@Suite("Errors")
struct ErrorTests {
    @Test("the codes are those of aquests", arguments: 700...722)
    func codes(code: Int) {
        #expect(SkeinError.Code(rawValue: code).name != "error")
    }

    @Test("an error is one sentence with code, peer and reason")
    func sentence() {
        let error = SkeinError(.timeout, peer: "http://a", because: "no answer within 10 s")
        #expect("\(error)" == "702 timeout (http://a): no answer within 10 s")
        #expect("\(SkeinError.status(410, peer: nil, because: "two came"))" == "410: two came")
    }

    @Test(
        "passing trouble is told from what would happen again",
        arguments: [
            (SkeinError(.timeout, because: ""), true),
            (SkeinError(.connectionFailed, because: ""), true),
            (SkeinError(.noResponse, because: ""), true),
            (SkeinError(.socketError, because: ""), true),
            (SkeinError(.bodyError, because: ""), false),
            (SkeinError(.contentTooLarge, because: ""), false),
            (SkeinError(.exception, because: ""), false),
            (SkeinError(.exception, because: "", cause: IOError(errnoCode: 104, reason: "reset")), true),
            (IOError(errnoCode: 104, reason: "ECONNRESET"), true),
            (IOError(errnoCode: 111, reason: "ECONNREFUSED"), true),
            (IOError(errnoCode: 13, reason: "EACCES"), false),
            (ChannelError.connectTimeout(.seconds(1)), true),
            (CancellationError(), false),
        ] as [(any Error, Bool)])
    func temporary(error: any Error, isTemporary: Bool) {
        #expect(isTemporaryNetworkError(error) == isTemporary)
    }
}
