import Testing

@testable import SkeinMail
