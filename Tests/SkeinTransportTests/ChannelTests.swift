import NIOCore
import SkeinTransport
import Testing

/// The common behaviour of all connections over a channel.
@Suite("Channel sides")
struct ChannelTests {
    @Test("reading resumes when the last reason to pause is removed, in any order")
    func gate() {
        var gate = ReadGate()
        #expect(gate.isOpen)
        #expect(gate.hold(.consumer, nil) == true)
        #expect(gate.hold(.backlog, nil) == false)
        #expect(gate.release(.output, nil) == false, "nobody gave that one")
        #expect(gate.release(.consumer, nil) == false)
        #expect(!gate.isOpen)
        #expect(gate.release(.backlog, nil) == true)
        #expect(gate.isOpen)
        #expect(gate.release(.backlog, nil) == false)
        gate.hold([.consumer, .output], nil)
        #expect(gate.open(nil) == true)
        #expect(gate.open(nil) == false)
    }

    @Test("output is taken once; later output starts a new buffer")
    func buffer() {
        var output = OutputBuffer()
        #expect(output.take() == nil)
        output.bytes.writeString("one")
        output.bytes.writeString(" two")
        #expect(output.count == 7 && output.bytes == ByteBuffer(string: "one two"))
        #expect(output.take() == ByteBuffer(string: "one two"))
        #expect(output.count == 0 && output.take() == nil && output.bytes.readableBytes == 0)
        output.bytes.writeString("three")
        #expect(output.take() == ByteBuffer(string: "three"))
    }

    @Test("the memory of one large message is released with it")
    func large() {
        var output = OutputBuffer(largestKept: 1000)
        output.bytes.writeRepeatingByte(1, count: 100)
        _ = output.take()
        output.bytes.writeInteger(UInt8(1))
        #expect(output.bytes.capacity >= 100)
        output.bytes.writeRepeatingByte(1, count: 5000)
        _ = output.take()
        output.bytes.writeInteger(UInt8(1))
        #expect(output.bytes.capacity < 1000)
    }
}
