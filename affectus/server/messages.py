"""What the server and its children say to each other, and how it goes over a socket.

A message is a small head in MessagePack, by type, and a body of raw bytes: the recording, or the
answer in JSON, which nobody reads on the way. Each is preceded by its length, so a message that
arrives in pieces, or several at once, is told apart. Nothing that runs code can be sent.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from typing import TypeAlias

import msgspec

# Of the memory that a child shares: the number of the item in hand, or -1, and monotonic ns when
# it was begun.
NOTES_BYTES = 16

_PIECE = 64 * 1024  # bytes
_LENGTHS = struct.Struct("<II")


class Start(msgspec.Struct, tag="start", frozen=True):
    """To a child, first of all: the models to load, by name, and what a recording may be."""

    models: dict[str, str]
    max_seconds: float
    memory_bytes: int


class Predict(msgspec.Struct, tag="predict", frozen=True):
    """To a child: answer the recording in the body, called `name`, by that model."""

    number: int
    model: str
    name: str
    window: float | None = None
    hop: float | None = None
    labels: str | None = None


class Open(msgspec.Struct, tag="open", frozen=True):
    """To a child: a stream begins, of samples at `sample_rate` Hz in that form."""

    number: int
    stream: int
    model: str
    sample_rate: int
    form: str
    window: float
    hop: float
    labels: str | None = None


class Feed(msgspec.Struct, tag="feed", frozen=True):
    """To a child: the next samples of a stream, in the body."""

    number: int
    stream: int


class Finish(msgspec.Struct, tag="finish", frozen=True):
    """To a child: a stream is over; say what it was as a whole."""

    number: int
    stream: int


class Drop(msgspec.Struct, tag="drop", frozen=True):
    """To a child: forget a stream."""

    stream: int


class Ready(msgspec.Struct, tag="ready", frozen=True):
    """From a child: all is loaded. `held` is what it gave up; the body describes the models."""

    held: list[str]


class Answer(msgspec.Struct, tag="answer", frozen=True):
    """From a child: the body is the answer in JSON; `done` of a stream's: it was the last."""

    number: int


class Refusal(msgspec.Struct, tag="refusal", frozen=True):
    """From a child: why there is no answer."""

    number: int
    code: str
    text: str


class Fault(msgspec.Struct, tag="fault", frozen=True):
    """From a child that ends: the error in our own code that ended it."""

    text: str


Message: TypeAlias = (
    Start | Predict | Open | Feed | Finish | Drop | Ready | Answer | Refusal | Fault
)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


def pack(message: Message, body: bytes | bytearray | memoryview = b"") -> bytes:
    """Return a message and its body as they go over the socket."""
    head = _encoder.encode(message)
    return b"".join((_LENGTHS.pack(len(head), len(body)), head, body))


class Unpacker:
    """Takes bytes as they come; gives whole messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[tuple[Message, bytes]]:
        """Yield each (message, body) that is complete with these bytes."""
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= _LENGTHS.size:
            n_head, n_body = _LENGTHS.unpack_from(self._buffer, at)
            start = at + _LENGTHS.size
            end = start + n_head + n_body
            if len(self._buffer) < end:
                break
            with memoryview(self._buffer) as view:
                message = _decoder.decode(view[start : start + n_head])
                body = bytes(view[start + n_head : end])
            at = end
            yield message, body
        del self._buffer[:at]


def receive_in_pieces(transport: asyncio.BaseTransport) -> None:
    """Let asyncio receive 64 KB at a time, not 256.

    Memory for 256 KB comes from the system anew each time, and goes back: 58 of the 72 µs that it
    took to receive a recording of 3 s, on Linux with glibc's usual threshold of 128 KB.
    """
    transport.max_size = _PIECE  # type: ignore[attr-defined]
