// Rooms in which everybody hears everybody, over WebSockets: chat, then open http://127.0.0.1:8080/

import SkeinEngine
import SkeinEngineCommand
import ArgumentParser

@main struct Chat: EngineCommand {
    @OptionGroup var options: EngineOptions

    func mount(into engine: inout Engine) async throws {
        let rooms = SocketGroups<String>()
        engine.webSocket("/rooms/<room>") { socket, request in
            let room = rooms[request.parameter("room") ?? ""]
            try await room.join(socket) {
                for try await message in socket { room.send(message) }
            }
        }
        engine.get("/") { _ in ServerResponse.html(Self.page) }
    }

    private static let page = """
        <!DOCTYPE html><meta charset="utf-8"><title>Chat</title>
        <form><input autofocus placeholder="Say something"></form><ul></ul>
        <script>
        const socket = new WebSocket(`ws://${location.host}/rooms/lobby`)
        socket.onmessage = event => {
            const item = document.createElement("li")
            item.textContent = event.data
            document.querySelector("ul").prepend(item)
        }
        document.querySelector("form").onsubmit = event => {
            event.preventDefault()
            socket.send(event.target[0].value)
            event.target.reset()
        }
        </script>
        """
}
