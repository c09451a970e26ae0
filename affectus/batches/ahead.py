"""Batches made in the background, so that a GPU does not wait for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_END = object()


def prepare_ahead(items: Iterable[T], prepare: Callable[[T], T], n_ahead: int = 2) -> Iterator[T]:
    """Yield prepared items in order, the next `n_ahead` being made by one thread meanwhile.

    Only that thread draws from `items`, so random numbers are drawn in the same order. What it
    raises is raised here. Stopped early, it makes what it has begun and no more.
    """
    source = iter(items)

    def make() -> Any:
        item: Any = next(source, _END)
        return item if item is _END else prepare(item)

    with ThreadPoolExecutor(1, "batches") as pool:
        waiting = deque(pool.submit(make) for _ in range(n_ahead))
        while (item := waiting.popleft().result()) is not _END:
            waiting.append(pool.submit(make))
            yield item
