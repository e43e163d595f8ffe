// The engine's client for apps in Python.

extension PythonSource {
    static let client = #"""
        pass
        """#
}
