"""Worker processes that may die: a task's item that kills its worker costs that item, not the run.

`work_through` hands tasks to child processes, one each at a time. A task has numbered items, and
the child notes in shared memory which one it takes in hand; so when a child is killed, runs out of
memory, hangs or dies of a signal, it is known at which item, within a fraction of a second. Another
child then does the task again from the start; an item that has cost two children is given up, and
the others of its task are done.

Not `multiprocessing.Pool`, which waits for ever for a child that was killed (CPython issue 22393),
nor `ProcessPoolExecutor`, which gives up everything for one.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from types import ModuleType
from typing import Any, Generic, NamedTuple, TypeVar

from affectus.memory import keep_freed_memory

Task = TypeVar("Task")
Result = TypeVar("Result")

Take = Callable[[int], None]
Work = Callable[[Task, Take], Result]  # (task, take): `take(i)` before item i

SECONDS_PER_ITEM = 60.0
MEMORY_BYTES = 4 * 2**30  # of address space, for a child
TOO_LARGE = "E1605", "needs more memory than a worker may have"  # of an item with a MemoryError

_TRIES = 2  # at an item whose child died or hung
_START = 60.0  # s at least, until a child takes its first item
_STARTS = 3  # children in a row that may die before they take an item
_LOOK = 0.25  # s between two looks at which items are in hand
_THREADS = "OPENBLAS_NUM_THREADS"
_ITEM, _SINCE, _TAKEN = range(3)  # what a child notes: item, or -1; monotonic ns; items in all


class WorkerError(Exception):
    """Children die before they begin to work; the message is a whole sentence for the user."""


class LostItemError(Exception):
    """An item that is given up, as it has cost its child every time.

    `code` is that of a MediaError, E1603 (the child died) or E1604 (it hung); `text` says what was
    found.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


class _Loss(NamedTuple):
    """What happened to a child, and the item it had in hand. `timed_out`: it was ended by us."""

    item: int
    timed_out: bool
    text: str


@dataclass
class _Job(Generic[Task]):
    """A task, and how it was lost before."""

    task: Task
    losses: list[_Loss] = field(default_factory=list)

    def given_up(self) -> dict[int, tuple[str, str]]:
        """Return code and text of each item that is not to be tried again."""
        found = {}
        for item, times in Counter(loss.item for loss in self.losses).items():
            if times >= _TRIES:
                last = next(loss for loss in reversed(self.losses) if loss.item == item)
                code, what = ("E1604", "") if last.timed_out else ("E1603", "the decoder crashed: ")
                found[item] = (code, f"{what}{last.text}, {times} times")
        return found


@dataclass
class _Child(Generic[Task]):
    process: ForkServerProcess
    connection: Connection
    notes: Any  # shared memory that the child writes; no message an item, which would cost more
    job: _Job[Task] | None = None
    told: int = 0  # items that `on_item` has heard of

    @property
    def item(self) -> int:
        """The item in hand, or -1."""
        return int(self.notes[_ITEM])

    @property
    def seconds(self) -> float:
        """How long it has been in hand."""
        return float(time.monotonic_ns() - self.notes[_SINCE]) / 1e9

    def give(self, job: _Job[Task]) -> None:
        """Hand it a task."""
        self.job = job
        self.notes[_ITEM], self.notes[_SINCE] = -1, time.monotonic_ns()
        with suppress(ConnectionError):  # it died meanwhile, which will be seen
            self.connection.send((job.task, job.given_up()))


def work_through(
    tasks: Iterable[Task],
    work: Work[Task, Result],
    *,
    workers: int,
    seconds_per_item: float = SECONDS_PER_ITEM,
    memory_bytes: int = MEMORY_BYTES,
    on_item: Callable[[], None] = lambda: None,
) -> Generator[Result]:
    """Yield `work(task, take)` of every task, as each is ready, from `workers` child processes.

    `work` must be a function at the top of a module; it calls `take(i)` before its item i, which
    raises LostItemError if a child died or hung at it twice. An item longer in hand than
    `seconds_per_item` is such a loss; a child may hold `memory_bytes` of address space, beyond
    which it gets MemoryError. `on_item` is called for each item taken in hand, within a quarter of
    a second. With 0 workers all is done in this process, which nothing guards.

    Raises whatever `work` raises, and WorkerError if children die before they take an item.
    """
    if workers == 0:
        for task in tasks:
            yield work(task, lambda item: on_item())
        return
    # A server that has loaded what the work needs, and nothing else, forks the children: that
    # takes milliseconds, and no thread of this process is lost on the way.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__])
    remaining = iter(tasks)  # each is asked for when a child is free
    to_do = deque(_Job(task) for task in islice(remaining, 1))
    children: list[_Child[Task]] = []
    failed_starts = 0
    try:
        while to_do or any(child.job is not None for child in children):
            while to_do and len(children) < workers:
                children.append(_start(context, work, memory_bytes))
            for child in children:
                if child.job is None and to_do:
                    child.give(to_do.popleft())
                    if not to_do:
                        to_do.extend(_Job(task) for task in islice(remaining, 1))
            _wait(children)
            for child in list(children):
                results, failure = _hear(child)
                for _ in range(child.notes[_TAKEN] - child.told):
                    child.told += 1
                    on_item()
                yield from results
                if failure is not None:
                    raise failure
                loss = _loss(child, seconds_per_item)
                if loss is None:
                    if results or child.item >= 0:
                        failed_starts = 0
                    continue
                _end(child)
                children.remove(child)
                if child.job is None:
                    continue
                to_do.appendleft(child.job)
                if loss.item >= 0:
                    child.job.losses.append(loss)
                    continue
                failed_starts += 1
                if failed_starts >= _STARTS:
                    raise WorkerError(
                        f"worker processes die before they begin ({loss.text}); expected them to "
                        f"work. Take fewer --workers, or --workers 0 to see what happens."
                    )
    finally:
        for child in children:
            _end(child)


def _start(context: Any, work: Work[Task, Result], memory_bytes: int) -> _Child[Task]:
    ours, theirs = context.Pipe()
    notes = context.RawArray("q", 3)
    process = context.Process(target=_serve, args=(theirs, notes, work, memory_bytes), daemon=True)
    # Else the user's script would run again in every child, from its first line.
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    threads = os.environ.get(_THREADS)
    os.environ[_THREADS] = threads or "1"  # numpy's, in each of the children: they have one each
    # Ctrl-C is for every process of a terminal. Children inherit what is blocked, and so do not
    # end with a traceback while they still load; the parent hears of it all the same. The tracker
    # unblocks it where it is started, so it is started before.
    resource_tracker.ensure_running()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        sys.modules["__main__"] = main
        if threads is None:
            del os.environ[_THREADS]
    theirs.close()
    return _Child(process, ours, notes)


def _wait(children: list[_Child[Task]]) -> None:
    """Wait until a child says something or dies, or it is time to look at their notes."""
    sources = [source for c in children for source in (c.connection, c.process.sentinel)]
    wait(sources, timeout=_LOOK)


def _hear(child: _Child[Task]) -> tuple[list[Any], BaseException | None]:
    """Take in all that a child has said: results, and what its work raised."""
    results: list[Any] = []
    try:
        while child.connection.poll():
            kind, value = child.connection.recv()
            if kind == "raised":
                return results, value
            results.append(value)
            child.job = None
    except (EOFError, OSError):  # it is gone; what it said before was heard
        pass
    return results, None


def _loss(child: _Child[Task], seconds: float) -> _Loss | None:
    """Say what has become of a child that is dead or overdue; None of one that is neither."""
    item = child.item
    if item < 0:
        seconds = max(seconds, _START)
    if child.job is not None and child.seconds > seconds:
        return _Loss(item, True, f"took more than {seconds:g} s")
    if child.process.is_alive():
        return None
    child.process.join()
    code = child.process.exitcode or 0
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        return _Loss(item, False, f"its worker was ended by {name}{hint}")
    return _Loss(item, False, f"its worker left with exit code {code}")


def _end(child: _Child[Task]) -> None:
    child.process.kill()
    child.process.join()
    child.connection.close()


# --- in the child ------------------------------------------------------------------------------


def _serve(connection: Connection, notes: Any, work: Work[Any, Any], memory_bytes: int) -> None:
    """Do one task after another until the parent hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells everybody; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    keep_freed_memory()
    _leave_with_parent()

    def take(item: int) -> None:
        if item in given_up:
            raise LostItemError(*given_up[item])
        notes[_SINCE] = time.monotonic_ns()
        notes[_ITEM] = item
        notes[_TAKEN] += 1

    while True:
        try:
            task, given_up = connection.recv()
        except (EOFError, OSError):
            return
        try:
            message = ("done", work(task, take))
        except Exception as error:  # noqa: BLE001 - the parent raises it
            message = ("raised", error)
        connection.send(message)


def _leave_with_parent() -> None:
    """End this child when the process that started it is killed, which nothing else tells it."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
