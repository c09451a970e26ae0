"""Every recording is heard once, in worker processes; a few numbers of each are kept, no sound."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from affectus.errors import AuditError, MediaError
from affectus.fingerprint import fingerprint
from affectus.manifest import Clip, hash_file
from affectus.media import Limits, read_audio
from affectus.media.measures import find_cutoff, measure_level
from affectus.workers import TOO_LARGE, LostItemError, Take, WorkerError, work_through

Progress = Callable[[int, int], None]  # (clips heard, clips in all)

_CHUNK = 32  # clips a task


class Heard(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a recording that was heard.

    `sound` is the SHA-256 of its waveform at 16 kHz. `file_sha256` is that of the file's bytes now.
    `level` is in dB of full scale; `cutoff` is in Hz, None for a full band. `source_rate` (Hz),
    `n_channels` and `codec` are the file's.
    """

    sound: bytes
    file_sha256: str
    seconds: float
    level: float
    cutoff: int | None
    source_rate: int
    n_channels: int
    codec: str
    warnings: tuple[str, ...]
    fingerprint: bytes


class Refused(msgspec.Struct, frozen=True, gc=False):
    """Why a recording could not be heard: the gate's stable code, and its words."""

    code: str
    text: str


@dataclass(frozen=True)
class _Task:
    """A chunk of clips."""

    number: int
    clips: list[Clip]
    limits: Limits


def listen(
    clips: Sequence[Clip],
    *,
    limits: Limits = Limits(),
    workers: int = 0,
    on_progress: Progress = lambda heard, total: None,
) -> dict[str, Heard | Refused]:
    """Hear each clip once and return what was found of it, by clip id, in the clips' order.

    The work is done by `workers` child processes; with 0 it is done in this one, where a decoder
    that crashes ends everything. No waveform outlives the clip after it.

    Raises AuditError if worker processes cannot begin.
    """
    tasks = [
        _Task(number, list(clips[first : first + _CHUNK]), limits)
        for number, first in enumerate(range(0, len(clips), _CHUNK))
    ]
    taken = 0

    def count_item() -> None:
        nonlocal taken
        taken = min(taken + 1, len(clips))  # one that is tried again is counted again
        on_progress(taken, len(clips))

    try:
        chunks = dict(work_through(tasks, _hear_chunk, workers=workers, on_item=count_item))
    except WorkerError as error:
        raise AuditError(str(error)) from None
    found = (item for task in tasks for item in chunks[task.number])
    return {clip.clip_id: item for clip, item in zip(clips, found, strict=True)}


def _hear_chunk(task: _Task, take: Take) -> tuple[int, list[Heard | Refused]]:
    """Hear the clips of one task; the function that worker processes run."""
    found: list[Heard | Refused] = []
    hashes: dict[str, str] = {}  # of a file that many clips are stretches of
    for place, clip in enumerate(task.clips):
        try:
            take(place)
            found.append(_hear(clip, task.limits, hashes))
        except (MediaError, LostItemError) as error:
            found.append(Refused(error.code, error.text))
        except MemoryError:
            found.append(Refused(*TOO_LARGE))
    return task.number, found


def _hear(clip: Clip, limits: Limits, hashes: dict[str, str]) -> Heard:
    recording = read_audio(clip.path, start=clip.start, end=clip.end, limits=limits)
    waveform, rate = recording.waveform, recording.sample_rate
    if clip.file not in hashes:
        hashes[clip.file] = hash_file(clip.path)
    return Heard(
        hashlib.sha256(waveform.tobytes()).digest(),
        hashes[clip.file],
        recording.duration,
        measure_level(waveform, rate),
        find_cutoff(waveform, rate),
        recording.source_rate,
        recording.n_channels,
        f"{recording.container} {recording.codec}",
        tuple(warning.code for warning in recording.warnings),
        fingerprint(waveform, rate),
    )
