// Dispatches the server's messages to operations.

import DequeModule
import Logging
import NIOCore
import SkeinCore
import SkeinSQL
import SkeinTransport

extension PostgresConnection {
    func receive(_ bytes: ByteBuffer) {
        decoder.append(bytes)
        do throws(PostgresProtocolError) {
            while !isClosed, let message = try decoder.next() {
                try handle(message)
                // In most cases, a row is followed by more rows.
                if case .dataRow = message, let operation = due, let rows = operation.openRows {
                    operation.received(bytes: try decoder.takeRows(into: rows))
                }
            }
            if startup == nil, due == nil, decoder.hasBegunAnswer, !isClosed {
                throw .unexpected("the server sent an unsolicited response")
            }
        } catch {
            close(because: SkeinError(.responseHeaderError, peer: peer, because: "\(error)", cause: error))
        }
    }

    func handle(_ message: PostgresMessage) throws(PostgresProtocolError) {
        if startup != nil { return handleStartup(message) }
        switch message {
        case .ready(let status):
            self.status = status
            guard let operation = due, let first = pipeline.popFirst() else {
                throw .unexpected("the server sent an unsolicited ReadyForQuery")
            }
            answered &+= 1
            if operation.call != nil { isCancelling = false }
            do throws(PostgresProtocolError) {
                try operation.ready(status, on: self)
            } catch {
                pipeline.prepend(first)  // so that it is notified of the connection's end
                throw error
            }
            if let call = operation.call, let giveBack = call.giveBack {
                call.giveBack = nil
                giveBack()  // rolls back what a script has left open, before other calls
            } else if !isLeased, status != .idle {
                // The following statements were executed inside of that transaction, and are rolled back with it.
                return close(because: PostgresKeyword.leftOpen(peer))
            }
            link.madeProgress(at: shard.now)
            cancelIfAbandoned()
            if pipeline.isEmpty, held.isEmpty, let whenDrained {
                self.whenDrained = nil
                whenDrained()
            }
        case .notice(let notice):
            if let call = due?.call, !call.isOver { call.outcome.notices.append(notice) }
            logger.debug("\(peer): \(notice)")
        case .parameterStatus(let name, let value): parameters[name] = value
        case .notification(let notification): onNotification?(notification)
        case .error(let error) where error.severity == "FATAL" || error.severity == "PANIC":
            // The server closes the connection next; the calls in flight are failed then.
            fatal = error
        default:
            guard let operation = due else {
                if case .error(let error) = message {
                    return close(
                        because: SkeinError(
                            .connectionClosed, peer: peer, because: "the server said: \(error)", cause: error))
                }
                throw .unexpected("the server sent an unsolicited \(message)")
            }
            try operation.receive(message, on: self)
        }
    }

    func handleStartup(_ message: PostgresMessage) {
        do throws(SkeinError) {
            var action = PostgresStartup.Action.none
            var problem: SkeinError?
            link.write { output in
                do throws(SkeinError) {
                    action = try startup?.receive(message, into: &output) ?? .none
                } catch {
                    problem = error
                }
            }
            if let problem { throw problem }
            guard case .ready = action else { return }
            key = startup?.key
            parameters = startup?.parameters ?? [:]
            startup = nil
            link.becomeReady()
        } catch {
            close(because: SkeinError(error.code, peer: peer, because: error.message, cause: error.cause))
        }
    }

    /// A statement that may have changed the session was executed.
    func saw(_ tag: PostgresTag) {
        switch tag.command {
        case "PREPARE": hasNamedStatements = true
        case "LOAD": isSpoiled = true
        case "DISCARD ALL", "DEALLOCATE ALL", "DEALLOCATE": statements.drop()
        default: break
        }
    }
}
