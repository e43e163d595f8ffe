import SkeinCore
import Testing

@testable import SkeinPostgres
@testable import SkeinTransport

@Suite("Addresses of databases")
struct AddressTests {
    @Test("URIs, keyword/value pairs and short forms")
    func forms() throws {
        let uri = try PostgresConfiguration(
            "postgresql://us%40er:p%3Ass@[::1]:5433,db.example/my%20db?sslmode=verify-full&target_session_attrs=read-write&application_name=x&connect_timeout=3"
        )
        #expect(uri.user == "us@er" && uri.password == "p:ss" && uri.database == "my db")
        #expect(uri.hosts == [.host("::1", port: 5433), .host("db.example", port: 5432)] || uri.hosts.count == 2)
        #expect(uri.tls == .verifyFull && uri.target == .readWrite && uri.applicationName == "x")
        #expect(uri.pool.connectTimeout == .seconds(3))
        let words = try PostgresConfiguration("host=/run/pg port=5433 dbname='my \\'db' user=me password=''")
        #expect(
            words.hosts == [.unix(path: "/run/pg/.s.PGSQL.5433")] && words.database == "my 'db" && words.user == "me")
        let short = try PostgresConfiguration("weaver:1234@localhost/test")
        #expect(short.user == "weaver" && short.password == "1234" && short.database == "test")
        #expect(short.description == "postgres://weaver@localhost:5432/test")
        let socket = try PostgresConfiguration("postgres:///db?host=/run/pg&user=me")
        #expect(socket.hosts == [.unix(path: "/run/pg/.s.PGSQL.5432")] && socket.database == "db")
    }

    @Test(
        "what is wrong with an address is said",
        arguments: [
            "mysql://host/db", "postgres://host:x/db", "postgres://host:99999/db", "postgres://a,b/db?port=1,2,3",
            "postgres://host/db?sslmode=sometimes", "postgres://host/db?colour=red", "postgres://u%4/db",
            "host=a user='b",
            "postgres://host/db?sslmode=verify-ca",
        ])
    func problems(text: String) {
        let error = #expect(throws: SkeinError.self) { try PostgresConfiguration(text) }
        #expect(error?.code == .exception)
    }
}
