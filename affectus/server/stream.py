"""One stream: what came in, what its child owes, and when it has to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from affectus.server.counters import Counters
from affectus.server.messages import Feed, Finish, Open
from affectus.server.pool import Pool
from affectus.server.replies import ErrorBody, RequestError

BYTES = {"s16": 2, "f32": 4}  # a sample, by format

_IDLE_SECONDS = 30.0
_LONGEST_SECONDS = 3_600.0
_SEND_SECONDS = 10.0  # that a client may leave an answer unread once no more fits
_MAX_BEHIND = 2  # hops that a child may be behind before no more is read
_MAX_BUSY = 5  # times in a row; then the stream is closed
_LEAD_SECONDS = 10.0  # of sound that may come in faster than it can have been spoken
_MESSAGES_PER_SECOND = 200

# Close codes: RFC 6455, 7.4.1; 1012 and 1013 of the IANA registry.
GOING_AWAY, WRONG_TYPE, POLICY, TOO_BIG, RESTART, LATER = 1001, 1003, 1008, 1009, 1012, 1013


class ClosedError(Exception):
    """The stream is to be closed: with that code, and why."""

    def __init__(self, code: int, name: str, text: str) -> None:
        super().__init__(code, name, text)
        self.code, self.name, self.text = code, name, text


class Stream:
    """One stream: what came in and is not sent on, and what the child owes.

    Messages come by `take`, which only ever counts and keeps; `run` waits for the end.
    """

    def __init__(
        self,
        socket: WebSocket,
        frames: Any,
        pool: Pool,
        counters: Counters,
        ask: Callable[[int], Open],
    ) -> None:
        self._socket, self._frames = socket, frames
        self._pool, self._counters = pool, counters
        self._open = ask(0)
        self._ask = ask
        self._frame = BYTES[self._open.form]
        self._held = bytearray()
        self._n_samples = self._n_messages = 0  # so far
        self._hop = round(self._open.hop * self._open.sample_rate)
        self._due = round(self._open.window * self._open.sample_rate)  # samples, for an answer
        self._behind = self._n_busy = 0
        self._waiting: asyncio.TimerHandle | None = None  # for the child to have room
        self._child: Any = None
        self._is_ready = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending = asyncio.Lock()
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._failed: asyncio.Future[None] = loop.create_future()
        self._began = self._heard = loop.time()
        self._idle = loop.call_later(_IDLE_SECONDS, self._check_idle)
        frames.take = self.take

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
        self._is_ready = True
        self._pass_on()
        receiving = self._loop.create_task(self._socket.receive())
        ends: set[asyncio.Future[Any]] = {receiving, self._failed}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._failed.done():
                self._failed.result()
            message = receiving.result()
        finally:
            receiving.cancel()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        if message.get("text") != "end":
            raise ClosedError(WRONG_TYPE, "text", "a text; expected samples in binary, or 'end'.")
        await self._finish()

    def take(self, data: bytes) -> None:
        """Keep samples; where an answer is due, send them on."""
        if self._failed.done():
            return
        self._heard = self._loop.time()
        self._n_messages += 1
        self._held += data
        self._n_samples += len(data) // self._frame
        try:
            self._check_pace(self._heard - self._began)
        except ClosedError as error:
            self._fail(error)
            return
        if self._n_samples >= self._due:
            self._pass_on()

    def _check_pace(self, seconds: float) -> None:
        if self._n_messages > _MESSAGES_PER_SECOND * (seconds + _LEAD_SECONDS):
            raise ClosedError(
                POLICY, "pace", f"more than {_MESSAGES_PER_SECOND} messages a second; send larger."
            )
        if self._n_samples / self._open.sample_rate > seconds + _LEAD_SECONDS:
            raise ClosedError(
                POLICY, "pace", "samples faster than they can be spoken; upload the recording."
            )
        if seconds > _LONGEST_SECONDS:
            raise ClosedError(GOING_AWAY, "long", "an hour is over. Begin a new stream.")

    def _check_idle(self) -> None:
        left = self._heard + _IDLE_SECONDS - self._loop.time()
        if left > 0 or self._waiting is not None:  # it is we who do not read
            self._idle = self._loop.call_later(max(left, 1.0), self._check_idle)
        else:
            text = f"no samples for {_IDLE_SECONDS:g} s. Begin again."
            self._fail(ClosedError(GOING_AWAY, "idle", text))

    def _fail(self, error: Exception) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    def _pass_on(self) -> None:
        """Send the samples for the answer that is due to the child, when it has room for more.

        While it has none nothing is read, so a client that is faster than we are is slowed down.
        One at the pace of speech cannot be: it is told, and the samples go with the next hop's.
        """
        if not self._is_ready or self._waiting is not None or self._n_samples < self._due:
            return
        if self._behind >= _MAX_BEHIND:
            self._frames.pause()
            self._waiting = self._loop.call_later(self._open.hop, self._give_in)
            return
        self._n_busy = 0
        self._behind += 1
        self._run(self._answer(self._take_held()))
        self._expect_next()

    def _give_in(self) -> None:
        """Tell that an answer will be late: the child has had no room for a whole hop."""
        self._waiting = None
        self._n_busy += 1
        self._counters.n_busy += 1
        if self._n_busy >= _MAX_BUSY:
            text = "the service cannot keep up. Try again later."
            self._fail(ClosedError(LATER, "busy", text))
            return
        self._run(self._say({"type": "busy"}))
        self._expect_next()
        self._frames.resume()

    def _expect_next(self) -> None:
        while self._due <= self._n_samples:
            self._due += self._hop

    def _take_held(self) -> bytes:
        """Return all whole samples that are held, and hold them no longer."""
        n_bytes = len(self._held) // self._frame * self._frame
        with memoryview(self._held) as view:
            body = bytes(view[:n_bytes])
        del self._held[:n_bytes]
        return body

    async def _answer(self, body: bytes) -> None:
        """Send samples on, and the answers back."""
        number = self._open.stream
        try:
            found = await self._pool.ask_child(self._child, lambda n: Feed(n, number), body)
            for segment in msgspec.json.decode(found, type=list[msgspec.Raw]):
                self._counters.n_stream_answers += 1
                await self._say({"type": "answer", "segment": segment})
        except (RequestError, ClosedError) as error:
            self._fail(error)
        finally:
            self._behind -= 1
            if self._waiting is not None and not self._waiting.cancelled():
                self._waiting.cancel()
                self._waiting = None
                self._frames.resume()
                self._pass_on()

    async def _finish(self) -> None:
        self._frames.take = None
        if self._waiting is not None:
            self._waiting.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._failed.done():
            self._failed.result()
        number, rest = self._open.stream, self._take_held()
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
            async with self._sending, asyncio.timeout(_SEND_SECONDS):
                await self._socket.send_text(text)
        except TimeoutError:
            raise ClosedError(POLICY, "slow", "answers are not read. Read them.") from None
        except (RuntimeError, WebSocketDisconnect):  # it has gone, which `run` will hear
            pass

    def _run(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, closed: ClosedError) -> None:
        """Say why, and close."""
        if self._socket.application_state is not WebSocketState.CONNECTED:
            return
        body = ErrorBody(closed.name, closed.text, self._socket.state.request_id)
        try:
            await self._say({"type": "error", "error": body})
            await self._socket.close(closed.code, closed.name)
        except (RuntimeError, WebSocketDisconnect, ClosedError):  # it has gone
            pass

    def drop(self) -> None:
        """Forget it here and in its child."""
        self._frames.take = None
        self._idle.cancel()
        if self._waiting is not None:
            self._waiting.cancel()
        if self._failed.done():
            self._failed.exception()  # or asyncio would tell that nobody looked at it
        for task in self._tasks:
            task.cancel()
        if self._child is not None:
            self._pool.drop(self._child, self._open.stream)
