import NIOCore
import SkeinHTTP
import Testing

/// The table of an origin's pool: (state, event) → actions.
@Suite("Pool of an origin")
struct OriginPoolMachineTests {
    final class Serial: SerialMember {
        let name: String
        var isOffered = false
        var usable = true
        var pipelines = false
        init(_ name: String = "c") { self.name = name }
        func isUsable(at now: NIODeadline) -> Bool { usable }
        func canPipeline(at now: NIODeadline) -> Bool { pipelines }
    }
    final class Multiplexed: MultiplexedMember {
        var takesRequests = true
        var hasRoom = true
        var isSettled = true
        var capacity = 2
    }
    final class Call: OriginCall {
        var isOver = false
        var mayFollow = true
    }
    typealias Machine = OriginPoolMachine<Serial, Multiplexed, Call>

    private let now = NIODeadline.uptimeNanoseconds(1)

    private func machine(_ version: OriginVersion = .http1, serial: Int = 2, depth: Int = 1, multiplexed: Int = 1)
        -> Machine
    {
        var limits = Machine.Limits()
        limits.serial = serial
        limits.pipelineDepth = depth
        limits.multiplexed = multiplexed
        limits.streams = 2
        return Machine(version, limits)
    }

    /// All pending actions of the machine as text; requests sent on a connection stay on it.
    private func actions(_ machine: inout Machine) -> [String] {
        var names: [String] = []
        while let action = machine.next(at: now), names.count < 20 {
            switch action {
            case .send(_, let member): names.append("send \(member.name)")
            case .multiplex(_, let member):
                names.append("multiplex")
                member.hasRoom = false
            case .connect: names.append("connect")
            case .close(let member): names.append("close \(member.name)")
            }
        }
        return names
    }

    // MARK: HTTP/1.1

    @Test("waiting requests get connections, up to the limit")
    func connects() {
        var machine = machine()
        for _ in 0..<3 { machine.enqueue(Call()) }
        #expect(actions(&machine) == ["connect", "connect"])
        machine.connected(Serial("a"))
        #expect(actions(&machine) == ["send a"])
        machine.connected(Serial("b"))
        #expect(actions(&machine) == ["send b"] && !machine.isEmpty)
    }

    @Test("the most recently used connection is taken first, without waiting")
    func reuse() {
        var machine = machine()
        let (a, b) = (Serial("a"), Serial("b"))
        for member in [a, b] {
            machine.enqueue(Call())
            _ = actions(&machine)
            machine.connected(member)
            _ = actions(&machine)
        }
        machine.isFree(a)
        machine.isFree(b)
        machine.isFree(b)
        guard case .send(_, let member)? = machine.place(Call(), at: now) else {
            Issue.record("no connection")
            return
        }
        #expect(member === b)
        a.usable = false
        #expect(machine.place(Call(), at: now) == nil, "b is busy, once freed twice or not")
        machine.enqueue(Call())
        #expect(actions(&machine) == ["close a"], "b counts until it is gone")
        machine.isGone(a)
        #expect(actions(&machine) == ["connect"])
    }

    @Test("a waiting request is served before a new one, and not at all when it is over")
    func order() {
        var machine = machine(serial: 1)
        let (first, second) = (Call(), Call())
        machine.enqueue(first)
        machine.enqueue(second)
        #expect(actions(&machine) == ["connect"])
        let connection = Serial()
        machine.connected(connection)
        #expect(machine.place(Call(), at: now) == nil)
        first.isOver = true
        guard case .send(let sent, _)? = machine.next(at: now) else {
            Issue.record("nothing is sent")
            return
        }
        #expect(sent === second)
    }

    @Test("pipelining starts at the connection limit, only behind requests that allow it")
    func pipelining() {
        var machine = machine(serial: 1, depth: 4)
        machine.enqueue(Call())
        _ = actions(&machine)
        let connection = Serial("a")
        machine.connected(connection)
        #expect(actions(&machine) == ["send a"])
        machine.enqueue(Call())
        #expect(actions(&machine) == [])
        connection.pipelines = true
        #expect(actions(&machine) == ["send a"])
        let alone = Call()
        alone.mayFollow = false
        machine.enqueue(alone)
        #expect(actions(&machine) == [])
        machine.isFree(connection)
        #expect(actions(&machine) == ["send a"])
    }

    @Test("a failed attempt fails one request")
    func fails() {
        var machine = machine()
        let (first, second) = (Call(), Call())
        machine.enqueue(first)
        machine.enqueue(second)
        _ = actions(&machine)
        #expect(machine.connectFailed().map(ObjectIdentifier.init) == [ObjectIdentifier(first)])
        second.isOver = true
        #expect(machine.connectFailed().isEmpty && machine.isEmpty)
    }

    @Test("a retired pool keeps no connections, but serves waiting requests")
    func retired() {
        var machine = machine(serial: 1)
        machine.enqueue(Call())
        machine.enqueue(Call())
        _ = actions(&machine)
        machine.retire()
        let connection = Serial("a")
        machine.connected(connection)
        #expect(actions(&machine) == ["send a"])
        machine.isFree(connection)
        #expect(actions(&machine) == ["send a"])
        machine.isFree(connection)
        #expect(actions(&machine) == ["close a"])
        machine.isGone(connection)
        #expect(machine.isEmpty)
        machine.enqueue(Call())
        #expect(machine.shutdown().count == 1 && machine.isEmpty)
    }

    @Test("a connection established after the shutdown is closed")
    func late() {
        var machine = machine()
        machine.enqueue(Call())
        #expect(actions(&machine) == ["connect"] && machine.shutdown().count == 1)
        machine.connected(Serial("a"))
        #expect(actions(&machine) == ["close a"])
    }

    // MARK: HTTP/2

    @Test("one connection is opened to learn the server's stream limit")
    func capacity() {
        var machine = machine(.http2, multiplexed: 3)
        for _ in 0..<6 { machine.enqueue(Call()) }
        #expect(
            actions(&machine) == ["connect", "connect", "connect"], "two streams each, until the server has said it")
        let first = Multiplexed()
        first.capacity = 100
        machine.connected(first)
        #expect(actions(&machine) == ["multiplex"])
        first.hasRoom = true
        guard case .multiplex(_, let member)? = machine.next(at: now) else {
            Issue.record("nothing is sent")
            return
        }
        #expect(member === first)
    }

    @Test("a full connection makes requests wait, a leaving one is replaced")
    func leaving() {
        var machine = machine(.http2)
        let first = Multiplexed()
        machine.enqueue(Call())
        #expect(actions(&machine) == ["connect"])
        machine.connected(first)
        #expect(actions(&machine) == ["multiplex"])
        machine.enqueue(Call())
        #expect(machine.place(Call(), at: now) == nil && actions(&machine) == [])
        first.takesRequests = false
        #expect(actions(&machine) == ["connect"])
        machine.isGone(first)
        #expect(machine.connectFailed().count == 1 && machine.isEmpty)
    }

    @Test("a connection without a stream limit is enough")
    func unlimited() {
        var machine = machine(.http2, multiplexed: 8)
        let first = Multiplexed()
        first.capacity = .max
        machine.enqueue(Call())
        _ = actions(&machine)
        machine.connected(first)
        _ = actions(&machine)
        for _ in 0..<9 { machine.enqueue(Call()) }
        #expect(actions(&machine) == [])
    }

    // MARK: Undecided

    @Test("the first connection decides the version, other requests wait for it")
    func undecided() {
        var machine = machine(.undecided, serial: 6)
        for _ in 0..<3 { machine.enqueue(Call()) }
        #expect(actions(&machine) == ["connect"])
        var failing = machine
        #expect(failing.connectFailed().count == 3, "all wait for the one attempt")
        var old = machine
        old.decide(.http1)
        old.connected(Serial("a"))
        #expect(old.version == .http1 && actions(&old) == ["send a", "connect", "connect"])
        machine.connected(Serial("a"))
        #expect(actions(&machine) == ["send a"], "its request offers the upgrade")
        let successor = Multiplexed()
        machine.upgraded(machine.serial[0], to: successor)
        #expect(machine.version == .http2 && machine.serial.isEmpty && actions(&machine) == ["multiplex"])
    }
}
