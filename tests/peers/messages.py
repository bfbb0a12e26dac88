"""The messages that peers exchange: number, hash and payload, of lengths that sit on every edge."""

import hashlib

# Lengths that are encoded in different ways, or fill buffers exactly.
EDGES = (0, 125, 126, 65_535, 65_536, 1_048_576)
EDGE_EVERY = 499
TEXT_UNIT = "aé€𝄞"  # 1 + 2 + 3 + 4 bytes
BINARY_UNIT = bytes(range(256))
HASH_DIGITS = 16


def length(i: int, edge_every: int = EDGE_EVERY) -> int:
    """Bytes of message `i`."""
    if i % edge_every == 0:
        return EDGES[i // edge_every % len(EDGES)]
    return 40 + i * 31 % 200


def is_text(i: int) -> bool:
    return i % 2 == 0


def make(i: int, edge_every: int = EDGE_EVERY) -> str | bytes:
    """Message `i`: `<i> <hash of the payload> <payload>`, or nothing if it has no room for that."""
    size = length(i, edge_every)
    if size == 0:
        return "" if is_text(i) else b""
    head = f"{i:08} "
    room = size - len(head) - HASH_DIGITS - 1
    if is_text(i):
        payload = TEXT_UNIT * (room // 10)
        payload += "a" * (room - len(payload.encode()))
        return head + digest(payload.encode()) + " " + payload
    payload = (BINARY_UNIT * (room // 256 + 1))[i % 256 :][:room]
    payload += b"\xff" * (room - len(payload))
    return head.encode() + digest(payload).encode() + b" " + payload


def digest(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()[:HASH_DIGITS]


def check(i: int, message: str | bytes, edge_every: int = EDGE_EVERY) -> None:
    """Raises `ValueError` unless `message` is message `i`."""
    if isinstance(message, str) != is_text(i):
        raise ValueError(f"message {i} came as {type(message).__name__}")
    data = message.encode() if isinstance(message, str) else message
    if len(data) != length(i, edge_every):
        raise ValueError(f"message {i} has {len(data)} bytes in the place of {length(i, edge_every)}: {data[:60]!r}")
    if not data:
        return
    number, found, payload = data.split(b" ", 2)
    if int(number) != i:
        raise ValueError(f"message {int(number)} came in the place of {i}")
    if found.decode() != digest(payload):
        raise ValueError(f"message {i} was changed")
