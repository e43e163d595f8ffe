// skein mongo: reads and writes documents as extended JSON.

import ArgumentParser
import Skein
import SkeinCore
import SkeinMongo

struct MongoDBCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mongo", abstract: "Find and change documents of MongoDB.",
        discussion: """
            Documents are Extended JSON: {"_id": {"$oid": "…"}, "age": {"$gte": 18}}. Results are printed as they arrive, one document \
            per line. The exit code is 1 when the server returns an error or does not respond.

              skein mongo mongodb://localhost blog.posts find '{"author": "Ada"}' --sort '{"date": -1}' --limit 5
              skein mongo localhost blog.posts insert '[{"title": "On looms"}, {"title": "On yarn"}]'
              skein mongo localhost blog.posts update '{"author": "Ada"}' '{"$inc": {"hits": 1}}'
              skein mongo localhost blog.posts distinct author
              skein mongo localhost blog.posts aggregate '[{"$group": {"_id": "$author", "posts": {"$sum": 1}}}]'
              skein mongo localhost admin run '{"serverStatus": 1}'
            """)

    enum Verb: String, ExpressibleByArgument, CaseIterable {
        case find, findone, count, distinct, aggregate, insert, update, updateone, upsert, delete, deleteone, watch, run

        /// How many words may follow the command.
        var words: ClosedRange<Int> {
            switch self {
            case .find, .findone, .count, .watch: 0...1
            case .distinct: 1...2
            case .aggregate, .insert, .delete, .deleteone, .run: 1...1
            case .update, .updateone, .upsert: 2...2
            }
        }
    }

    @Argument(help: "mongodb://user:password@host1,host2/?replicaSet=…, or a host.")
    var uri: String

    @Argument(help: "DATABASE.COLLECTION; for run, DATABASE.")
    var target: String

    @Argument(help: "The operation.")
    var verb: Verb

    @Argument(help: "A filter, a document, a change, a pipeline: TEXT, @FILE, or - for standard input.")
    var words: [String] = []

    @Option(help: ArgumentHelp("The order, such as {\"date\": -1}.", valueName: "document"))
    var sort: String?

    @Option(help: ArgumentHelp("Members to include (1) or exclude (0).", valueName: "document"))
    var projection: String?

    @Option(help: ArgumentHelp("Number of documents to skip.", valueName: "count"))
    var skip = 0

    @Option(help: ArgumentHelp("Maximum number. Default: all.", valueName: "count"))
    var limit: Int?

    @Flag(help: "Print one JSON array, instead of one document per line.")
    var json = false

    @Flag(help: "Print canonical Extended JSON, with the type of every value.")
    var canonical = false

    @OptionGroup(title: "Aliases")
    var aliases: AliasOptions

    func validate() throws {
        guard verb.words.contains(words.count) else {
            throw ValidationError(
                "\(verb.rawValue) takes \(verb.words.lowerBound == verb.words.upperBound ? "" : "\(verb.words.lowerBound) to ")\(verb.words.upperBound) filters, documents or names."
            )
        }
        guard verb == .run || target.containsBytes(".") else {
            throw ValidationError("Name the collection: DATABASE.COLLECTION.")
        }
        guard skip >= 0, limit ?? 1 > 0 else {
            throw ValidationError("--skip must be at least 0, and --limit at least 1.")
        }
        if aliases.names(uri) { return }
        do { _ = try MongoConfiguration(uri) } catch { throw ValidationError("\(error.message).") }
    }

    func run() async throws { try await CommandSession.run(aliases) { try await work(by: $0) } }

    private func client(of skein: SkeinClient) throws -> MongoClient {
        if aliases.names(uri) { return try skein.mongo(uri).client }
        var options = try MongoConfiguration(uri)
        if !uri.lowercased().containsBytes("serverselectiontimeoutms") { options.serverSelectionTimeout = .seconds(3) }
        return skein.mongo(options)
    }

    private func work(by skein: SkeinClient) async throws {
        let client = try client(of: skein)
        let name = target.splitBytes(separator: ".", maxSplits: 1).map(String.init)
        let database = client[name[0]]
        if verb == .run { return say([.document(try await database.run(try document(0)).fetch().reply)]) }
        let collection = database[name[1]]
        let find = FindOptions(
            sort: try sort.map(parsed), projection: try projection.map(parsed), skip: skip, limit: limit)
        switch verb {
        case .find: try await say(all: collection.stream(try filter(0), find))
        case .findone:
            say(
                try await collection.findOne(try filter(0), sort: find.sort, projection: find.projection).fetch().data
                    .map(BSON.document))
        case .count: say([BSON(try await collection.count(try filter(0), skip: skip, limit: limit).fetch(Int.self))])
        case .distinct:
            say(try await collection.distinct(words[0], try filter(1)).fetch().reply["values"]?.array ?? [])
        case .aggregate: try await say(all: collection.stream(aggregate: try documents(0)))
        case .insert: say(changes: try await collection.insertMany(try documents(0)).fetch())
        case .update:
            say(changes: try await collection.updateMany(try document(0), try document(1).asOperators).fetch())
        case .updateone:
            say(changes: try await collection.write(try document(0), try document(1), upserts: false).fetch())
        case .upsert: say(changes: try await collection.write(try document(0), try document(1), upserts: true).fetch())
        case .delete: say(changes: try await collection.deleteMany(try document(0)).fetch())
        case .deleteone: say(changes: try await collection.deleteOne(try document(0)).fetch())
        case .watch:
            for try await change in collection.watch(words.isEmpty ? [] : try documents(0)) {
                say(line: .document(change))
            }
        case .run: break
        }
    }

    // MARK: Words

    private func text(_ place: Int) throws -> String { try InputFile.utf8(words[place]) }

    private func parsed(_ text: String) throws -> Document {
        do { return try Document(extendedJSON: text) } catch {
            throw SkeinError(.exception, because: "\(text.prefix(60).debugDescription) is not a document: \(error)")
        }
    }

    private func document(_ place: Int) throws -> Document { try parsed(text(place)) }
    private func filter(_ place: Int) throws -> Document { words.count > place ? try document(place) : [:] }

    /// One document, or a list of them.
    private func documents(_ place: Int) throws -> [Document] {
        let text = try text(place)
        guard let list = (try? BSON(extendedJSON: text))?.array else { return [try parsed(text)] }
        return try list.map { element in
            guard let document = element.document else {
                throw SkeinError(.exception, because: "\(element) in the list is not a document")
            }
            return document
        }
    }

    // MARK: Responses

    private func say(line value: BSON) { Terminal.say(value.extendedJSON(canonical ? .canonical : .relaxed)) }

    private func say(_ values: [BSON]) {
        if json { say(line: .array(values)) } else { for value in values { say(line: value) } }
    }

    private func say(all cursor: MongoCursor) async throws {
        guard !json else {
            var all: [BSON] = []
            for try await document in cursor { all.append(.document(document)) }
            return say(all)
        }
        for try await document in cursor { say(line: .document(document)) }
    }

    private func say(changes result: MongoResult) {
        var document: Document = ["n": BSON(result.count)]
        if result.reply.contains("nModified") { document.append("modified", BSON(result.modifiedCount)) }
        if !result.upsertedIDs.isEmpty { document.append("upserted", .array(result.upsertedIDs)) }
        if !result.insertedIDs.isEmpty { document.append("inserted", .array(result.insertedIDs)) }
        say(line: .document(document))
    }
}
