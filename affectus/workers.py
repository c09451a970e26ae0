"""Worker processes that may die: a task's item that kills its worker costs that item, not the run.

`work_through` hands tasks to child processes, one each at a time. A task has numbered items, and
the child says which one it takes in hand; so when a child is killed, runs out of memory, hangs or
dies of a signal, it is known at which item, within a fraction of a second. The caller revises the
task (try once more, or leave the item out), and another child does it again from the start.

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
    task: Task | None = None
    item: int | None = None
    since: float = 0.0  # monotonic seconds when the item was taken in hand


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
    `on_item` is called as items are taken in hand.

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
                    child.task, child.item, child.since = to_do.popleft(), None, time.monotonic()
                    child.connection.send(child.task)
            for child in _stirred(children, seconds_per_item):
                results, failure = _hear(child, on_item)
                yield from results
                if failure is not None:
                    raise failure
                loss = _loss(child, seconds_per_item)
                if loss is None:
                    if results or child.item is not None:
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
    process = context.Process(target=_serve, args=(theirs, work, memory_bytes), daemon=True)
    # Else the user's script would run again in every child, from its first line.
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        process.start()
    finally:
        sys.modules["__main__"] = main
    theirs.close()
    return _Child(process, ours)


def _stirred(children: list[_Child[Task]], seconds: float) -> list[_Child[Task]]:
    """Wait until a child says something, dies or is overdue; return the children to look at."""
    busy = [child for child in children if child.task is not None]
    overdue = min(child.since + seconds for child in busy) - time.monotonic()
    sources: dict[object, _Child[Task]] = {child.connection: child for child in children}
    sources |= {child.process.sentinel: child for child in children}
    ready = wait(list(sources), timeout=max(0.0, overdue))  # type: ignore[arg-type]
    return list({id(sources[one]): sources[one] for one in ready}.values()) or busy


def _hear(
    child: _Child[Task], on_item: Callable[[], None]
) -> tuple[list[Any], BaseException | None]:
    """Take in all that a child has said: results, and what its work raised."""
    results = []
    try:
        while child.connection.poll():
            kind, value = child.connection.recv()
            if kind == "item":
                child.item, child.since = value, time.monotonic()
                on_item()
            elif kind == "done":
                results.append(value)
                child.task = child.item = None
            else:
                return results, value
    except (EOFError, OSError):  # it is gone; what it said before was heard
        pass
    return results, None


def _loss(child: _Child[Task], seconds: float) -> Loss | None:
    """Say what has become of a child that is dead or overdue; None of one that is neither."""
    item = -1 if child.item is None else child.item
    if child.task is not None and time.monotonic() - child.since > seconds:
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


def _serve(connection: Connection, work: Work[Any, Any], memory_bytes: int) -> None:
    """Do one task after another until the parent hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells everybody; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _leave_with_parent()

    def take(item: int) -> None:
        connection.send(("item", item))

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


def _leave_with_parent() -> None:
    """End this child when the process that started it is killed, which nothing else tells it."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
