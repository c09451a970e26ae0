"""A WebSocket whose binary frames go straight to whom they are for.

uvicorn gives each message to a task, through a queue, and stops and starts reading from the socket
for it: 0.15 ms, ten times an answer. Here a whole binary frame costs a tenth of that. All other
frames, and all that is not as it should be, go uvicorn's way, a whole frame at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import apply_mask  # type: ignore[attr-defined]  # of C, where there is one
from websockets.protocol import State

_BINARY, _MASKED = 0x82, 0x80  # final, no extension; RFC 6455, 5.2


class FrameSocket(WebSocketsSansIOProtocol):
    """uvicorn's; `take`, once it is set, is called with each binary message."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.take: Callable[[bytes], None] | None = None
        self._rest = b""  # a frame that is not whole yet
        self._given_up = False

    def data_received(self, data: bytes) -> None:
        """Take what came: first the request, complete, then frames in any pieces."""
        if self._given_up or not self.handshake_initiated:
            super().data_received(data)
            return
        data = self._rest + data
        at = 0
        while (size := measure_frame(data, at)) is not None:
            start, end = size
            if end - start > self.config.ws_max_size:  # refused before it is whole
                self._given_up = True
                super().data_received(data[at:])
                return
            if end > len(data):
                break
            if data[at] == _BINARY and data[at + 1] & _MASKED and self._is_open():
                assert self.take is not None
                self.take(apply_mask(data[start:end], data[start - 4 : start]))
            else:
                super().data_received(data[at:end])
            at = end
        self._rest = data[at:]

    def _is_open(self) -> bool:
        """Whether a binary frame is a message of its own, and wanted."""
        return self.take is not None and not self.frames and self.conn.state is State.OPEN

    def handle_connect(self, event: Any) -> None:
        """Let the application find this socket in the request's state, as `frames`."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["state"]["frames"] = self

    def send_receive_event_to_app(self) -> None:
        """Give a message that came in several frames to whom it is for."""
        if self.take is None or self.curr_msg_data_type == "text":
            super().send_receive_event_to_app()
            return
        data = b"".join(self.frames)
        self.frames = []
        self.take(data)

    def pause(self) -> None:
        """Read nothing more for now: a client that goes on is slowed down."""
        self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if not self.transport.is_closing():
            self.transport.resume_reading()


def measure_frame(data: bytes, at: int) -> tuple[int, int] | None:
    """Return where the payload of the frame at `at` starts and ends; None if not known yet."""
    if len(data) - at < 2:
        return None
    n_bytes, start = data[at + 1] & 0x7F, at + 2
    for mark, form in ((126, ">H"), (127, ">Q")):
        if n_bytes == mark:
            if len(data) - start < struct.calcsize(form):
                return None
            (n_bytes,) = struct.unpack_from(form, data, start)
            start += struct.calcsize(form)
            break
    if data[at + 1] & _MASKED:
        start += 4
    return start, start + n_bytes
