"""A load client that costs little: an open loop over raw sockets, requests built beforehand.

A heavy client measures itself: the same server gave 63 requests a second to one and 357 to another.
Requests begin when they are due, whatever became of those before, and latency counts from then, so
that a slow server cannot slow its own measurement.
"""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heapreplace

import msgspec
import numpy as np

from affectus.server.messages import receive_in_pieces

_MAX_CONNECTIONS = 512
_PATIENCE = 10.0  # s for the last answers
_TICK = 0.002  # s: the shortest sleep; what was due meanwhile is sent at once, a little late


def post(body: bytes, port: int, path: str = "/v1/predict") -> bytes:
    """Return a request as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@dataclass
class Outcome:
    """What became of a load: seconds by status, from when each request was due."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    lateness: list[float] = field(default_factory=list)  # of the client itself, s
    losses: list[tuple[float, str]] = field(default_factory=list)  # when due, s; how it was lost
    duration: float = 0.0

    @property
    def lost(self) -> int:
        """How many requests had no reply."""
        return len(self.losses)

    def rate(self, status: int = 200) -> float:
        """Answers a second."""
        return len(self.seconds.get(status, ())) / self.duration

    def percentile(self, share: float, status: int = 200) -> float:
        """Milliseconds."""
        found = self.seconds.get(status)
        return float(np.percentile(found, share)) * 1e3 if found else float("nan")


class _Client(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._buffer = b""
        self.due = 0.0
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        receive_in_pieces(transport)
        self.transport = transport

    def send(self, due: float, data: bytes) -> None:
        self.due, self.busy = due, True
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.index(b"content-length:") + 15
        length = int(head[at:].split(b"\r\n", 1)[0])
        if len(self._buffer) < end + 4 + length:
            return
        status = int(head[9:12])
        self._buffer, self.busy = b"", False
        self._load.answered(self, status, self.due)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.closed(self)


class _Load:
    def __init__(self, port: int, requests: Sequence[bytes]) -> None:
        self._port, self._requests = port, requests
        self._free: list[_Client] = []
        self._clients: set[_Client] = set()
        self._n_clients = self._n_open = 0
        self._outcome = Outcome()
        self._idle = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._queue: list[tuple[float, bytes]] = []
        self._began = self._ends = 0.0  # until its end, who has an answer asks again

    def answered(self, client: _Client, status: int, due: float) -> None:
        self._outcome.seconds.setdefault(status, []).append(self._clock() - due)
        if self._clock() < self._ends:
            client.send(self._clock(), self._requests[id(client) % len(self._requests)])
            return
        self._n_open -= 1
        if self._queue and not client.transport.is_closing():
            client.send(*self._queue.pop(0))
        else:
            self._free.append(client)
        if not self._n_open:
            self._idle.set()

    def closed(self, client: _Client) -> None:
        self._n_clients -= 1
        self._clients.discard(client)
        if client in self._free:
            self._free.remove(client)
        if client.busy:
            self._lose(client.due, "closed")
            self._n_open -= 1
            if not self._n_open:
                self._idle.set()

    def _lose(self, due: float, how: str) -> None:
        self._outcome.losses.append((due - self._began, how))

    async def run(self, rate: float, seconds: float) -> Outcome:
        """Begin `rate` requests a second; return when all are answered."""
        began = self._began = self._clock()
        for number in range(round(rate * seconds)):
            due = began + number / rate
            wait = due - self._clock()
            if wait > 0:
                await asyncio.sleep(max(wait, _TICK))
            self._outcome.lateness.append(max(0.0, self._clock() - due))
            self._n_open += 1
            self._idle.clear()
            request = self._requests[number % len(self._requests)]
            if self._free:
                self._free.pop().send(due, request)
            elif self._n_clients < _MAX_CONNECTIONS:
                client = await self._connect()
                client.send(due, request)
            else:
                self._queue.append((due, request))
        return await self._finish(began)

    async def run_closed(self, n_clients: int, seconds: float) -> Outcome:
        """Let so many clients ask, each again when it has its answer."""
        began = self._began = self._clock()
        self._ends = began + seconds
        for number in range(n_clients):
            client = await self._connect()
            self._n_open += 1
            client.send(self._clock(), self._requests[number % len(self._requests)])
        return await self._finish(began)

    async def _finish(self, began: float) -> Outcome:
        try:
            await asyncio.wait_for(self._idle.wait(), _PATIENCE)
        except TimeoutError:
            busy = [client for client in self._clients if client.busy]
            for due in [client.due for client in busy] + [due for due, _ in self._queue]:
                self._lose(due, f"no reply within {_PATIENCE:g} s of the end")
            for client in busy:  # when it is closed below, it is counted already
                client.busy = False
        # Answers count over the time of sending, and over what those that waited took longer.
        self._outcome.duration = self._clock() - began
        for client in list(self._clients):
            client.transport.abort()
        return self._outcome

    async def _connect(self) -> _Client:
        self._n_clients += 1
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(lambda: _Client(self), "127.0.0.1", self._port)
        self._clients.add(client)
        return client


async def send_load(port: int, requests: Sequence[bytes], rate: float, seconds: float) -> Outcome:
    """Send `rate` of the requests a second, in turn, for so long."""
    return await _Load(port, requests).run(rate, seconds)


async def send_closed(
    port: int, requests: Sequence[bytes], n_clients: int, seconds: float
) -> Outcome:
    """Let so many clients ask one after another for so long."""
    return await _Load(port, requests).run_closed(n_clients, seconds)


# --- streams -----------------------------------------------------------------------------------


def frame(payload: bytes, opcode: int) -> bytes:
    """Return a WebSocket frame as a client sends it (RFC 6455, 5.2); its mask is zero."""
    n_bytes = len(payload)
    if n_bytes < 126:
        head = struct.pack(">BB", 0x80 | opcode, 0x80 | n_bytes)
    else:
        head = struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, n_bytes)
    return head + bytes(4) + payload


@dataclass
class StreamOutcome:
    """What became of many streams: seconds from an answer's last sample to the answer."""

    seconds: list[float] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)  # of this client itself, s
    n_due: int = 0
    n_busy: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    n_lost: int = 0

    def percentile(self, share: float) -> float:
        """Milliseconds."""
        return float(np.percentile(self.seconds, share)) * 1e3 if self.seconds else float("nan")


class _Speaker(asyncio.Protocol):
    """One stream; its frames are sent by the load, its answers timed here."""

    def __init__(self, outcome: StreamOutcome, clock: object) -> None:
        self._outcome, self._clock = outcome, clock
        self._buffer = b""
        self.open = asyncio.get_running_loop().create_future()
        self.due: list[float] = []  # when the last sample of each answer to come was sent
        self.alive = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        receive_in_pieces(transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self.open.done():
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            status = self._buffer[9:12].decode()
            self._buffer = self._buffer[end + 4 :]
            self.open.set_result(status)
        while len(self._buffer) >= 2:
            n_bytes, at = self._buffer[1], 2
            if n_bytes == 126:
                n_bytes, at = int.from_bytes(self._buffer[2:4], "big"), 4
            if len(self._buffer) < at + n_bytes:
                return
            opcode, payload = self._buffer[0] & 15, self._buffer[at : at + n_bytes]
            self._buffer = self._buffer[at + n_bytes :]
            if opcode == 1:
                self._hear(payload)

    def _hear(self, payload: bytes) -> None:
        kind = msgspec.json.decode(payload)["type"]
        if kind == "answer" and self.due:
            now = asyncio.get_running_loop().time()
            self._outcome.seconds.append(now - self.due.pop(0))
        elif kind == "busy":
            self._outcome.n_busy += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        if not self.open.done():
            self.open.set_result("lost")


async def send_streams(
    port: int,
    waveform: bytes,
    *,
    n_streams: int,
    seconds: float,
    frame_seconds: float,
    window: float,
    hop: float,
    apart: bool = True,
    rate: int = 16_000,
    model: str | None = None,
) -> StreamOutcome:
    """Speak `waveform` (16-bit) over and over into that many streams at the pace of speech.

    They begin `apart`, evenly over one hop, as those of people who know nothing of each other do;
    otherwise all within one frame, so that all answers are due at once.
    """
    outcome = StreamOutcome()
    loop = asyncio.get_running_loop()
    speakers: list[_Speaker] = []
    key = base64.b64encode(os.urandom(16)).decode()
    chosen = "" if model is None else f"&model={model}"
    request = (
        f"GET /v1/stream?window={window}&hop={hop}{chosen} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        f"Sec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    for _ in range(n_streams):
        _, speaker = await loop.create_connection(
            lambda: _Speaker(outcome, None), "127.0.0.1", port
        )
        speaker.transport.write(request)
        status = await speaker.open
        if status == "101":
            speakers.append(speaker)
        else:
            outcome.refused[status] += 1
    n_bytes = round(frame_seconds * rate) * 2
    frames = [
        frame(waveform[at : at + n_bytes], 2) for at in range(0, len(waveform) - n_bytes, n_bytes)
    ]
    # When each stream's first frame is due. People begin when they like: spread over a hop.
    spread = hop if apart else frame_seconds
    began = loop.time()
    starts = [began + spread * place / max(1, len(speakers)) for place in range(len(speakers))]
    calendar = [(start, place, 0) for place, start in enumerate(starts)]  # a heap, as sorted is
    n_frames = round(seconds / frame_seconds)

    def n_windows(n_sent: int) -> int:
        return max(0, (n_sent * n_bytes // 2 - round(window * rate)) // round(hop * rate) + 1)

    while calendar:
        due, place, number = calendar[0]
        wait = due - loop.time()
        if wait > 0:
            await asyncio.sleep(max(wait, _TICK))
        speaker = speakers[place]
        if number + 1 < n_frames and speaker.alive:
            heapreplace(calendar, (starts[place] + (number + 1) * frame_seconds, place, number + 1))
        else:
            heappop(calendar)
        if not speaker.alive:
            continue
        outcome.lateness.append(max(0.0, loop.time() - due))
        speaker.transport.write(frames[(number + place) % len(frames)])
        if n_windows(number + 1) > n_windows(number):
            speaker.due.append(due)
            outcome.n_due += 1
    await asyncio.sleep(3.0)
    outcome.n_lost = sum(not speaker.alive for speaker in speakers)
    for speaker in speakers:
        speaker.transport.close()
    return outcome
