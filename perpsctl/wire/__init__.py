"""What travels: venue payloads as msgspec structs, in both directions, and their conversion to domain values.

Nothing here opens a socket, reads a clock or keeps state. The simulator and the client share this room and nothing else.
"""
