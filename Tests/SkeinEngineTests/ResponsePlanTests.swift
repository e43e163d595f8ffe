import NIOCore
import SkeinHTTP
import SkeinWire
import Testing

@testable import SkeinEngine

/// Which parts of a handler's response are sent: (status, body, trailers, method) → (announcement, content, trailers).
@Suite("Response plan")
struct ResponsePlanTests {
    private static let stream = HTTPBody.sequence([ByteBuffer(string: "piece")])
    private static let trailers: Headers = ["X-Sum": "1"]

    private func plan(
        _ body: HTTPBody, status: HTTPStatus = .ok, trailers: Headers? = nil, to method: HTTPMethod = .get
    ) -> ResponsePlan {
        ResponsePlan(ServerResponse(status, body: body, trailers: trailers), to: method)
    }

    private func word(_ content: ResponsePlan.Content) -> String {
        switch content {
        case .nothing: "nothing"
        case .bytes: "bytes"
        case .stream: "stream"
        }
    }

    @Test("a body of known length is announced and sent")
    func known() {
        let plan = plan(.text("hello"))
        #expect(plan.announcement == .length(5) && word(plan.content) == "bytes" && !plan.isHeadAlone)
        let sized = self.plan(.sequence([ByteBuffer(string: "piece")], length: 5))
        #expect(sized.announcement == .length(5) && word(sized.content) == "stream")
    }

    @Test(
        "a response without a body announces length 0 and ends with its head", arguments: [HTTPBody.none, .bytes([])])
    func empty(body: HTTPBody) {
        let plan = plan(body)
        #expect(plan.announcement == .length(0) && word(plan.content) == "nothing" && plan.isHeadAlone)
    }

    @Test("a stream of unknown length has open framing")
    func open() {
        let plan = plan(Self.stream)
        #expect(plan.announcement == .open && word(plan.content) == "stream" && !plan.isHeadAlone)
    }

    @Test("HEAD has the framing fields of GET and no content (RFC 9110, section 9.3.2)")
    func head() {
        for (body, trailers) in [(HTTPBody.text("hello"), nil), (Self.stream, Self.trailers), (.none, Self.trailers)] {
            let get = plan(body, trailers: trailers)
            let head = plan(body, trailers: trailers, to: .head)
            #expect(head.announcement == get.announcement)
            #expect(word(head.content) == "nothing" && head.trailers == nil && head.isHeadAlone)
        }
    }

    @Test("204 and 304 have no framing fields and no content (RFC 9110, section 8.6)", arguments: [204, 304])
    func bodiless(code: Int) {
        let plan = plan(.text("hello"), status: HTTPStatus(code), trailers: Self.trailers)
        #expect(plan.announcement == .nothing && word(plan.content) == "nothing")
        #expect(plan.trailers == nil && plan.isHeadAlone)
    }

    @Test("trailers follow a body, or stand alone")
    func trailers() {
        let behind = plan(Self.stream, trailers: Self.trailers)
        #expect(behind.trailers?["X-Sum"] == "1" && behind.announcement == .open)
        let alone = plan(.none, trailers: Self.trailers)
        #expect(alone.announcement == .trailers && alone.trailers != nil && !alone.isHeadAlone)
    }
}
