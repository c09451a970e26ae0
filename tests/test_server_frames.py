"""Binary frames take a short way and say what they would have said on uvicorn's long one."""

import asyncio
import base64
import random
import struct

import pytest
import uvicorn
from test_server_shedding import Wire
from uvicorn.server import ServerState

from affectus.server.frames import FrameSocket, measure_frame

LIMIT = 1_000
REQUEST = (
    b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % base64.b64encode(bytes(16))
)


def frame(payload, opcode=2, *, final=True, mask=b"\x01\x02\x03\x04", wide=False):
    """A frame as a client sends it: RFC 6455, 5.2."""
    n_bytes = len(payload)
    if wide:
        length = struct.pack(">BQ", 127, n_bytes)
    elif n_bytes > 125:
        length = struct.pack(">BH", 126, n_bytes)
    else:
        length = bytes([n_bytes])
    head = bytes([0x80 * final | opcode, length[0] | (0x80 if mask else 0)]) + length[1:]
    masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if mask else payload
    return head + (mask or b"") + masked


def hear(*pieces, direct=True):
    """Send pieces; return (messages in their order, the close codes that went out)."""

    async def run():
        said = []

        async def app(scope, receive, send):
            if direct:
                scope["state"]["frames"].take = lambda data: said.append(bytes(data))
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] != "websocket.disconnect":
                data = message.get("bytes")
                said.append(message["text"] if data is None else bytes(data))

        config = uvicorn.Config(app, ws_max_size=LIMIT, log_config=None, ws_ping_interval=None)
        wire = Wire()
        socket = FrameSocket(config, ServerState(), {})
        socket.connection_made(wire)
        socket.data_received(REQUEST)
        for _ in range(5):
            await asyncio.sleep(0)
        _, _, wire.written = wire.written.partition(b"\r\n\r\n")
        for piece in pieces:
            if not wire.closed:
                socket.data_received(piece)
            for _ in range(5):
                await asyncio.sleep(0)
        if not wire.closed:
            socket.connection_lost(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return said, wire.written

    return asyncio.run(run())


CONVERSATION = [
    frame(b"a" * 10), frame(b"b" * 300), frame(b"hello", 1), frame(b""), frame(b"ping", 9),
    frame(b"c" * 20, final=False), frame(b"d" * 20, 0), frame(b"e" * 7), frame(b"f" * 9, wide=True),
    frame(b"g", final=False), frame(b"in between", 9), frame(b"h", 0, final=False), frame(b"i", 0),
    frame(b"end", 1),
]  # fmt: skip
SAID = [
    b"a" * 10, b"b" * 300, "hello", b"", b"c" * 20 + b"d" * 20, b"e" * 7, b"f" * 9, b"ghi", "end",
]  # fmt: skip


def in_pieces(data, seed):
    choose = random.Random(seed)
    found, at = [], 0
    while at < len(data):
        n_bytes = choose.choice((1, 2, 3, 10, 60, 400))
        found.append(data[at : at + n_bytes])
        at += n_bytes
    return found


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("direct", [True, False])
def test_messages_are_the_same_however_they_arrive(seed, direct):
    pieces = in_pieces(b"".join(CONVERSATION), seed) if seed else [b"".join(CONVERSATION)]
    said, written = hear(*pieces, direct=direct)
    binary = [message for message in said if isinstance(message, bytes)]
    text = [message for message in said if isinstance(message, str)]
    # Texts come by the queue, so their order among binary messages is of no account.
    assert binary == [message for message in SAID if isinstance(message, bytes)]
    assert text == [message for message in SAID if isinstance(message, str)]
    assert written.count(b"\x8a\x04ping") == 1  # the pong
    assert written.count(b"\x8a\x0ain between") == 1


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (frame(b"x" * (LIMIT + 1)), 1009),
        (frame(b"x" * (LIMIT + 1))[:8], 1009),  # told by its length alone
        (frame(b"x" * (LIMIT + 1), wide=True)[:10], 1009),
        (frame(b"x" * 600, final=False) + frame(b"x" * 600, 0), 1009),
        (frame(b"x", mask=b""), 1002),
        (b"\xc2" + frame(b"x")[1:], 1002),  # an extension that was not agreed to
        (frame(b"x", 3), 1002),
        (frame(b"x", 0), 1002),  # goes on with nothing
    ],
)
@pytest.mark.parametrize("direct", [True, False])
def test_what_breaks_the_protocol_closes_with_its_code(bad, code, direct):
    said, written = hear(frame(b"good"), bad, direct=direct)
    assert said == [b"good"]
    assert written[0] == 0x88 and int.from_bytes(written[2:4], "big") == code


def test_a_frame_is_measured_as_soon_as_its_head_is_there():
    for n_bytes in (0, 1, 125, 126, 127, 65_535):
        data = frame(bytes(n_bytes))
        head = len(data) - n_bytes
        assert measure_frame(data[: head - 4], 0) == (head, len(data))
        assert all(measure_frame(data[:n], 0) is None for n in range(head - 4))
    assert measure_frame(frame(bytes(9), wide=True, mask=b""), 0) == (10, 19)
