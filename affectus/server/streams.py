"""Live audio over a WebSocket: samples in, an answer each hop, the whole at the end.

The client sends binary messages of mono samples, little-endian, and the text `end` when it is
done. It gets JSON texts: `{"type": "ready", …}` first, `{"type": "answer", "segment": …}` each
hop, `{"type": "busy"}` where an answer will be late, `{"type": "final", "prediction": …}` at the
end, `{"type": "error", "error": …}` before a close for cause.

A stream lives in one child. Its samples are gathered here until an answer is due and sent over at
once, so a child wakes once an answer, not once a message.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from affectus.server.counters import Counters
from affectus.server.messages import Feed, Finish, Open
from affectus.server.pool import Pool, RequestError
from affectus.server.replies import ErrorBody, error_reply
from affectus.server.routes import read_options
from affectus.server.settings import Settings

PROTOCOL = "affectus.v1"  # a page that presents a token must offer another one, too

_OPTIONS = {"model", "rate", "format", "window", "hop", "labels"}
_BYTES = {"s16": 2, "f32": 4}  # a sample
_RATES = (8_000, 96_000)  # Hz
_IDLE_SECONDS = 30.0
_LONGEST_SECONDS = 3_600.0
_SEND_SECONDS = 10.0  # that a client may leave an answer unread once no more fits
_MAX_BEHIND = 2  # hops that a child may be behind before no more is read
_MAX_BUSY = 5  # times in a row; then the stream is closed
_LEAD_SECONDS = 10.0  # of sound that may come in faster than it can have been spoken
_MESSAGES_PER_SECOND = 200

# Close codes: RFC 6455, 7.4.1; 1012 and 1013 of the IANA registry.
_GOING_AWAY, _WRONG_TYPE, _POLICY, _TOO_BIG, _RESTART, _LATER = 1001, 1003, 1008, 1009, 1012, 1013


class _ClosedError(Exception):
    """The stream is to be closed: with that code, and why."""

    def __init__(self, code: int, name: str, text: str) -> None:
        super().__init__(code, name, text)
        self.code, self.name, self.text = code, name, text


class Streams:
    """The streams that are open."""

    def __init__(self, settings: Settings, pool: Pool, counters: Counters) -> None:
        self._settings, self._pool, self._counters = settings, pool, counters
        self._numbers = itertools.count(1)

    async def serve(self, socket: WebSocket) -> None:
        """Serve one stream to its end."""
        try:
            ask = self._read(socket)
        except RequestError as refused:
            await socket.send_denial_response(error_reply(refused, socket.state.request_id))
            return
        offered = socket.scope.get("subprotocols", [])
        protocol = PROTOCOL if PROTOCOL in offered else None
        await socket.accept(subprotocol=protocol)
        self._counters.n_streams += 1
        stream = _Stream(socket, self._pool, self._counters, ask)
        try:
            await stream.run()
        except WebSocketDisconnect:
            pass
        except _ClosedError as closed:
            await stream.close(closed)
        except RequestError as refused:
            code = _RESTART if refused.code == "lost" else _POLICY
            await stream.close(_ClosedError(code, refused.code, refused.text))
        finally:
            self._counters.n_streams -= 1
            stream.drop()

    def _read(self, socket: WebSocket) -> Callable[[int], Open]:
        """Return the question that opens a stream, but for its number. Raises RequestError."""
        options = read_options(socket, _OPTIONS)
        first = {name: values[0] for name, values in options.items()}
        model = first.get("model", next(iter(self._settings.models)))
        if model not in self._settings.models:
            known = ", ".join(self._settings.models)
            raise RequestError("options", f"no model '{model}'; known models: {known}.")
        form = first.get("format", "s16")
        if form not in _BYTES:
            raise RequestError("options", f"format is '{form}'; expected s16 or f32.")
        rate = _within(first, "rate", 16_000, *_RATES)
        window = _within(first, "window", 3.0, 0.5, 30.0)
        hop = _within(first, "hop", min(1.0, window), 0.25, window)
        if self._counters.n_streams >= self._settings.max_streams or self._pool.behind:
            raise RequestError("busy", "too many streams already. Try again in a moment.")
        number = next(self._numbers)
        labels = first.get("labels")
        return lambda n: Open(n, number, model, int(rate), form, window, hop, labels)


def _within(options: dict[str, str], name: str, usual: float, low: float, high: float) -> float:
    text = options.get(name)
    try:
        value = usual if text is None else float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise RequestError("options", f"{name} is '{text}'; expected {low:g} to {high:g}.")
    return value


class _Stream:
    """One stream: what came in and is not sent on, and what the child owes."""

    def __init__(
        self, socket: WebSocket, pool: Pool, counters: Counters, ask: Callable[[int], Open]
    ) -> None:
        self._socket, self._pool, self._counters = socket, pool, counters
        self._open = ask(0)
        self._ask = ask
        self._frame = _BYTES[self._open.form]
        self._held = bytearray()
        self._n_samples = 0  # so far
        self._due = round(self._open.window * self._open.sample_rate)  # samples, for an answer
        self._behind = self._n_busy = 0
        self._child: Any = None
        self._failure: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending = asyncio.Lock()
        self._room = asyncio.Event()  # the child is not behind
        self._room.set()

    async def run(self) -> None:
        """Take samples until the end, then send the whole's answer."""
        self._child = self._pool.place()
        await self._pool.ask_child(self._child, self._ask)
        ask = self._open
        await self._say(
            {
                "type": "ready",
                "model": ask.model,
                "rate": ask.sample_rate,
                "window": ask.window,
                "hop": ask.hop,
            }
        )
        clock = asyncio.get_running_loop().time
        began, n_messages = clock(), 0
        while True:
            try:
                message = await asyncio.wait_for(self._socket.receive(), _IDLE_SECONDS)
            except TimeoutError:
                raise _ClosedError(
                    _GOING_AWAY, "idle", f"no samples for {_IDLE_SECONDS:g} s. Begin again."
                ) from None
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005))
            if self._failure is not None:
                raise self._failure
            data = message.get("bytes")
            if data is None:
                if message.get("text") == "end":
                    await self._finish()
                    return
                raise _ClosedError(
                    _WRONG_TYPE, "text", "a text; expected samples in binary, or 'end'."
                )
            n_messages += 1
            seconds = clock() - began
            self._check_pace(seconds, n_messages)
            await self._take(data)

    def _check_pace(self, seconds: float, n_messages: int) -> None:
        if n_messages > _MESSAGES_PER_SECOND * (seconds + _LEAD_SECONDS):
            raise _ClosedError(
                _POLICY, "pace", f"more than {_MESSAGES_PER_SECOND} messages a second; send larger."
            )
        if self._n_samples / self._open.sample_rate > seconds + _LEAD_SECONDS:
            raise _ClosedError(
                _POLICY, "pace", "samples faster than they can be spoken; upload the recording."
            )
        if seconds > _LONGEST_SECONDS:
            raise _ClosedError(_GOING_AWAY, "long", "an hour is over. Begin a new stream.")

    async def _take(self, data: bytes) -> None:
        """Keep samples; where an answer is due, send them on, when the child has room for more.

        While it waits nothing is read, so a client that is faster than we are is slowed down. One
        at the pace of speech cannot be: it is told, and the samples go with those of the next hop.
        """
        self._held += data
        self._n_samples += len(data) // self._frame
        if self._n_samples < self._due:
            return
        if not self._room.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), self._open.hop)
        hop = round(self._open.hop * self._open.sample_rate)
        if not self._room.is_set():
            self._n_busy += 1
            self._counters.n_busy += 1
            self._run(self._say({"type": "busy"}))
            if self._n_busy >= _MAX_BUSY:
                raise _ClosedError(_LATER, "busy", "the service cannot keep up. Try again later.")
        else:
            self._n_busy = 0
            n_bytes = len(self._held) // self._frame * self._frame
            body = bytes(memoryview(self._held)[:n_bytes])
            del self._held[:n_bytes]
            self._behind += 1
            if self._behind >= _MAX_BEHIND:
                self._room.clear()
            self._run(self._answer(body))
        while self._due <= self._n_samples:
            self._due += hop

    async def _answer(self, body: bytes) -> None:
        """Send samples on, and the answers back."""
        number = self._open.stream
        try:
            found = await self._pool.ask_child(self._child, lambda n: Feed(n, number), body)
            for segment in msgspec.json.decode(found, type=list[msgspec.Raw]):
                self._counters.n_stream_answers += 1
                await self._say({"type": "answer", "segment": segment})
        except (RequestError, _ClosedError) as error:
            self._failure = error
            await self._interrupt(error)
        finally:
            self._behind -= 1
            self._room.set()

    async def _interrupt(self, error: RequestError | _ClosedError) -> None:
        """Tell the client now; it may have nothing more to send."""
        if isinstance(error, RequestError):
            code = _RESTART if error.code == "lost" else _POLICY
            error = _ClosedError(code, error.code, error.text)
        await self.close(error)

    async def _finish(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._failure is not None:
            return
        number = self._open.stream
        n_bytes = len(self._held) // self._frame * self._frame
        rest = bytes(memoryview(self._held)[:n_bytes])
        found = await self._pool.ask_child(self._child, lambda n: Feed(n, number), rest)
        for segment in msgspec.json.decode(found, type=list[msgspec.Raw]):
            await self._say({"type": "answer", "segment": segment})
        whole = await self._pool.ask_child(self._child, lambda n: Finish(n, number))
        await self._say({"type": "final", "prediction": msgspec.Raw(whole)})
        await self._socket.close(1000)

    async def _say(self, value: dict[str, Any]) -> None:
        """Send a text; a client that does not read is left."""
        text = msgspec.json.encode(value).decode()
        try:
            async with self._sending:
                await asyncio.wait_for(self._socket.send_text(text), _SEND_SECONDS)
        except TimeoutError:
            raise _ClosedError(_POLICY, "slow", "answers are not read. Read them.") from None
        except (RuntimeError, WebSocketDisconnect):  # it has gone, which `run` will hear
            pass

    def _run(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, closed: _ClosedError) -> None:
        """Say why, and close."""
        if self._socket.application_state is not WebSocketState.CONNECTED:
            return
        body = ErrorBody(closed.name, closed.text, self._socket.state.request_id)
        try:
            await self._say({"type": "error", "error": body})
            await self._socket.close(closed.code, closed.name)
        except (RuntimeError, WebSocketDisconnect, _ClosedError):  # it has gone
            pass

    def drop(self) -> None:
        """Forget it here and in its child."""
        for task in self._tasks:
            task.cancel()
        if self._child is not None:
            self._pool.drop(self._child, self._open.stream)


def stream_route(streams: Streams) -> WebSocketRoute:
    """Return the route of live audio."""
    return WebSocketRoute("/v1/stream", streams.serve)
