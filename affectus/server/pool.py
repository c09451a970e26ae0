"""The children and what waits for them: recordings in, answers out, whoever dies on the way.

Each child is given two items at a time: while it works on one, the next lies ready in its socket.
An item is answered by itself, whatever else waits, so no answer depends on its neighbours; that
batches of one network call would be no faster was measured (1.20 ms alone, 1.08 ms of sixteen).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from affectus.console import say
from affectus.server.children import Child, Job, named, refuse, start_child
from affectus.server.messages import (
    Answer,
    Drop,
    Fault,
    Feed,
    Finish,
    Open,
    Predict,
    Ready,
    Refusal,
    Start,
    pack,
)  # fmt: skip
from affectus.server.pace import Pace
from affectus.server.replies import RequestError

_DEPTH = 2  # items that a child has at a time
_TRIES = 2  # times that an item may cost a child
_BEHIND = 0.5  # jobs that wait, for each stream, where no more streams are taken
_SECONDS = 60.0  # an item may be in hand
_LOOK = 0.25  # s between two looks at what is in hand
_LOST = "the stream's process ended. Begin the stream again."
_STOPPED = "the service stopped before it was answered. Send it again in a moment."
_NO_ANSWER = b"[]"
_PAUSES = (0.0, 0.0, 0.5, 2.0, 5.0)  # s before a child is started, by failed starts in a row


class Pool:
    """Child processes that answer. Make it in a running event loop, `start` it, `close` it."""

    def __init__(
        self,
        models: dict[str, str],
        *,
        n_children: int,
        max_waiting: int,
        max_seconds: float,
        memory_bytes: int,
    ) -> None:
        self._start = pack(Start(models, max_seconds, memory_bytes))
        self._n_children, self.max_waiting = n_children, max_waiting
        self._children: list[Child] = []
        self._waiting: deque[Job] = deque()
        self._numbers = iter(range(1, sys.maxsize))
        self._failed_starts = 0
        self._pace = Pace()
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.models: dict[str, Any] = {}
        self.held: list[str] = []
        self.n_lost = 0
        self.changed = asyncio.Event()  # set when a child becomes ready

    # --- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the children; `changed` is set when the first is ready."""
        for _ in range(self._n_children):
            self._run(self._begin())
        self._run(self._watch())

    async def close(self) -> None:
        """End the children; what is not answered by now never is."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        for child in list(self._children):
            child.process.kill()
        for child in list(self._children):
            await asyncio.to_thread(child.process.wait)

    def give_up(self) -> None:
        """Refuse what waits and what is in hand: the service stops, and its time is over."""
        for child in self._children:
            for job in (*child.jobs.values(), *child.waiting):
                refuse(job, "draining", _STOPPED)
        for job in self._waiting:
            refuse(job, "draining", _STOPPED)

    def _run(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _begin(self) -> None:
        """Start one child, after a pause if others failed to."""
        await asyncio.sleep(_PAUSES[min(self._failed_starts, len(_PAUSES) - 1)])
        if self._closed:
            return
        try:
            child, ours = start_child(self)
        except OSError as error:  # no more processes, no memory
            self._failed_starts += 1
            say(f"affectus serve: no child process: {error.strerror}; trying again")
            self._run(self._begin())
            return
        self._children.append(child)
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: child, sock=ours)
        child.send(self._start)

    async def _watch(self) -> None:
        """End children that have an item in hand for too long."""
        while True:
            await asyncio.sleep(_LOOK)
            for child in self._children:
                if child.in_hand[1] > _SECONDS:
                    child.overdue = True
                    child.process.kill()

    # --- what children say ---------------------------------------------------------------------

    def hear(self, child: Child, message: Any, body: bytes) -> None:
        """Take in what a child says."""
        match message:
            case Ready():
                child.ready = True
                self._failed_starts = 0
                self.models, self.held = msgspec.json.decode(body), message.held
                self.changed.set()
            case Answer():
                job = child.jobs.pop(message.number)
                self._note_time(child, job, body)
                if not job.future.done():
                    job.future.set_result(body)
            case Refusal():
                job = child.jobs.pop(message.number)
                if not job.future.done():
                    job.future.set_exception(RequestError(message.code, message.text))
            case Fault():
                say(f"affectus serve: a child ended by an error of ours:\n{message.text}")
        self._deal()

    def lose(self, child: Child) -> None:
        """A child is gone: do its items again elsewhere, but one that cost two children."""
        self._children.remove(child)
        if self._closed:
            return
        self._run(self._bury(child))
        self.n_lost += child.ready
        self._failed_starts += not child.ready
        in_hand = child.in_hand[0]
        for job in child.waiting:
            refuse(job, "lost", _LOST)
        for number, job in reversed(child.jobs.items()):
            job.tries += number == in_hand
            if not isinstance(job.ask, Predict):
                refuse(job, "lost", _LOST)
            elif number == in_hand and child.overdue:
                refuse(job, "E1604", named(job, f"took more than {_SECONDS:g} s; left out."))
            elif job.tries >= _TRIES:
                refuse(job, "E1603", named(job, "the decoder crashed on it, twice; left out."))
            else:
                self._waiting.appendleft(job)
        self._run(self._begin())
        self._deal()

    async def _bury(self, child: Child) -> None:
        child.process.kill()  # it may have closed its socket and live on
        await asyncio.to_thread(child.process.wait)

    # --- what is asked of them -----------------------------------------------------------------

    @property
    def n_ready(self) -> int:
        """How many children can work."""
        return sum(child.ready for child in self._children)

    @property
    def n_waiting(self) -> int:
        """How many items no child has yet."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether another recording would have to wait too long."""
        return len(self._waiting) >= self.max_waiting or not self.n_ready

    async def predict(self, make: Callable[[int], Predict], body: bytes) -> bytes:
        """Return the answer for a recording in JSON; `make` gives the question its number.

        Raises RequestError.
        """
        job = self._job(make(next(self._numbers)), body)
        self._waiting.append(job)
        self._deal()
        return await job.future

    # --- streams, which stay with one child ----------------------------------------------------

    @property
    def behind(self) -> bool:
        """Whether the streams there are keep every child busy already."""
        return all(len(c.waiting) > _BEHIND * max(1, c.n_streams) for c in self._children)

    def can_keep(self, n_answers: float) -> bool:
        """Whether streams may be promised so many answers a second."""
        return self._pace.allows(n_answers, self.n_ready)

    def _note_time(self, child: Child, job: Job, body: bytes) -> None:
        """Learn how long a child takes for a stream's answer: from when it could begin.

        Samples that complete no window, as a stream's last ones, are no answer.
        """
        now = time.monotonic()
        took = now - max(job.given, child.answered)
        child.answered = now
        if isinstance(job.ask, Feed) and body != _NO_ANSWER:
            self._pace.learn(took)

    def place(self) -> Child:
        """Return the child that has the fewest streams, for one more. Raises RequestError."""
        ready = [child for child in self._children if child.ready]
        if not ready:
            raise RequestError("busy", "no worker is ready yet. Try again in a moment.")
        child = min(ready, key=lambda child: child.n_streams)
        child.n_streams += 1
        return child

    async def ask_child(
        self, child: Child, make: Callable[[int], Open | Feed | Finish], body: bytes = b""
    ) -> bytes:
        """Return that child's answer in JSON. Raises RequestError, "lost" if it has ended."""
        if child not in self._children:
            raise RequestError("lost", _LOST)
        job = self._job(make(next(self._numbers)), body)
        child.waiting.append(job)
        self._deal()
        return await job.future

    def drop(self, child: Child, stream: int) -> None:
        """Tell a child to forget a stream."""
        child.n_streams -= 1
        if child in self._children:
            child.send(pack(Drop(stream)))

    # --- the order of things -------------------------------------------------------------------

    def _job(self, ask: Any, body: bytes) -> Job:
        return Job(ask, body, asyncio.get_running_loop().create_future())

    def _deal(self) -> None:
        """Give what waits to children that have room: what came first, to the least busy."""
        for room in range(1, _DEPTH + 1):
            for child in self._children:
                if not child.ready or len(child.jobs) >= room:
                    continue
                if (job := self._next(child)) is None:
                    continue
                child.jobs[job.ask.number] = job
                job.given = time.monotonic()
                child.send(pack(job.ask, job.body))

    def _next(self, child: Child) -> Job | None:
        """Take the oldest of what that child could do; what nobody waits for any more is gone."""
        for queue in (child.waiting, self._waiting):
            while queue and queue[0].future.done():
                queue.popleft()
        ours, common = child.waiting, self._waiting
        if not ours and not common:
            return None
        if not common or (ours and ours[0].ask.number < common[0].ask.number):
            return ours.popleft()
        return common.popleft()
