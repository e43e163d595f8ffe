// Makes the code of README and docs part of a test target, so that it compiles or the build fails.

import Foundation
import PackagePlugin

@main struct SnippetPlugin: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        let root = context.package.directoryURL
        let docs = root.appending(path: "docs")
        let pages =
            [root.appending(path: "README.md")]
            + (try FileManager.default.contentsOfDirectory(at: docs, includingPropertiesForKeys: nil))
            .filter { $0.pathExtension == "md" }.sorted { $0.path < $1.path }
        let tool = try context.tool(named: "snippet-extractor").url
        return pages.map { page in
            let output = context.pluginWorkDirectoryURL.appending(
                path: "\(page.deletingPathExtension().lastPathComponent).swift")
            return .buildCommand(
                displayName: "Extracting the code of \(page.lastPathComponent)", executable: tool,
                arguments: [page.path, output.path], inputFiles: [page], outputFiles: [output])
        }
    }
}
