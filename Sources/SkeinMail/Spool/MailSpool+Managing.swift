// Operations of people and of the agent on the messages of a spool.

import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension MailSpool {
    /// The IDs of the messages in a state, unordered.
    /// - Parameters:
    ///   - limit: the maximum number.
    ///   - isWanted: filters the IDs.
    package func names(
        _ state: State, limit: Int = .max, where isWanted: (MailID) -> Bool = { _ in true }
    ) -> [MailID] {
        var names: [MailID] = []
        Self.eachName("\(folder)/\(state.rawValue)") { name in
            if let id = MailID(name), isWanted(id) { names.append(id) }
            return names.count < limit
        }
        return names
    }

    /// Calls a closure with each name of a folder, until it returns false.
    static func eachName(_ folder: String, _ work: (String) -> Bool) {
        guard let stream = opendir(folder) else { return }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard !name.hasBytePrefix(".") else { continue }
            guard work(name) else { return }
        }
    }

    /// Opens a message in any state; nil when it does not exist.
    package func open(_ id: MailID) throws(SkeinError) -> (state: State, file: SpoolFile)? {
        for state in [State.new, .queue, .hold, .failed, .queue] where access(path(state, id), F_OK) == 0 {
            do throws(SkeinError) {
                return (state, try SpoolFile(path(state, id)))
            } catch {
                // It may have been moved since.
                if !error.isMissingFile { throw error }
            }
        }
        return nil
    }

    /// Moves a message.
    /// - Returns: whether it existed.
    func move(_ id: MailID, from: State, to: State) -> Bool { rename(path(from, id), path(to, id)) == 0 }

    /// Removes a message.
    /// - Returns: whether it existed.
    func remove(_ id: MailID, from state: State, bytes: Int) -> Bool {
        guard unlink(path(state, id)) == 0 else { return false }
        usage.remove(count: 1, bytes: bytes)
        return true
    }

    /// Records that the message with a key was delivered, before its file is deleted.
    func rememberKey(_ id: MailID) throws(SkeinError) { _ = try MailFile(changingOrCreating: "\(folder)/keys/\(id)") }

    // MARK: For people

    /// Releases a message for an immediate attempt.
    /// - Returns: whether there is a message that can be released.
    package func retry(_ id: MailID) throws(SkeinError) -> Bool {
        guard let (state, file) = try open(id) else { return false }
        if state == .failed {
            var changes: [Int: SpoolFile.Mark] = [:]
            for (index, mark) in file.marks.enumerated() where mark == .failed { changes[index] = .pending }
            try file.mark(changes)
        }
        try file.schedule(attempts: state == .failed ? 0 : file.attempts, due: 0)
        // The agent takes in new messages.
        return state == .new || move(id, from: state, to: .new)
    }

    /// Puts a message on hold.
    package func hold(_ id: MailID) -> Bool { move(id, from: .queue, to: .hold) || move(id, from: .new, to: .hold) }

    /// Removes a message for good.
    package func delete(_ id: MailID) throws(SkeinError) -> Bool {
        do throws(SkeinError) {
            guard let (state, file) = try open(id) else { return false }
            return remove(id, from: state, bytes: file.storedLength)
        } catch {
            // Invalid files can be removed, too; the agent corrects the count.
            return State.allCases.contains { remove(id, from: $0, bytes: 0) }
        }
    }

    // MARK: Cleanup

    /// Counts the messages, and deletes unfinished files and expired ones.
    /// - Parameter failedFor: how long failed messages are retained.
    package func tidy(failedFor: Duration = .seconds(30 * 86_400)) {
        let now = CivilTime.now
        Self.removeOld("\(folder)/tmp", before: now - 86_400)
        removeAbandoned()
        Self.removeOld("\(folder)/keys", before: now - 7 * 86_400)
        Self.removeOld("\(folder)/failed", before: now - failedFor.clampedMilliseconds / 1000)
        Self.eachName("\(folder)/reports") { name in
            Self.removeOld("\(folder)/reports/\(name)", before: now - 7 * 86_400)
            return true
        }
        var (count, bytes) = (0, 0)
        for state in State.allCases {
            let folder = "\(folder)/\(state.rawValue)"
            Self.eachName(folder) { name in
                var facts = stat()
                if lstat("\(folder)/\(name)", &facts) == 0 {
                    count += 1
                    bytes += Int(facts.st_size)
                }
                return true
            }
        }
        usage.set(count: count, bytes: bytes)
    }

    /// Deletes files whose writing processes have ended.
    private func removeAbandoned() {
        Self.eachName("\(folder)/tmp") { name in
            let parts = name.splitBytes(separator: ".")
            if parts.count == 3, let process = pid_t(parts[1]), process > 0, kill(process, 0) != 0, errno == ESRCH {
                unlink("\(folder)/tmp/\(name)")
            }
            return true
        }
    }

    private static func removeOld(_ folder: String, before moment: Int) {
        eachName(folder) { name in
            var facts = stat()
            let path = "\(folder)/\(name)"
            if lstat(path, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG, Int(facts.modified) < moment {
                unlink(path)
            }
            return true
        }
    }
}

extension stat {
    /// When the file was changed, in seconds since 1970.
    fileprivate var modified: Int {
        #if canImport(Darwin)
            st_mtimespec.tv_sec
        #else
            st_mtim.tv_sec
        #endif
    }
}
