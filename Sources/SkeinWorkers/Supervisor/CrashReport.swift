// The report that a worker leaves when it crashes.

import CSkeinWorkers
import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// How a process has ended.
package enum ProcessEnd: Equatable, Sendable, CustomStringConvertible {
    case code(Int)
    case signal(Int)

    init?(status: CInt) {
        var (code, signal): (CInt, CInt) = (0, 0)
        guard skein_has_exited(status, &code, &signal) else { return nil }
        self = signal != 0 ? .signal(Int(signal)) : .code(Int(code))
    }

    /// `signal 11 (SIGSEGV)` or `exit code 1`.
    package var description: String {
        switch self {
        case .code(let code): "exit code \(code)"
        case .signal(let signal): Self.names[CInt(signal)].map { "signal \(signal) (\($0))" } ?? "signal \(signal)"
        }
    }

    private static let names: [CInt: String] = [
        SIGSEGV: "SIGSEGV", SIGBUS: "SIGBUS", SIGILL: "SIGILL", SIGFPE: "SIGFPE", SIGTRAP: "SIGTRAP",
        SIGABRT: "SIGABRT", SIGKILL: "SIGKILL", SIGTERM: "SIGTERM", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT",
    ]
}

/// The file in memory to which a worker writes when it crashes.
struct CrashReport {
    private static let maximumSize = 64 << 10

    let descriptor: CInt

    init?() {
        let descriptor = skein_memory_file("skein-crash")
        guard descriptor >= 0 else { return nil }
        self.descriptor = FileNumbers.raised(descriptor)
    }

    func end() { close(descriptor) }

    /// The lines of the report, with demangled function names; empty when there was no crash.
    /// - Parameter program: the file of the program.
    func lines(program: String) -> [String] {
        var bytes = [UInt8](repeating: 0, count: Self.maximumSize)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return [] }
        return Self.readable(
            String(decoding: bytes[..<count], as: UTF8.self).splitBytes(separator: "\n").map(String.init),
            program: program)
    }

    /// Lines of `backtrace_symbols_fd`, which are `file(symbol+0x1f) [0x…]`, or `file(+0x1f) [0x…]` where the file exports no symbol.
    static func readable(_ lines: [String], program: String) -> [String] {
        let frames = lines.map(Frame.init)
        // The frames of the program itself, whose name is its title.
        let own = frames.indices.filter { index in
            frames[index].map { $0.symbol.isEmpty && !$0.file.hasBytePrefix("/") } ?? false
        }
        let offsets = own.compactMap { frames[$0]?.offset }
        var names = [UnsafeMutablePointer<CChar>?](repeating: nil, count: own.count)
        var starts = [UInt64](repeating: 0, count: own.count)
        skein_symbols(program, offsets, offsets.count, &names, &starts)
        defer { for name in names { free(name) } }
        return lines.indices.map { index in
            guard var frame = frames[index] else { return lines[index] }
            if let place = own.firstIndex(of: index), let name = names[place] {
                frame.symbol = String(cString: name)
                frame.offset -= starts[place]
            }
            return frame.text
        }
    }

    private struct Frame {
        let file: Substring
        var symbol: String
        var offset: UInt64

        init?(_ line: String) {
            // The requests in progress contain text from clients.
            guard !line.hasBytePrefix("under way: "), let open = line.lastByte("("), let plus = line.lastByte("+"),
                let end = line.lastByte(")"), open < plus, plus < end,
                case let number = line[line.utf8.index(after: plus)..<end], number.hasBytePrefix("0x"),
                let offset = UInt64(String(number.droppingBytes(first: 2)), radix: 16)
            else { return nil }
            file = line[..<open]
            symbol = String(line[line.utf8.index(after: open)..<plus])
            self.offset = offset
        }

        var text: String {
            let name = file.hasBytePrefix("/") ? file.splitBytes(separator: "/").last ?? file : "program"
            return symbol.isEmpty
                ? "\(name) + 0x\(String(offset, radix: 16))" : "\(name): \(Self.demangled(symbol)) + \(offset)"
        }

        private static func demangled(_ symbol: String) -> String {
            var symbol = symbol
            let demangled = symbol.withUTF8 { bytes in
                bytes.withMemoryRebound(to: CChar.self) { skein_demangle($0.baseAddress, $0.count) }
            }
            defer { free(demangled) }
            return demangled.map { String(cString: $0) } ?? symbol
        }
    }
}
