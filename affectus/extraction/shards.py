"""Making one shard: the idempotent task, and a clip's way through it."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectus.errors import LimitError, MediaError
from affectus.features import Extractor, restore_extractor
from affectus.fingerprint import fingerprint
from affectus.manifest import Clip
from affectus.media import Limits, read_audio
from affectus.store import Note, Result, write_shard
from affectus.workers import TOO_LARGE, LostItemError, Take


@dataclass(frozen=True)
class Task:
    """What a worker needs to make one shard; plain values that travel to any process."""

    folder: Path
    record: dict[str, Any]
    decoder: str
    shard: int
    clips: list[Clip]
    limits: Limits
    seconds_per_clip: float
    memory_bytes: int


def make_shard(task: Task, take: Take) -> tuple[int, str, list[Result]]:
    """Decode and extract one shard's clips and write its file; the idempotent task."""
    extractor = restore_extractor(task.record)
    arrays: dict[str, NDArray[np.float32]] = {}
    results = []
    for place, clip in enumerate(task.clips):
        try:
            take(place)
            frames, result = _extract_clip(clip, extractor, task.limits)
        except MediaError as error:
            results.append(Result(clip.content_key, code=error.code, reason=error.text))
        except LostItemError as lost:
            text = f"{lost.text}; expected features. Leave it out."
            results.append(Result(clip.content_key, code=lost.code, reason=text))
        except MemoryError:
            code, found = TOO_LARGE
            text = f"{found}; expected less. Cut the recording."
            results.append(Result(clip.content_key, code=code, reason=text))
        else:
            arrays[clip.content_key] = frames
            results.append(result)
    # With its note, so that the index can be made again from the shards.
    note = Note(
        {**task.record, "decoder": task.decoder},
        [(clip.clip_id, result) for clip, result in zip(task.clips, results, strict=True)],
    )
    sha256 = write_shard(task.folder, extractor.name, task.shard, arrays, note)
    return task.shard, sha256, results


def _extract_clip(
    clip: Clip, extractor: Extractor, limits: Limits
) -> tuple[NDArray[np.float32], Result]:
    """Return a clip's frames [T, D], and the hash and the fingerprint of its decoded sound."""
    name = str(clip.path)
    try:
        found = clip.path.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for, without end
            raise MediaError("E1000", name, "not a regular file; expected the clip.")
        if found.st_size > limits.max_bytes:
            text = f"{found.st_size:,} bytes; the limit is {limits.max_bytes:,}. Cut the recording."
            raise LimitError("E1501", name, text)
        data = clip.path.read_bytes()
    except OSError as error:
        raise MediaError("E1000", name, f"{error.strerror}; expected the clip.") from None
    if hashlib.sha256(data).hexdigest() != clip.sha256:
        raise MediaError(
            "E1005", name, "changed since the import; expected the same bytes. Import again."
        )
    recording = read_audio(
        data,
        name=name,
        sample_rate=extractor.sample_rate,
        start=clip.start,
        end=clip.end,
        limits=limits,
    )
    for code, text in recording.warnings:
        if code == "W1101":  # half a file may be answered for, but not learnt from
            raise MediaError("E1101", name, text)
    frames = extractor(recording.waveform, recording.sample_rate)
    return frames, Result(
        clip.content_key,
        len(frames),
        hashlib.sha256(recording.waveform.tobytes()).hexdigest(),
        fingerprint=fingerprint(recording.waveform, recording.sample_rate),
    )
