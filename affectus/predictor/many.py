"""Many recordings at once, by child processes: a second of starting, then each has a processor.

Threads cannot share this work: nearly all of it is numpy on small arrays, which one thread at a
time may do. A recording that crashes its child or hangs costs that recording, not the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from affectus.errors import ConfigError, MediaError
from affectus.predictor.answers import Prediction
from affectus.predictor.sound import Source, name_source
from affectus.predictor.speech import SpeechDetection
from affectus.workers import TOO_LARGE, LostItemError, Take, WorkerError, work_through

MANY = 256  # recordings from which on children pay: a second of starting for two of work
_CHUNK = 16  # recordings given to a child at once
_SECONDS = 60.0  # for a recording, and as long as it may be


class _Answering(Protocol):
    def predict(self, *args: Any, **options: Any) -> Prediction: ...


_Kind = Callable[..., _Answering]  # `Predictor`, which imports this file, and so hands itself over


class _Task(NamedTuple):
    number: int
    kind: _Kind
    folder: Path
    speech: SpeechDetection
    sources: list[Source]
    options: dict[str, Any]  # of Predictor.predict


def predict_apart(
    kind: _Kind,
    folder: Path,
    speech: SpeechDetection,
    sources: Iterable[Source],
    options: dict[str, Any],
    workers: int,
) -> Iterator[Prediction | MediaError]:
    """Yield the answer to each of the sources in turn, or the MediaError in its place.

    They are asked for as children are free, so that few are at hand at once.

    Raises ConfigError if children cannot work.
    """
    remaining = iter(sources)
    chunks = iter(lambda: list(islice(remaining, _CHUNK)), [])
    tasks = (_Task(n, kind, folder, speech, chunk, options) for n, chunk in zip(count(), chunks))
    waiting: dict[int, list[Prediction | MediaError]] = {}
    following = 0
    seconds = max(_SECONDS, options["limits"].max_seconds)
    try:
        for number, answers in work_through(
            tasks, _answer, workers=workers, seconds_per_item=seconds
        ):
            waiting[number] = answers
            while following in waiting:
                yield from waiting.pop(following)
                following += 1
    except WorkerError as error:
        raise ConfigError(f"predict: {error}") from None


# --- in the child ------------------------------------------------------------------------------


def _answer(task: _Task, take: Take) -> tuple[int, list[Prediction | MediaError]]:
    """Answer each recording of a task."""
    predictor = _load(task.kind, task.folder, task.speech)
    found: list[Prediction | MediaError] = []
    for place, source in enumerate(task.sources):
        try:
            take(place)
            found.append(predictor.predict(source, **task.options))
        except MediaError as error:
            found.append(error)
        except LostItemError as lost:
            found.append(MediaError(lost.code, name_source(source), lost.text))
        except MemoryError:
            found.append(MediaError(TOO_LARGE[0], name_source(source), TOO_LARGE[1]))
    return task.number, found


@cache
def _load(kind: _Kind, folder: Path, speech: SpeechDetection) -> _Answering:
    return kind(folder, speech=speech)
