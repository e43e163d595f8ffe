// What can be set for a folder that is served.

import SkeinHTTP

/// How the files of a folder are served.
public struct FileConfiguration: Sendable {
    /// What is done about symbolic links.
    public enum Links: Sendable, Hashable {
        /// Nothing is served through one.
        case refused
        /// They are followed as long as they lead to something in the folder.
        case inside
        /// They are followed wherever they lead.
        case followed
    }

    /// Files that stand for their folder, the first that is there. Default: `index.html`.
    public var index = ["index.html"]
    /// Whether a folder without such a file is answered with a list of what is in it. Default: false.
    public var listsFolders = false
    /// The file that answers where there is none, for pages that find their own way: `index.html`. It answers those who want a page,
    /// GET and HEAD only. Default: none.
    public var fallback: String?
    /// What is done about symbolic links. Default: followed inside of the folder.
    public var links = Links.inside
    /// Whether files and folders are served whose names begin with a dot; `.well-known` always is. Default: false.
    public var servesHidden = false
    /// How long clients may keep files without asking again, by the start of their path below the mount; the longest counts. `/`
    /// is all. Default: nothing is said, and clients ask.
    public var maximumAge: [String: Duration] = [:]
    /// Whether `style.css.br`, `.zst` and `.gz` are sent for `style.css` to those who take them, if they are not older. Default: true.
    public var usesCompressedSiblings = true
    /// Whether text is made smaller on its way, for those who take it. Default: true.
    public var compresses = true
    /// Types of files by the endings of their names, in small letters, before those that are known.
    public var types: [String: String] = [:]
    /// Bytes of small files, and of compressed copies of larger ones, kept in memory, all together. Default: 32 MiB; 0 for none.
    public var memory = 32 << 20

    /// The defaults.
    public init() {}
}
