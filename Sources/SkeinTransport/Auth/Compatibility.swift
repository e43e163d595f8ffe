// Unicode's compatibility form, which only the whole of Foundation knows.

import Foundation

enum Compatibility {
    /// Normalization form KC.
    static func normalized(_ text: String) -> String { text.precomposedStringWithCompatibilityMapping }
}
