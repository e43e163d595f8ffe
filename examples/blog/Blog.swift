// A blog on SQLite, with JSON in and out: blog --db blog.sqlite --listen 127.0.0.1:8080

import ArgumentParser
import SkeinEngine
import SkeinEngineCommand
import SkeinSQLite

struct Post: Codable {
    var id: Int?
    var title: String
    var text: String
}

@main struct Blog: EngineCommand {
    @OptionGroup var options: EngineOptions
    @Option(help: "The database.") var db = "blog.sqlite"

    func mount(into engine: inout Engine) async throws {
        let setUp = SkeinClient()
        try await setUp.sqlite(db)
            .execute("CREATE TABLE IF NOT EXISTS post (id INTEGER PRIMARY KEY, title TEXT, text TEXT)").commit()
        await setUp.shutdown()

        engine.get("/posts") { [db] request in
            try await request.skein.sqlite(db).execute("SELECT id, title, text FROM post ORDER BY id").fetch(
                [Post].self)
        }
        engine.get("/posts/<int:id>") { [db] request in
            let id = try request.parameter("id", as: Int.self)
            // None is 404 for the client: one() throws an error that has a status.
            return try await request.skein.sqlite(db)
                .execute("SELECT id, title, text FROM post WHERE id = \(id)").one(Post.self)
        }
        engine.post("/posts") { [db] request in
            let post = try await request.json(Post.self)
            return try await request.skein.sqlite(db)
                .execute(
                    "INSERT INTO post (title, text) VALUES (\(post.title), \(post.text)) RETURNING id, title, text"
                )
                .one(Post.self)
        }
        engine.mount("/.status", .status())
    }
}
