// Responds with a file: whole, in ranges, compressed, or with 304.

import NIOCore
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

extension FileApp {
    func file(_ place: String, _ state: FileState, _ request: ServerRequest) throws -> ServerResponse {
        try Self.requireReading(request)
        let type = type(of: place)
        let isText = Self.isCompressible(type)
        let range = request.headers["Range"]
        // Ranges apply to the uncompressed file, so that they fit together across requests.
        if range == nil, isText || configuration.usesCompressedSiblings, request.headers.contains("Accept-Encoding") {
            if let coded = try coded(place, state, type, isText, request) { return coded }
        }
        let image: FileImage
        if let known = cache.image(place, nil, state) {
            image = known
        } else {
            try Self.requireThread()
            guard let file = try open(place) else { throw NotServed() }
            image = self.image(file, place, type, varies: isText)
        }
        if let answer = settled(image, request, place) { return answer }
        var response = ServerResponse(headers: image.headers)
        complete(&response, place)
        let length = image.state.size
        if let range, Preconditions.allowsRange(request.headers, image.validators), request.method == .get {
            switch ByteRanges(range, length: length) {
            case .whole: break
            case .unsatisfiable:
                throw ServerError(
                    416, "the file has \(length) bytes", headers: ["Content-Range": "bytes */\(length)"])
            case .parts(let parts): return try partial(response, parts, image, place)
            }
        }
        if let bytes = image.bytes {
            response.body = .bytes(bytes, contentType: image.type)
        } else {
            guard let file = try open(place), file.state == image.state else { throw NotServed() }
            response.send(file, 0..<length, type: image.type)
        }
        return response
    }

    /// The compressed file, if it exists or is worth making; nil to send it uncompressed.
    private func coded(
        _ place: String, _ state: FileState, _ type: String, _ isText: Bool, _ request: ServerRequest
    ) throws -> ServerResponse? {
        let accepted = AcceptedCodings(request.headers)
        let endings: [(ContentCoding, String)] = [(.brotli, ".br"), (.zstd, ".zst"), (.gzip, ".gz")]
        if configuration.usesCompressedSiblings {
            let there = endings.filter {
                FileState.at(root + place + $0.1).map { $0.isFile && $0.modified >= state.modified } ?? false
            }
            if let best = accepted.best(of: there.map(\.0)), let ending = there.first(where: { $0.0 == best })?.1,
                let sibling = try open(place + ending)
            {
                let image = self.image(sibling, place + ending, type, coding: best, varies: true)
                if let answer = settled(image, request, place) { return answer }
                var response = ServerResponse(headers: image.headers)
                complete(&response, place)
                if let bytes = image.bytes {
                    response.body = .bytes(bytes, contentType: type)
                } else {
                    response.send(sibling, 0..<sibling.state.size, type: type)
                }
                return response
            }
        }
        guard configuration.compresses, isText, state.size >= 512,
            let coding = accepted.best(of: [.brotli, .zstd, .gzip])
        else { return nil }
        if let image = cache.image(place, coding, state) {
            if let answer = settled(image, request, place) { return answer }
            return respond(image, place)
        }
        try Self.requireThread()
        guard let file = try open(place) else { return nil }
        let validators = Validators(tag: file.state.tag(coding), modified: file.state.modified)
        let fields = fields(validators, coding: coding, varies: true, takesRanges: false)
        if file.state.size <= FileCache.maximumFile {
            guard let plain = file.read(0..<file.state.size) else { return nil }
            let image = FileImage(
                state: file.state, coding: coding, validators: validators, type: type, headers: fields,
                bytes: ContentEncoder.encode(plain, coding))
            cache.keep(image, place)
            if let answer = settled(image, request, place) { return answer }
            return respond(image, place)
        }
        @Sendable func image(_ bytes: ByteBuffer?) -> FileImage {
            FileImage(
                state: file.state, coding: coding, validators: validators, type: type, headers: fields, bytes: bytes)
        }
        if let answer = settled(image(nil), request, place) { return answer }
        let scope = request.scope
        guard request.method != .head, let permit = scope.owner.context.encoders.take(for: scope.peer.number) else {
            return nil  // uncompressed
        }
        var response = ServerResponse(headers: fields)
        complete(&response, place)
        // A copy compressed once is sent from memory the next time.
        response.body = HTTPBody.stream(file.pieces(0..<file.state.size), contentType: type).compressed(
            coding, holding: permit, keeping: cache.room
        ) { [cache] in cache.keep(image($0), place) }
        return response
    }

    private func respond(_ image: FileImage, _ place: String) -> ServerResponse {
        var response = ServerResponse(headers: image.headers)
        complete(&response, place)
        response.body = .bytes(image.bytes ?? ByteBuffer(), contentType: image.type)
        return response
    }

    /// The response by the preconditions of a request; nil when the file has to be sent.
    private func settled(_ image: FileImage, _ request: ServerRequest, _ place: String) -> ServerResponse? {
        switch Preconditions.weigh(request.headers, request.method, image.validators) {
        case .proceed: return nil
        case .failed: return ServerResponse(412, headers: ["ETag": image.validators.tag])
        case .notModified:
            var response = ServerResponse(.notModified, headers: image.headers)
            complete(&response, place)
            return response
        }
    }

    /// Ranges of a file: one directly, several as a multipart message (RFC 9110, section 14.6).
    private func partial(
        _ whole: ServerResponse, _ parts: [Range<Int>], _ image: FileImage, _ place: String
    ) throws -> ServerResponse {
        var response = whole
        response.status = .partialContent
        guard let file = try open(place), file.state == image.state else { throw NotServed() }
        func field(_ part: Range<Int>) -> String {
            "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(image.state.size)"
        }
        if parts.count == 1 {
            response.headers["Content-Range"] = field(parts[0])
            response.send(file, parts[0], type: image.type)
            return response
        }
        let boundary = Hex.random(12)
        let heads = parts.map { part in
            ByteBuffer(string: "--\(boundary)\r\nContent-Type: \(image.type)\r\nContent-Range: \(field(part))\r\n\r\n")
        }
        let end = ByteBuffer(string: "--\(boundary)--\r\n")
        let length = zip(parts, heads).reduce(end.readableBytes) { $0 + $1.0.count + $1.1.readableBytes + 2 }
        response.body = .stream(
            PartedFile(file: file, parts: Array(zip(heads, parts)), end: end), length: length,
            contentType: "multipart/byteranges; boundary=\(boundary)")
        return response
    }

    /// The fields of an open file, and its content if it is small; cached for the next request.
    private func image(
        _ file: ServedFile, _ place: String, _ type: String, coding: ContentCoding? = nil, varies: Bool
    ) -> FileImage {
        if let known = cache.image(place, coding, file.state) { return known }
        let validators = Validators(tag: file.state.tag(coding), modified: file.state.modified)
        let image = FileImage(
            state: file.state, coding: coding, validators: validators, type: type,
            headers: fields(validators, coding: coding, varies: varies, takesRanges: coding == nil),
            bytes: file.state.size <= FileCache.maximumFile ? file.read(0..<file.state.size) : nil)
        cache.keep(image, place)
        return image
    }

    private func fields(_ validators: Validators, coding: ContentCoding?, varies: Bool, takesRanges: Bool) -> Headers {
        var headers: Headers = [
            "Last-Modified": CivilTime(validators.modified).httpDate, "ETag": validators.tag,
            "X-Content-Type-Options": "nosniff",
        ]
        if takesRanges { headers.add("Accept-Ranges", "bytes") }
        if varies { headers.add("Vary", "Accept-Encoding") }
        if let coding { headers.add("Content-Encoding", coding.rawValue) }
        return headers
    }

    /// Adds the cache lifetime.
    private func complete(_ response: inout ServerResponse, _ place: String) {
        guard let age = ages.first(where: { place.hasBytePrefix($0.prefix) })?.age else { return }
        response.headers.add("Cache-Control", "max-age=\(age)")
        response.headers.add("Expires", CivilTime(time(nil) + age).httpDate)
    }

    /// Opens a file that may be served.
    private func open(_ place: String) throws(ServerError) -> ServedFile? {
        guard let file = try ServedFile(root + place) else { return nil }
        guard configuration.links != .followed else { return file }
        guard let real = file.realPath else { return nil }
        switch configuration.links {
        case .refused: return real.equalsBytes(root + place) || root == "/" && real.equalsBytes(place) ? file : nil
        case .inside: return isBelowRoot(real) ? file : nil
        case .followed: return file
        }
    }

    func isInside(folder: String) -> Bool {
        guard configuration.links != .followed else { return true }
        guard let real = Self.realPath(folder) else { return false }
        return real.equalsBytes(root) || isBelowRoot(real)
    }

    private static func realPath(_ path: String) -> String? {
        guard let real = FileName.withPath(path, { realpath($0, nil) }) else { return nil }
        defer { free(real) }
        return EscapedBytes.text(UnsafeRawBufferPointer(start: real, count: strlen(real)))
    }

    /// Whether a name in a folder leads to a readable file or folder, without a link to the outside.
    func serves(_ path: String, _ state: FileState) -> Bool {
        guard state.isFile || state.isFolder else { return false }
        guard FileName.withPath(path, { access($0, state.isFolder ? R_OK | X_OK : R_OK) }) == 0 else { return false }
        switch configuration.links {
        case .followed: return true
        case .inside: return Self.realPath(path).map { isBelowRoot($0) } ?? false
        case .refused: return state.isFolder ? isInside(folder: path) : Self.realPath(path)?.equalsBytes(path) ?? false
        }
    }

    private func isBelowRoot(_ path: String) -> Bool { path.hasBytePrefix(root == "/" ? "/" : root + "/") }

    private func type(of place: String) -> String {
        if !configuration.types.isEmpty, let dot = place.lastByte(".") {
            if let own = configuration.types[place.text(after: dot).lowercased()] { return own }
        }
        return MediaType.guess(place)
    }

    /// Whether content of a type is worth compressing.
    static func isCompressible(_ type: String) -> Bool {
        let type = MediaType.split(type).value
        return type.hasBytePrefix("text/") && type != "text/event-stream" || type.hasByteSuffix("+xml")
            || type.hasByteSuffix("+json")
            || ["application/json", "application/xml", "application/wasm", "application/javascript", "image/x-icon"]
                .contains(type)
    }
}

extension ServerResponse {
    /// A file on the disk, with the preconditions of the request evaluated.
    /// - Parameters:
    ///   - path: the file. It must come from the program, never from a client: nothing is checked.
    ///   - contentType: its media type. Default: by the extension of its name.
    ///   - downloadName: if set, browsers save the file under this name instead of showing it. Default: none.
    /// - Throws: ``ServerError`` 404 when there is no such file.
    public static func file(
        _ path: String, contentType: String? = nil, downloadName: String? = nil
    ) throws(ServerError) -> ServerResponse {
        guard let file = try ServedFile(path) else { throw ServerError(.notFound, "the file does not exist") }
        var response = ServerResponse(headers: ["Last-Modified": CivilTime(file.state.modified).httpDate])
        if let downloadName {
            let plain = String(
                decoding: downloadName.utf8.filter { (0x20..<0x7F).contains($0) && $0 != 0x22 && $0 != 0x5C },
                as: UTF8.self)
            response.headers["Content-Disposition"] =
                "attachment; filename=\"\(plain)\"; filename*=UTF-8''\(Percent.encodeUnreserved(downloadName))"
        }
        response.send(file, 0..<file.state.size, type: contentType ?? MediaType.guess(path))
        return response
    }

    /// Sends a range of an open file as the content, so that the kernel can send it.
    /// - Parameter descriptor: a regular file; it is closed after the response, or at once when it is not regular.
    /// - Returns: whether it is a regular file, with such a range.
    package mutating func send(owning descriptor: CInt, _ range: Range<Int>) -> Bool {
        guard let file = ServedFile(owning: descriptor), range.upperBound <= file.state.size else { return false }
        send(file, range, type: nil)
        return true
    }

    /// Sends a range of a file as the content.
    mutating func send(_ file: ServedFile, _ range: Range<Int>, type: String?) {
        body = .stream(file.pieces(range), length: range.count, contentType: type)
        fileRange = file.pieces(range)
    }
}

/// Ranges of a file, each after its part header.
private struct PartedFile: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    let file: ServedFile
    let parts: [(head: ByteBuffer, range: Range<Int>)]
    let end: ByteBuffer

    struct AsyncIterator: AsyncIteratorProtocol {
        let source: PartedFile
        var next = 0
        var pieces: FileRange.AsyncIterator?

        mutating func next() async throws -> ByteBuffer? {
            if let piece = try await pieces?.next() { return piece }
            defer { next += 1 }
            if pieces != nil {
                pieces = nil
                next -= 1
                return ByteBuffer(string: "\r\n")
            }
            guard next < source.parts.count else { return next == source.parts.count ? source.end : nil }
            pieces = source.file.pieces(source.parts[next].range).makeAsyncIterator()
            return source.parts[next].head
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(source: self) }
}
