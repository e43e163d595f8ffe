import Foundation
import NIOCore
import PeerSupport
import Skein
import SkeinEngine
import SkeinRPC
import Testing

/// XML-RPC and JSON-RPC with Python's servers and clients.
@Suite("Remote calls", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct RPCTests {
    // MARK: XML-RPC

    private static let xmlServer = Task {
        let script = """
            import datetime
            from xmlrpc.server import SimpleXMLRPCServer
            from xmlrpc.client import Binary, Fault
            server = SimpleXMLRPCServer(("127.0.0.1", 0), allow_none=True, use_builtin_types=True, logRequests=False)
            def fail(code, text): raise Fault(code, text)
            def broken(): return 1 / 0
            server.register_function(lambda *values: list(values), "echo")
            server.register_function(lambda *values: [type(v).__name__ for v in values], "types.of")
            server.register_function(fail)
            server.register_function(broken)
            server.register_introspection_functions()
            server.register_multicall_functions()
            print("listening", server.server_address[1], flush=True)
            server.serve_forever()
            """
        let process = try PeerProcess(Peers.python(), ["-c", script], log: TestFolder.path("xmlrpc.log"))
        return Int(try await process.untilPrinted("listening ")) ?? 0
    }

    /// The addresses of Python's servers.
    static func xmlPort() async throws -> Int { try await xmlServer.value }
    static func jsonPort() async throws -> Int { try await jsonServer.value }

    private static let everything: [XMLRPCValue] = [
        .none, .bool(true), .integer(-7), .integer(1 << 40), .double(-0.5), .string("a <b> & \"c\" ü\n"),
        .date(Date(timeIntervalSince1970: 900_684_535)), .bytes([0, 1, 0xFF]),
        .array([.integer(1), .array([])]), .structure(["a b": .string(""), "ü": .none]),
    ]

    @Test("every value is sent to Python and back, with the right types")
    func xmlValues() async throws {
        let stub = try SkeinClient().xmlrpc("http://127.0.0.1:\(try await Self.xmlServer.value)/RPC2")
        #expect(
            try await stub.call("echo", Self.everything.filter { $0 != .integer(1 << 40) }).fetch()
                == .array(Self.everything.filter { $0 != .integer(1 << 40) }))
        let types = try await stub.types.of(
            true, 1, 1 << 40, 0.5, "text", Date(timeIntervalSince1970: 0), Data([1]), [1, 2], ["a": 1]
        ).fetch([String].self)
        #expect(types == ["bool", "int", "int", "float", "str", "datetime", "bytes", "list", "dict"])
        struct Point: Codable, Equatable {
            let x: Int
            let name: String
            let when: Date
        }
        let date = Date(timeIntervalSince1970: 900_684_535)
        let members: [String: XMLRPCValue] = ["x": .integer(3), "name": .string("p"), "when": .date(date)]
        let points = try await stub.echo(members).fetch([Point].self)
        #expect(points == [Point(x: 3, name: "p", when: date)])
        #expect(try await stub.echo(members).one(Point.self) == points[0])
    }

    @Test("faults are errors, introspection and multicall, a server without XML-RPC is a clear error")
    func xmlFaults() async throws {
        let base = "http://127.0.0.1:\(try await Self.xmlServer.value)"
        let skein = SkeinClient()
        let stub = try skein.xmlrpc("\(base)/RPC2")
        let response = await stub.fail(42, "no thread left").dispatch()
        #expect(response.fault == RPCFault(42, "no thread left"))
        #expect(response.statusCode == 500 && response.reason == "fault 42: no thread left")
        await #expect(throws: SkeinError.self) { try await stub.fail(42, "x").fetch() }
        await #expect(throws: SkeinError.self) { try await stub.broken().commit() }
        #expect(await stub.no.such.function().dispatch().fault != nil)
        let names = try await stub.system.listMethods().fetch([String].self)
        #expect(names.contains("types.of") && names.contains("system.multicall"))
        let many = await stub.multicall([("echo", [1]), ("fail", [7, "seven"]), ("echo", ["x"])]).dispatch()
        let results = try XMLRPC.results(of: many)
        #expect(
            results == [
                .success(.array([.integer(1)])), .failure(RPCFault(7, "seven")), .success(.array([.string("x")])),
            ])
        #expect(await (try skein.xmlrpc("\(base)/elsewhere")).echo(1).dispatch().statusCode == 404)
        let page = "http://127.0.0.1:\(try await Peers.shared.nginxPort())/hello"
        #expect(await (try skein.xmlrpc(page)).echo(1).dispatch().statusCode == 709)
        #expect(await (try skein.xmlrpc("http://127.0.0.1:1/")).echo(1).dispatch().statusCode == 714)
        #expect(throws: SkeinError.self) { try skein.xmlrpc("nowhere") }
        let cancelled = stub.echo(1)
        cancelled.cancel()
        #expect([712, 200].contains(await cancelled.dispatch().statusCode))
        await skein.fetchAll()
    }

    @Test("Python calls our functions by XML-RPC")
    func xmlService() async throws {
        var service = XMLRPCService()
        service.register("echo") { XMLRPCValue.array($0) }
        service.register("add") { arguments in
            guard arguments.count == 2, let a = arguments[0].integer, let b = arguments[1].integer else {
                throw RPCFault(2, "two integers are wanted")
            }
            return a + b
        }
        let functions = service
        try await serving({ .init(body: await functions.answer(try await $0.body.collect())) }) { (base) async throws in
            let script = """
                import sys, datetime
                from xmlrpc.client import ServerProxy, Fault, MultiCall
                s = ServerProxy(sys.argv[1], allow_none=True, use_builtin_types=True)
                values = [None, True, -7, 0.5, "a <b> & ü", datetime.datetime(1998, 7, 17, 14, 8, 55), b"\\x00\\xff", [1, []], {"a b": ""}]
                assert s.echo(*values) == values, s.echo(*values)
                assert s.add(2, 3) == 5
                try: s.add(1)
                except Fault as f: assert (f.faultCode, f.faultString) == (2, "two integers are wanted"), f
                try: s.nothing()
                except Fault as f: assert f.faultCode == -32601
                assert "add" in s.system.listMethods()
                m = MultiCall(s); m.add(1, 2); m.add(3, 4)
                assert list(m()) == [3, 7]
                print("all well")
                """
            let run = try await runToEnd(Peers.python(), ["-c", script, base])
            #expect(run.output.contains("all well"), "\(run.output)\(run.errors)")
        }
    }

    @Test(
        "documents that make no sense are a fault, and nothing worse",
        arguments: [
            "", "text", "<methodCall/>",
            "<methodCall><methodName>echo</methodName><params><param/></params></methodCall>",
            "<!DOCTYPE a [<!ENTITY b \"c\"><!ENTITY d \"&b;&b;\">]><methodCall><methodName>&d;</methodName></methodCall>",
            "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><methodCall><methodName>&b;</methodName></methodCall>",
            "<methodCall><methodName>echo</methodName><params><param><value><int>99999999999999999999</int></value></param></params></methodCall>",
            "<methodCall><methodName>echo</methodName><params><param><value><base64>!!!</base64></value></param></params></methodCall>",
            "<methodCall><methodName>echo</methodName><params><param><value><boolean>yes</boolean></value></param></params></methodCall>",
            "<methodCall><methodName>echo</methodName><params><param><value><tuple/></value></param></params></methodCall>",
            "<methodCall><methodName>echo</methodName><params><param>"
                + String(repeating: "<value><array><data>", count: 60)
                + String(repeating: "</data></array></value>", count: 60)
                + "</param></params></methodCall>",
        ])
    func malformed(document: String) async throws {
        var service = XMLRPCService()
        service.register("echo") { XMLRPCValue.array($0) }
        let answer = try #require(await service.answer(ByteBuffer(string: document)).bytes)
        #expect(String(buffer: answer).contains("-32700"), "\(String(buffer: answer))")
    }

    // MARK: JSON-RPC

    private static let jsonServer = Task {
        let script = """
            from jsonrpclib.SimpleJSONRPCServer import SimpleJSONRPCServer
            server = SimpleJSONRPCServer(("127.0.0.1", 0), logRequests=False)
            seen = []
            server.register_function(lambda *a, **k: [list(a), k], "echo")
            server.register_function(lambda a, b: a + b, "math.add")
            server.register_function(lambda x: seen.append(x), "note")
            server.register_function(lambda: seen, "noted")
            print("listening", server.server_address[1], flush=True)
            server.serve_forever()
            """
        let process = try PeerProcess(Peers.python(), ["-c", script], log: TestFolder.path("jsonrpc.log"))
        return Int(try await process.untilPrinted("listening ")) ?? 0
    }

    @Test("calls by position and by name, notifications, batches, errors, with Python's server")
    func json() async throws {
        let skein = SkeinClient()
        let stub = try skein.jsonrpc("http://127.0.0.1:\(try await Self.jsonServer.value)/")
        #expect(try await stub.math.add(2, 3).fetch(Int.self) == 5)
        #expect(try await stub.math.add(a: "x", b: "y").fetch() == .string("xy"))
        #expect(
            try await stub.echo([1, 2], ["k": 1.5], "ü").fetch()
                == .array([
                    .array([.array([.integer(1), .integer(2)]), .object(["k": 1.5]), .string("ü")]),
                    .object([:]),
                ]))
        try await stub.notify("note", .byPosition(["seen"])).commit()
        #expect(try await stub.noted().fetch([String].self) == ["seen"])
        let wrong = await stub.math.add(1).dispatch()
        #expect(wrong.fault?.code == -32602, "\(wrong.reason)")
        #expect(await stub.nothing().dispatch().fault?.code == -32601)
        let batch = await stub.batch([
            ("math.add", .byPosition([1, 2])), ("nothing", .byPosition([])), ("math.add", .byName(["a": 3, "b": 4])),
        ]).dispatch()
        let results = try JSONRPC.results(of: batch)
        #expect(results.count == 3 && results[0] == .success(.integer(3)) && results[2] == .success(.integer(7)))
        #expect(throws: RPCFault.self) { try results[1].get() }
        let page = "http://127.0.0.1:\(try await Peers.shared.nginxPort())/hello"
        #expect(await (try skein.jsonrpc(page)).echo(1).dispatch().statusCode == 709)
    }

    @Test("Python calls our functions by JSON-RPC")
    func jsonService() async throws {
        var service = JSONRPCService()
        let noted = Tally()
        service.register("sum") { arguments in
            guard let numbers = arguments.elements else { throw RPCFault(-32602, "numbers are wanted") }
            return numbers.reduce(0) { $0 + ($1.integer ?? 0) }
        }
        service.register("named") { $0["who"]?.string ?? "nobody" }
        service.register("note") { _ in
            noted.add()
            return true
        }
        let functions = service
        try await serving({ request in
            guard let body = await functions.answer(try await request.body.collect()) else {
                return ServerResponse(200)
            }
            return ServerResponse(body: body)
        }) { (base) async throws in
            let script = """
                import sys, jsonrpclib, json, urllib.request
                s = jsonrpclib.ServerProxy(sys.argv[1])
                assert s.sum(1, 2, 3) == 6
                assert s.named(who="weaver") == "weaver"
                s._notify.note()
                try: s.nothing(); assert False
                except jsonrpclib.ProtocolError as e: assert e.args[0][0] == -32601, e.args
                batch = jsonrpclib.MultiCall(s); batch.sum(1, 1); batch.sum(2, 2)
                assert list(batch()) == [2, 4]
                def raw(text):
                    with urllib.request.urlopen(urllib.request.Request(sys.argv[1], text.encode())) as a: return json.load(a)
                assert raw("{")["error"]["code"] == -32700
                assert raw("[]")["error"]["code"] == -32600
                assert raw("[1]")[0]["error"]["code"] == -32600
                assert raw('{"jsonrpc": "2.0", "method": 1, "id": 5}')["error"]["code"] == -32600
                print("all well")
                """
            let run = try await runToEnd(Peers.python(), ["-c", script, base])
            #expect(run.output.contains("all well"), "\(run.output)\(run.errors)")
        }
        #expect(noted.count == 1)
    }

    private static let jsonSocketServer = Task {
        let script = """
            import asyncio
            from jsonrpcserver import async_dispatch, method, Error, Success
            from websockets.asyncio.server import serve
            @method
            async def add(a, b): return Success(a + b)
            @method
            async def late(seconds):
                await asyncio.sleep(seconds)
                return Success(seconds)
            @method
            async def fail(): return Error(7, "no wool")
            async def answer(socket, message):
                if response := await async_dispatch(message): await socket.send(response)
            async def handle(socket):
                async with asyncio.TaskGroup() as group:
                    async for message in socket:
                        if '"hang up"' in message: return await socket.close(1012)
                        group.create_task(answer(socket, message))
            async def main():
                async with serve(handle, "127.0.0.1", 0) as server:
                    print("listening", server.sockets[0].getsockname()[1], flush=True)
                    await asyncio.get_running_loop().create_future()
            asyncio.run(main())
            """
        let process = try PeerProcess(Peers.python(), ["-c", script], log: TestFolder.path("jsonsocket.log"))
        return Int(try await process.untilPrinted("listening ")) ?? 0
    }

    @Test("JSON-RPC over one WebSocket: concurrent calls, responses in any order, a lost socket")
    func jsonSocket() async throws {
        let skein = SkeinClient()
        let stub = try skein.jsonrpc("ws://127.0.0.1:\(try await Self.jsonSocketServer.value)/")
        #expect(try await stub.add(2, 3).fetch(Int.self) == 5)
        #expect(try await stub.add(a: 2, b: 4).fetch(Int.self) == 6)
        let slow = stub.late(0.5)
        let quick = (0..<100).map { stub.add($0, 1) }
        for (number, call) in quick.enumerated() { #expect(try await call.fetch(Int.self) == number + 1) }
        #expect(!slow.isOver)
        #expect(try await slow.fetch(Double.self) == 0.5)
        let failed = await stub.fail().dispatch()
        #expect(failed.fault == RPCFault(7, "no wool") && failed.statusCode == 500)
        #expect(await stub.nothing().dispatch().fault?.code == -32601)
        try await stub.notify("add", .byPosition([1, 2])).commit()
        let both = await stub.batch([("add", .byPosition([1, 2])), ("fail", .byPosition([]))]).dispatch()
        let results = try JSONRPC.results(of: both)
        #expect(try results[0].get() == .integer(3))
        #expect(throws: RPCFault(7, "no wool")) { try results[1].get() }
        #expect(await stub.late(5).dispatch(timeout: .milliseconds(200)).statusCode == 702)
        #expect(skein.connectCount == 1)
        let lost = stub.late(3)
        _ = stub.add("hang up", "now")
        #expect(await lost.dispatch().statusCode == 710)
        #expect(try await stub.add(4, 5).fetch(Int.self) == 9)
        #expect(skein.connectCount == 2)
    }

    @Test("Python calls our functions by JSON-RPC over a WebSocket")
    func jsonSocketService() async throws {
        var service = JSONRPCService()
        service.register("add") { arguments in
            (arguments[0]?.integer ?? 0) + (arguments[1]?.integer ?? 0)
        }
        let functions = service
        try await serving({ request in try request.webSocket { try await functions.serve($0) } }) { url in
            let script = """
                import asyncio, json, sys
                from jsonrpcclient import Ok, parse_json, request_json
                from websockets.asyncio.client import connect
                async def main():
                    async with connect(sys.argv[1].replace("http", "ws")) as socket:
                        for number in range(50):
                            await socket.send(request_json("add", params=[number, 1], id=number))
                        seen = {}
                        for _ in range(50):
                            match parse_json(await socket.recv()):
                                case Ok(result, id): seen[id] = result
                        print(all(seen[n] == n + 1 for n in range(50)))
                asyncio.run(main())
                """
            let run = try await runToEnd(Peers.python(), ["-c", script, url])
            #expect(run.output == "True\n", "\(run.errors)")
        }
    }

    @Test("the command line calls both")
    func command() async throws {
        let xml = "http://127.0.0.1:\(try await Self.xmlServer.value)/RPC2"
        let json = "http://127.0.0.1:\(try await Self.jsonServer.value)/"
        let echo = try await runToEnd(CommandTests.skein, ["rpc", xml, "echo", "yarn", "3", "[1, true]"])
        #expect(echo.output == "[\"yarn\",3,[1,true]]\n", "\(echo.output)\(echo.errors)")
        let fault = try await runToEnd(CommandTests.skein, ["rpc", xml, "fail", "4", "why"])
        #expect(fault.code == 1 && fault.errors.contains("fault 4: why"))
        let sum = try await runToEnd(
            CommandTests.skein, ["rpc", "--json-rpc", json, "math.add", "--named", #"{"a": 1, "b": 2}"#])
        #expect(sum.output == "3\n", "\(sum.output)\(sum.errors)")
    }

    /// A server of ours with a handler.
    private func serving(
        _ handler: @escaping @Sendable (ServerRequest) async throws -> ServerResponse,
        _ test: (String) async throws -> Void
    ) async throws {
        let server = HTTPServer(
            ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 1)
        ) { try await handler($0) }
        guard case .tcp(_, let port)? = try await server.start().first else { throw PeerError("no port") }
        do {
            try await test("http://127.0.0.1:\(port)/")
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }
}
