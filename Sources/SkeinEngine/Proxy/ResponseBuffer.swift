// A response that is read as fast as it arrives, independently of the client: the driver of `SpillQueue`.

import NIOCore
import NIOPosix
import SkeinCore
import SkeinHTTP
import SkeinWire

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Reads a back end's response into a ``SpillQueue``, from which the client reads.
///
/// Unchecked: used on its shard's loop only.
package final class ResponseBuffer: ByteStreamSource, @unchecked Sendable {
    private let original: BodyStream
    private let shard: Shard
    private let folder: String
    private var queue: SpillQueue
    private var file: SpillFile?
    private var isWriting = false
    private var end: Result<Headers?, any Error>?
    private var isWanted = false
    private var isLeft = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    private init(_ original: BodyStream, _ limits: ResponseBuffering, on shard: Shard) {
        self.original = original
        self.shard = shard
        folder = limits.folder
        queue = SpillQueue(memory: limits.memory, disk: limits.disk)
    }

    /// Starts to read.
    /// - Returns: the stream for the client.
    package static func start(_ original: BodyStream, _ limits: ResponseBuffering, on shard: Shard) -> BodyStream {
        let buffer = ResponseBuffer(original, limits, on: shard)
        let copy = BodyStream(source: buffer)
        let inlet = copy.inlet
        Task(executorPreference: shard.executor) { await buffer.fill() }
        Task(executorPreference: shard.executor) { await buffer.drain(to: inlet) }
        return copy
    }

    // MARK: The back end's side

    private func fill() async {
        do {
            for try await piece in original { try await keep(piece) }
            end = .success(original.ending ?? nil)
        } catch {
            end = .failure(error)
        }
        wake()
    }

    private func keep(_ piece: ByteBuffer) async throws {
        while true {
            switch queue.arrives(piece) {
            case .memory: return wake()
            case .file(let offset):
                guard await write(piece, at: offset) else {
                    queue.fileFailed()
                    continue
                }
                queue.written(piece.readableBytes)
                return wake()
            case .full: await change()
            }
            if isLeft { throw CancellationError() }
        }
    }

    private func write(_ piece: ByteBuffer, at offset: Int) async -> Bool {
        let (opened, folder) = (file, folder)
        let file = try? await NIOThreadPool.singleton.runIfActive(eventLoop: shard.eventLoop) {
            guard let file = opened ?? SpillFile(folder), file.write(piece, at: offset) else { return SpillFile?.none }
            return file
        }.get()
        guard let file = file ?? nil else { return false }
        self.file = file
        return true
    }

    // MARK: The client's side

    private func drain(to inlet: ByteStreamInlet<Headers?>) async {
        while !isLeft {
            switch queue.next() {
            case .bytes(let piece): await pass(piece, to: inlet)
            case .file(let offset, let count):
                let file = self.file
                let piece = try? await NIOThreadPool.singleton.runIfActive(eventLoop: shard.eventLoop) {
                    file?.read(at: offset, count)
                }.get()
                guard let piece = piece ?? nil else {
                    isLeft = true
                    original.cancel()
                    wake()
                    return inlet.fail(SpillFile.failure)
                }
                queue.hasRead(count)
                await pass(piece, to: inlet)
            case .nothing:
                switch end {
                case .success(let trailers): return inlet.finish(trailers)
                case .failure(let error): return inlet.fail(error)
                case nil: await change()
                }
            }
        }
    }

    private func pass(_ piece: ByteBuffer, to inlet: ByteStreamInlet<Headers?>) async {
        let goesOn = inlet.push(piece)
        wake()
        if goesOn { return }
        while !isWanted, !isLeft { await change() }
        isWanted = false
    }

    package func streamWantsMore() { onLoop { $0.isWanted = true } }

    package func streamWasCancelled() {
        original.cancel()
        onLoop { $0.isLeft = true }
    }

    // MARK: Waiting

    private func onLoop(_ change: @escaping @Sendable (ResponseBuffer) -> Void) {
        shard.eventLoop.execute {
            change(self)
            self.wake()
        }
    }

    /// Waits for the next change.
    private func change() async { await withCheckedContinuation { waiting.append($0) } }

    private func wake() {
        let waiting = self.waiting
        self.waiting = []
        for continuation in waiting { continuation.resume() }
    }
}

/// An unnamed file, which is deleted when it is closed.
package final class SpillFile: Sendable {
    static let failure = SkeinError(.exception, because: "a buffered response cannot be read from its file")

    package let descriptor: CInt

    package init?(_ folder: String) {
        var path = Array("\(folder)/skein-XXXXXX".utf8CString)
        descriptor = mkstemp(&path)
        if descriptor < 0 { return nil }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        unlink(path)
    }

    deinit { close(descriptor) }

    package func write(_ bytes: ByteBuffer, at offset: Int) -> Bool {
        bytes.withUnsafeReadableBytes { source in
            var done = 0
            while done < source.count {
                let count = pwrite(
                    descriptor, source.baseAddress?.advanced(by: done), source.count - done, off_t(offset + done))
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return false }
                done += count
            }
            return true
        }
    }

    func read(at offset: Int, _ count: Int) -> ByteBuffer? {
        var bytes = ByteBufferAllocator().buffer(capacity: count)
        while bytes.readableBytes < count {
            let done = bytes.readableBytes
            let read = bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: count - done) { target in
                let read = pread(descriptor, target.baseAddress, count - done, off_t(offset + done))
                return max(0, read)
            }
            if read == 0 {
                if errno == EINTR { continue }
                return nil
            }
        }
        return bytes
    }
}
