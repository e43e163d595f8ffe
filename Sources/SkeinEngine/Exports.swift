// An engine hands each app the client, so that whoever imports the engine has the client's types, too.

@_exported import Skein
@_exported import struct SkeinWorkers.Broadcast
