// Handlers get a client from the engine, so importing the engine also imports the client's types.

@_exported import Skein
@_exported import struct SkeinWorkers.Broadcast
