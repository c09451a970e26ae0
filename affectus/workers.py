"""Worker processes that may die: a task's item that kills its worker costs that item, not the run.

`work_through` hands tasks to child processes, one each at a time. A task has numbered items, and
the child notes in shared memory which one it takes in hand; so when a child is killed, runs out of
memory, hangs or dies of a signal, it is known at which item, within a fraction of a second. The
caller revises the task (try once more, or leave the item out), and another child does it again from
the start.

Not `multiprocessing.Pool`, which waits for ever for a child that was killed (CPython issue 22393),
nor `ProcessPoolExecutor`, which gives up everything for one.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from types import ModuleType
from typing import Any, Generic, NamedTuple, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

Work = Callable[[Task, Callable[[int], None]], Result]  # (task, take): `take(i)` before item i

_STARTS = 3  # children in a row that may die before they take an item
_LOOK = 0.25  # s between two looks at which items are in hand
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_ITEM, _SINCE, _TAKEN = range(3)  # what a child notes: item, or -1; monotonic ns; items in all


class WorkerError(Exception):
    """Children die before they begin to work."""


class Loss(NamedTuple):
    """What happened to a child, and the item it had in hand. `timed_out`: it was ended by us."""

    item: int
    timed_out: bool
    text: str


@dataclass
class _Child(Generic[Task]):
    process: ForkServerProcess
    connection: Connection
    notes: Any  # shared memory that the child writes; no message an item, which would cost more
    task: Task | None = None
    told: int = 0  # items that `on_item` has heard of

    @property
    def item(self) -> int:
        """The item in hand, or -1."""
        return int(self.notes[_ITEM])

    @property
    def seconds(self) -> float:
        """How long it has been in hand."""
        return float(time.monotonic_ns() - self.notes[_SINCE]) / 1e9

    def give(self, task: Task) -> None:
        """Hand it a task."""
        self.task = task
        self.notes[_ITEM], self.notes[_SINCE] = -1, time.monotonic_ns()
        self.connection.send(task)


def work_through(
    tasks: Iterable[Task],
    work: Work[Task, Result],
    *,
    workers: int,
    revise: Callable[[Task, Loss], Task],
    seconds_per_item: float = 60.0,
    memory_bytes: int = 4 * 2**30,
    on_item: Callable[[], None] = lambda: None,
) -> Generator[Result]:
    """Yield `work(task, take)` of every task, as each is ready, from `workers` child processes.

    `work` must be a function at the top of a module. `revise(task, loss)` returns the task to be
    done instead of one whose child was lost. An item longer in hand than `seconds_per_item` is a
    loss; a child may hold `memory_bytes` of address space, beyond which it gets MemoryError.
    `on_item` is called for each item taken in hand, within a quarter of a second.

    Raises whatever `work` raises, and WorkerError if children die before they take an item.
    """
    # A server that has loaded what the work needs, and nothing else, forks the children: that
    # takes milliseconds, and no thread of this process is lost on the way.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__])
    to_do = deque(tasks)
    children: list[_Child[Task]] = []
    failed_starts = 0
    try:
        while to_do or any(child.task is not None for child in children):
            while to_do and len(children) < workers:
                children.append(_start(context, work, memory_bytes))
            for child in children:
                if child.task is None and to_do:
                    child.give(to_do.popleft())
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
                if child.task is None:
                    continue
                if loss.item >= 0:
                    to_do.appendleft(revise(child.task, loss))
                    continue
                failed_starts += 1
                if failed_starts >= _STARTS:
                    raise WorkerError(loss.text)
                to_do.appendleft(child.task)
    finally:
        for child in children:
            _end(child)


def _start(context: Any, work: Work[Task, Result], memory_bytes: int) -> _Child[Task]:
    ours, theirs = context.Pipe()
    notes = context.RawArray("q", 3)
    process = context.Process(target=_serve, args=(theirs, notes, work, memory_bytes), daemon=True)
    # Else the user's script would run again in every child, from its first line.
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        process.start()
    finally:
        sys.modules["__main__"] = main
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
            child.task = None
    except (EOFError, OSError):  # it is gone; what it said before was heard
        pass
    return results, None


def _loss(child: _Child[Task], seconds: float) -> Loss | None:
    """Say what has become of a child that is dead or overdue; None of one that is neither."""
    item = child.item
    if child.task is not None and child.seconds > seconds:
        return Loss(item, True, f"took more than {seconds:g} s")
    if child.process.is_alive():
        return None
    child.process.join()
    code = child.process.exitcode or 0
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        return Loss(item, False, f"its worker was ended by {name}{hint}")
    return Loss(item, False, f"its worker left with exit code {code}")


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
    _keep_freed_memory()
    _leave_with_parent()

    def take(item: int) -> None:
        notes[_SINCE] = time.monotonic_ns()
        notes[_ITEM] = item
        notes[_TAKEN] += 1

    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        try:
            message = ("done", work(task, take))
        except Exception as error:  # noqa: BLE001 - the parent raises it
            message = ("raised", error)
        connection.send(message)


def _keep_freed_memory() -> None:
    """Let the allocator keep what is freed, as it does by itself after a while.

    A young process gives each array of some hundred kilobytes back to the system and asks for it
    anew, and every page of it is filled with zeros each time: log-mel took 3.0 ms a clip, not 2.1.
    **Source:** mallopt(3); glibc alone has it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, n_bytes in ((_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 256 << 20)):
            mallopt(option, n_bytes)


def _leave_with_parent() -> None:
    """End this child when the process that started it is killed, which nothing else tells it."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
