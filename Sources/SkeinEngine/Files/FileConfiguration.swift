// Settings of a served folder.

import SkeinHTTP

/// How the files of a folder are served.
public struct FileConfiguration: Sendable {
    /// The handling of symbolic links.
    public enum Links: Sendable, Hashable {
        /// They are not followed.
        case refused
        /// They are followed if the target is inside of the folder.
        case inside
        /// They are always followed.
        case followed
    }

    /// Index files of folders; the first that exists is served. Default: `index.html`.
    public var index = ["index.html"]
    /// Whether a folder without an index file is answered with a listing. Default: false.
    public var listsFolders = false
    /// The file for paths that do not exist, for single-page applications: `index.html`. It is served for GET and HEAD
    /// of clients that prefer HTML. Default: none.
    public var fallback: String?
    /// The handling of symbolic links. Default: followed inside of the folder.
    public var links = Links.inside
    /// Whether files and folders whose names begin with a dot are served; `.well-known` always is. Default: false.
    public var servesHidden = false
    /// The cache lifetime (`max-age`) by path prefix below the mount; the longest prefix applies. `/` is all. Default:
    /// none, clients revalidate.
    public var maximumAge: [String: Duration] = [:]
    /// Whether `style.css.br`, `.zst` and `.gz` are sent for `style.css` to clients that accept the coding, if they are
    /// not older. Default: true.
    public var usesCompressedSiblings = true
    /// Whether text is compressed for clients that accept it. Default: true.
    public var compresses = true
    /// Media types by file extension, in lower case; they take precedence over the known ones.
    public var types: [String: String] = [:]
    /// The memory for small files and compressed copies of larger ones, in bytes. Default: 32 MiB; 0 for none.
    public var memory = 32 << 20

    /// The defaults.
    public init() {}
}
