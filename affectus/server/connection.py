"""A connection that cannot be kept busy for nothing: deadlines, small headers, no tricks.

uvicorn waits for ever for a request that does not come on, and answers what it cannot parse in
text. This is its HTTP protocol with deadlines for headers, body and reading, with caps on headers
and on tiny chunks, and with a close that lets the client read why.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from affectus.server.gate import NO_SNIFFING, Gate
from affectus.server.messages import receive_in_pieces
from affectus.server.replies import error_bytes, error_headers
from affectus.server.shedding import read_head

HEADER_BYTES = 16 * 1024
_MAX_HEADERS = 100
_HEADER_SECONDS = 10.0
_BODY_RATE = 1024  # bytes a second, over _BODY_SPAN
_BODY_SPAN = 5.0
_BODY_SECONDS = 300.0
_WRITE_SECONDS = 20.0
_LINGER_SECONDS, _LINGER_BYTES = 2.0, 4 << 20
_FREE_CHUNKS, _MIN_CHUNK = 1_000, 256  # beyond so many, they must have so many bytes on average
_WASTE = memoryview(bytearray(1 << 17))  # what is thrown away
_CODES = {431: "headers", 400: "request", 501: "request"}


class _Parser(h11.Connection):
    """h11's, which also refuses what it would let pass."""

    status = 400

    def __init__(self) -> None:
        super().__init__(h11.SERVER, HEADER_BYTES)
        self._n_chunks = self._n_bytes = 0

    def next_event(self) -> Any:
        """Return what comes next; raise RemoteProtocolError for what is refused."""
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            self.status = error.error_status_hint
            raise
        if isinstance(event, h11.Request):
            self._n_chunks = self._n_bytes = 0
            self._check_request(event)
        elif isinstance(event, h11.Data):
            self._n_chunks += event.chunk_start
            self._n_bytes += len(event.data)
            if self._n_chunks > _FREE_CHUNKS + self._n_bytes // _MIN_CHUNK:
                self._refuse("tiny chunks")
        return event

    def _check_request(self, event: h11.Request) -> None:
        names = [name for name, _ in event.headers]
        n_bytes = len(event.target) + sum(len(name) + len(value) for name, value in event.headers)
        if len(names) > _MAX_HEADERS or n_bytes > HEADER_BYTES:  # h11 lets pass what came at once
            self._refuse("too many headers", 431)
        if b"content-length" in names and b"transfer-encoding" in names:
            self._refuse("two lengths")  # request smuggling: RFC 9112, 6.1
        if not event.target.startswith(b"/"):
            self._refuse("target is no path")

    def _refuse(self, reason: str, status: int = 400) -> None:
        self.status = status
        raise h11.RemoteProtocolError(reason, error_status_hint=status)


class Connection(H11Protocol):
    """One connection. `check` is called for each every second or so."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._parser = self.conn = _Parser()
        self._moved = self._began = time.monotonic()
        self._n_received = self._n_seen = 0
        self._blocked_since: float | None = None
        self._n_unwanted = 0  # bytes to come of a body that was refused

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new client."""
        receive_in_pieces(transport)
        super().connection_made(_PoliteTransport(transport, self._body_is_open))  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        transport: Any = self.transport
        if transport.lingering:
            transport.discard(len(data))
            return
        data = self._discard(data)
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self._began = time.monotonic()  # a new request
            data = self._shed(data)
        if data:
            self._n_received += len(data)
            super().data_received(data)

    def _discard(self, data: bytes, start: int = 0) -> bytes:
        """Return what is left of `data` behind `start` and a body that nobody wants."""
        n_bytes = min(self._n_unwanted, len(data) - start)
        self._n_unwanted -= n_bytes
        return data[start + n_bytes :]

    def _shed(self, data: bytes) -> bytes:
        """Refuse what `data` begins with and a full service refuses in short; return the rest."""
        gate: Any = self.app
        assert isinstance(gate, Gate)
        while data and gate.sheds and self._blocked_since is None:
            head = read_head(data)
            told = gate.shed(head, self.client) if head else None
            if head is None or told is None:
                break
            self._unset_keepalive_if_required()
            form, number = told
            headers = [*self.server_state.default_headers, NO_SNIFFING]
            self.transport.write(form.fill(number, headers))
            self._n_unwanted = head.n_body
            data = self._discard(data, head.n_bytes)
            if self._n_unwanted:
                self._drain()
        return data

    def _drain(self) -> None:
        """Throw away what is there already of a body that nobody wants: no second call for it."""
        socket = self.transport.get_extra_info("socket")
        if socket is not None:
            with suppress(OSError):  # nothing there yet, or the client has gone: the loop will see
                n_bytes = min(self._n_unwanted, len(_WASTE))
                self._n_unwanted -= os.readv(socket.fileno(), [_WASTE[:n_bytes]])

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, in the form of every other refusal."""
        code = _CODES.get(self._parser.status, "request")
        text = "not a request that can be read; expected HTTP/1.1 with few, short headers."
        body = error_bytes(code, text, "-")
        headers = [*error_headers(code).items(), ("content-type", "application/json")]
        headers += [("content-length", str(len(body))), ("connection", "close")]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = h11.Response(status_code=self._parser.status, headers=headers)
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        transport: Any = self.transport
        transport.linger()

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        self._blocked_since = time.monotonic()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that it reads again."""
        self._blocked_since = None
        super().resume_writing()

    def check(self, now: float, *, stopping: bool = False) -> None:
        """End the connection if its client has not kept a deadline.

        When the service is `stopping`, also if it has not asked for anything: it came too late.
        """
        if self._blocked_since is not None and now - self._blocked_since > _WRITE_SECONDS:
            self.transport.abort()
        elif self.conn.their_state is h11.IDLE and stopping:
            self.transport.close()
        elif self.conn.their_state is h11.IDLE:
            waiting = self.timeout_keep_alive_task is None  # else uvicorn watches it
            if waiting and now - self._began > _HEADER_SECONDS:
                self.transport.close()
        elif self.conn.their_state is h11.SEND_BODY:
            self._check_body(now)

    def _check_body(self, now: float) -> None:
        if self.flow.read_paused:  # it is we who do not read
            self._moved = now
        if now - self._moved < _BODY_SPAN:
            return
        n_new = self._n_received - self._n_seen
        self._moved, self._n_seen = now, self._n_received
        if n_new < _BODY_RATE * _BODY_SPAN or now - self._began > _BODY_SECONDS:
            self.transport.abort()

    def _body_is_open(self) -> bool:
        return self.conn.their_state is h11.SEND_BODY or self._n_unwanted > 0


class _PoliteTransport:
    """A transport that closes so that the client can read the reply.

    Closing while the client still sends makes the system reset the connection, and a reply that was
    not read yet is lost. So the sending side is closed, what comes is discarded, a little while.
    """

    def __init__(self, transport: asyncio.Transport, body_is_open: Callable[[], bool]) -> None:
        self._transport, self._body_is_open = transport, body_is_open
        self.lingering = False
        self._left = _LINGER_BYTES

    def close(self) -> None:
        if self.lingering or self._transport.is_closing():
            return
        if self._body_is_open():
            self.linger()
        else:
            self._transport.close()

    def linger(self) -> None:
        """Close as `close` does while more is sent to us."""
        if self.lingering or self._transport.is_closing():
            return
        self.lingering = True
        self._transport.write_eof()
        self._transport.resume_reading()
        asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.close)

    def discard(self, n_bytes: int) -> None:
        """Count what comes after the reply; enough is enough."""
        self._left -= n_bytes
        if self._left < 0:
            self._transport.abort()

    def is_closing(self) -> bool:
        return self.lingering or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
