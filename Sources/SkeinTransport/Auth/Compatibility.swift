// Unicode compatibility normalization, which needs the full Foundation.

import Foundation

enum Compatibility {
    /// Normalization form KC.
    static func normalized(_ text: String) -> String { text.precomposedStringWithCompatibilityMapping }
}
