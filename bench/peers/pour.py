"""A server that pours a stream's messages into one connection as fast as it will take them; frames are laid out before."""

import sys
from pathlib import Path

from websockets.sync.server import ServerConnection, serve


def frame(message: bytes) -> bytes:
    """One unmasked text frame."""
    size = len(message)
    if size < 126:
        return bytes((0x81, size)) + message
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + message
    return b"\x81\x7f" + size.to_bytes(8, "big") + message


def main(path: str) -> None:
    poured = b"".join(map(frame, Path(path).read_bytes().splitlines()))

    def pour(connection: ServerConnection) -> None:
        connection.recv()  # the reader says when
        connection.socket.sendall(poured)
        connection.recv()  # and that it is done

    with serve(pour, "127.0.0.1", 0, compression=None) as server:
        print(server.socket.getsockname()[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
