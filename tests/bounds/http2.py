"""A minimal HTTP/2 client that opens streams and never grants flow control."""

import socket
import struct

HEADERS, RST_STREAM, SETTINGS, GOAWAY = 1, 3, 4, 7
END_STREAM_AND_HEADERS = 0x5
INITIAL_WINDOW_SIZE = 4


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name_index: int, value: str) -> bytes:
    """A header field without indexing, whose name is in the static table (RFC 7541, section 6.2.2)."""
    return bytes([name_index, len(value)]) + value.encode()


def open_stalled_streams(connection: socket.socket, paths: list[str]) -> None:
    """Sends the preface with a window of 0 for each stream, and a GET for each path."""
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, 0)))
    connection.sendall(frame(SETTINGS, 1, 0, b""))
    requests = []
    for number, path in enumerate(paths):
        block = b"\x82\x86" + literal(4, path) + literal(1, "images.test")
        requests.append(frame(HEADERS, END_STREAM_AND_HEADERS, 2 * number + 1, block))
    connection.sendall(b"".join(requests))


def frames(connection: socket.socket, seconds: float) -> list[tuple[int, int, bytes]]:
    """(kind, stream, payload) of all frames until the connection ends or is quiet for `seconds`."""
    found, data = [], b""
    connection.settimeout(seconds)
    while True:
        while len(data) >= 9 and len(data) >= 9 + (size := int.from_bytes(data[:3], "big")):
            found.append((data[3], int.from_bytes(data[5:9], "big"), data[9 : 9 + size]))
            data = data[9 + size :]
        try:
            received = connection.recv(65536)
        except OSError:
            return found
        if not received:
            return found
        data += received
