// Finds the Python for the apps, and its library.

import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif
import Foundation

/// A Python that was found.
struct PythonLibrary: Equatable {
    /// The program, of the virtual environment if there is one.
    let executable: String
    /// Such as `3.11`.
    let version: String
    /// Possible paths of its library, the most likely first.
    let candidates: [String]

    /// Facts that a Python program reports.
    private struct Facts: Decodable {
        let executable: String
        let version: [Int]
        let names: [String]
        let folders: [String]
    }

    private static let question = """
        import json, os, sys, sysconfig
        get = sysconfig.get_config_var
        names = [get("INSTSONAME"), get("LDLIBRARY"), "libpython%d.%d%s.so.1.0" % (*sys.version_info[:2], sys.abiflags)]
        folders = [get("LIBDIR"), os.path.join(get("LIBDIR") or "", get("MULTIARCH") or ""), sys.base_prefix + "/lib",
            "/usr/lib/" + (get("MULTIARCH") or ""), "/usr/lib64", "/usr/lib", "/usr/local/lib"]
        print(json.dumps({"executable": sys.executable, "version": list(sys.version_info[:2]),
            "names": [name for name in names if name and (".so" in name or ".dylib" in name)],
            "folders": [folder for folder in folders if folder]}))
        """

    /// Runs a Python program to find its library.
    /// - Parameter environment: a virtual environment, a program, or nil for `VIRTUAL_ENV`, `.venv` or `venv` in the folder, or `python3` on the PATH.
    /// - Throws: code 701, with a suggestion.
    init(environment: String?, folder: String) throws(SkeinError) {
        let program = try Self.program(environment, folder)
        let answer = try Self.ask(program)
        let facts: Facts
        do {
            facts = try JSONDecoder().decode(Facts.self, from: answer)
        } catch {
            throw SkeinError(.exception, because: "\(program) does not answer as Python 3 does")
        }
        guard facts.version.count == 2, facts.version[0] == 3, facts.version[1] >= 9 else {
            let found = facts.version.map(String.init).joined(separator: ".")
            throw SkeinError(.exception, because: "\(program) is Python \(found); 3.9 or newer is required")
        }
        executable = facts.executable
        version = facts.version.map(String.init).joined(separator: ".")
        var candidates: [String] = []
        for path in facts.folders.flatMap({ folder in facts.names.map { "\(folder)/\($0)" } })
        where !candidates.contains(path) && access(path, R_OK) == 0 { candidates.append(path) }
        self.candidates = candidates
        guard !candidates.isEmpty else {
            throw SkeinError(
                .exception,
                because:
                    "the shared library of \(executable) is missing: install libpython\(version) (apt install libpython\(version)), or a Python that was built with --enable-shared"
            )
        }
    }

    private static func program(_ environment: String?, _ folder: String) throws(SkeinError) -> String {
        if let environment {
            for path in ["\(environment)/bin/python3", "\(environment)/bin/python", environment] where isProgram(path) {
                return path
            }
            throw SkeinError(
                .exception,
                because: "\(environment.debugDescription) is neither a virtual environment nor a Python program")
        }
        let variables = ProcessInfo.processInfo.environment
        let near = [variables["VIRTUAL_ENV"], "\(folder)/.venv", "\(folder)/venv"].compactMap(\.self)
        if let found = near.map({ "\($0)/bin/python3" }).first(where: isProgram) { return found }
        let path = variables["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        guard
            let found = path.splitBytes(separator: ":").map({ "\($0)/python3" }).first(where: isProgram)
        else {
            throw SkeinError(
                .exception, because: "there is no python3 on the PATH; install it, or name a virtual environment")
        }
        return found
    }

    private static func isProgram(_ path: String) -> Bool {
        var facts = stat()
        return stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
    }

    private static func ask(_ program: String) throws(SkeinError) -> Data {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = ["-I", "-c", question]
        process.standardOutput = output
        process.standardInput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        do {
            try process.run()
        } catch {
            throw SkeinError(.exception, because: "\(program) cannot be run: \(error.localizedDescription)")
        }
        let answer = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw SkeinError(.exception, because: "\(program) is not Python: it does not run a line of Python")
        }
        return answer
    }
}
