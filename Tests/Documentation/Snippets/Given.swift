// What the code of README and docs takes for granted. None of it is ever executed.

import NIOCore
import SkeinAWS
import SkeinEngine
import SkeinHTTP

/// A value of any type.
func given<T>(_ type: T.Type = T.self) -> T { fatalError("examples are compiled, and not executed") }

var client: SkeinClient { given() }
var request: ServerRequest { given() }
var url: String { "http://localhost:8080/" }
var token: String { given() }
var secret: String { given() }

struct User: Codable { var id = "ada" }
struct Person: Codable { var name = "Ada" }
struct Job: Codable { var id = 7 }
struct Post: Codable {
    var id = 7
    var title = ""
    var author = "Ada"
}
