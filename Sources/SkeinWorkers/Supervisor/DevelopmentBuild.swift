// Rebuilds a program when its sources have changed, while the old one serves.

import CSkeinWorkers
import Logging
import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A program in the build folder of its package.
struct DevelopmentBuild {
    private let folder: String
    private let product: String
    private let isRelease: Bool
    private let errors: String
    private var sources: FileStates
    private var process: Int32?
    private var isWanted = false
    private var hasSeen: [String]

    /// Nil for a program that is not in a build folder.
    /// - Parameter program: the path of the program, `PACKAGE/.build/…/debug/NAME`.
    init?(program: String) {
        guard let range = program.rangeOfBytes("/.build/") else { return nil }
        let folder = String(program[..<range.lowerBound])
        guard access("\(folder)/Package.swift", R_OK) == 0 else { return nil }
        let parts = program.splitBytes(separator: "/").map(String.init)
        self.folder = folder
        product = parts.last ?? ""
        isRelease = parts.dropLast().last?.equalsBytes("release") ?? false
        errors = Self.errorFile(of: program)
        hasSeen = Self.files(in: folder)
        sources = FileStates(hasSeen)
    }

    /// The file with the compiler's errors while a build fails.
    static func errorFile(of program: String) -> String { "\(program).errors" }

    private static func files(in folder: String) -> [String] {
        // Packages may have their sources anywhere, except in hidden folders, tests, and folders of web files.
        let folders = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter {
            !$0.hasBytePrefix(".") && !["Tests", "node_modules"].contains($0)
        }
        return ["\(folder)/Package.swift"]
            + folders.flatMap { SourceFiles.find(in: "\(folder)/\($0)", endings: [".swift", ".c", ".h"]) }
    }

    /// Begins a build when something has changed. Called once a second.
    mutating func look(_ logger: Logger) {
        let files = Self.files(in: folder)
        if files != hasSeen {
            hasSeen = files
            sources = FileStates(files)
            isWanted = true
        } else if sources.haveChanged() {
            isWanted = true
        }
        guard isWanted, process == nil else { return }
        isWanted = false
        let output = open("\(errors).new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
        guard output >= 0 else { return }
        let high = FileNumbers.raised(output)
        defer { close(high) }
        var given = Given(Listeners())
        given.add(high, as: 1)
        given.add(high, as: 2)
        do throws(SkeinError) {
            process = try given.start(
                program: "/usr/bin/env", title: "env",
                ["", "swift", "build", "--package-path", folder, "--product", product]
                    + (isRelease ? ["-c", "release"] : []),
                [:])
            logger.info("the sources have changed; rebuilding \(product)")
        } catch {
            logger.error("the program cannot be rebuilt: \(error.message)")
        }
    }

    /// A child has ended.
    /// - Returns: whether it was the build.
    mutating func ended(_ child: Int32, _ end: ProcessEnd, _ logger: Logger) -> Bool {
        guard child == process else { return false }
        process = nil
        if end == .code(0) {
            unlink(errors)
            unlink("\(errors).new")
        } else {
            rename("\(errors).new", errors)
            logger.error("the build failed; the old program keeps running, and browsers show the errors")
        }
        return true
    }
}
