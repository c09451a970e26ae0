"""The same tasks beyond one machine, on Ray: the store lies on a folder that every node sees.

A task is idempotent, so Ray may do it again elsewhere when a node dies; the index is written by the
process that called, alone. The shards are those of a run on one machine, byte for byte.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

from affectus.errors import ExtractionError

Task = TypeVar("Task")
Result = TypeVar("Result")

_RETRIES = 5  # nodes that may die under one task


def run_on_ray(
    tasks: Sequence[Task],
    work: Callable[[Task], Result],
    *,
    address: str | None = None,
) -> Generator[Result]:
    """Yield `work(task)` of every task, as each is ready, from the nodes of a Ray cluster.

    `address` is a cluster's ('10.0.0.1:6379'); None takes the environment's RAY_ADDRESS, or starts
    Ray on this machine. `work` must be importable on every node.

    Raises ExtractionError if the cluster cannot be reached, or a task cannot be done on any node.
    """
    import ray
    from ray.exceptions import RayError

    try:
        ray.init(
            address=address,
            ignore_reinit_error=True,
            log_to_driver=False,
            include_dashboard=False,  # whoever reaches it runs what they like; CVE-2023-48022
            logging_level=logging.ERROR,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ExtractionError(
            f"Ray at '{address}': {reason}; expected a cluster. Start one with: ray start --head"
        ) from None
    remote: Any = ray.remote(max_retries=_RETRIES, num_cpus=1)(work)
    waiting = [remote.remote(task) for task in tasks]
    try:
        while waiting:
            (ready, *_), waiting = ray.wait(waiting)
            yield ray.get(ready)
    except RayError as error:
        reason = str(error).strip().splitlines()[0]
        raise ExtractionError(
            f"Ray: a task could not be done ({reason}); expected it done. What was committed is "
            f"safe: run the command again."
        ) from None
    finally:
        for task in waiting:
            ray.cancel(task, force=True)
