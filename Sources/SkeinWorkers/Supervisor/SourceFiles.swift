// The source files of a program in development.

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

enum SourceFiles {
    /// The maximum number of files; a folder with more is not a source folder.
    private static let limit = 10_000

    /// The Python sources of some folders.
    static func ofPython(in folders: [String]) -> [String] { folders.flatMap { find(in: $0, endings: [".py"]) } }

    /// The files of a folder and its subfolders, in alphabetical order; without hidden files, Python environments and
    /// web packages.
    static func find(in folder: String, endings: [String]) -> [String] {
        var found: [String] = []
        var folders = [folder]
        while let folder = folders.popLast(), found.count < limit {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            if names.contains("pyvenv.cfg") { continue }
            for name in names.sorted()
            where !name.hasBytePrefix(".") && !["node_modules", "__pycache__"].contains(name) {
                let path = "\(folder)/\(name)"
                if endings.contains(where: { name.hasByteSuffix($0) }) {
                    found.append(path)
                } else if !name.containsByte("."), isFolder(path) {
                    folders.append(path)
                }
            }
        }
        return found
    }

    private static func isFolder(_ path: String) -> Bool {
        var isFolder = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder
    }
}
