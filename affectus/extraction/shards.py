"""Making one shard: the idempotent task, and a clip's way through it."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectus.errors import LimitError, MediaError
from affectus.face_rows import split_rows
from affectus.features import Extractor, FaceExtractor, restore_extractor, sees
from affectus.features.face import Watch
from affectus.fingerprint import fingerprint
from affectus.manifest import Clip
from affectus.media import (
    Frame,
    Limits,
    MediaWarning,
    Recording,
    cut_frames,
    open_video,
    read_audio,
)
from affectus.store import Note, Result, Spool, Spooled, disk_errors, write_shard
from affectus.workers import TOO_LARGE, LostItemError, Take

_FRAMES = 64  # of a film whose rows are in memory: 0.8 MB of crops
_MOST_SAMPLES = 20_000_000  # decoded and waiting for company: 80 MB, 20 minutes


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
    arrays: Mapping[str, NDArray[Any] | Spooled]
    with Spool(task.folder) as spool:
        if sees(extractor):
            arrays, results = _look_at_clips(task, take, extractor, spool)
        else:
            arrays, results = _hear_clips(task, take, extractor)
        # With its note, so that the index can be made again from the shards.
        note = Note(
            {**task.record, "decoder": task.decoder},
            [(clip.clip_id, results[place]) for place, clip in enumerate(task.clips)],
        )
        sha256 = write_shard(task.folder, extractor.name, task.shard, arrays, note)
    return task.shard, sha256, [results[place] for place in range(len(task.clips))]


def _look_at_clips(
    task: Task, take: Take, extractor: FaceExtractor, spool: Spool
) -> tuple[dict[str, Spooled], dict[int, Result]]:
    """Return the rows of a shard's films by key, and what became of each by its place."""
    arrays: dict[str, Spooled] = {}
    results: dict[int, Result] = {}
    for place, clip in enumerate(task.clips):
        with _noting_failure(results, place, clip):
            take(place)
            data = _read_clip(clip, task.limits)
            arrays[clip.content_key], results[place] = _look_at_clip(
                clip, data, extractor, task.limits, spool
            )
    return arrays, results


def _hear_clips(
    task: Task, take: Take, extractor: Extractor
) -> tuple[dict[str, NDArray[Any]], dict[int, Result]]:
    """Return the features of a shard's recordings by key, and what became of each by its place."""
    arrays: dict[str, NDArray[Any]] = {}
    results: dict[int, Result] = {}
    heard: dict[int, Recording] = {}  # decoded, and not yet extracted
    for place, clip in enumerate(task.clips):
        with _noting_failure(results, place, clip):
            take(place)
            data = _read_clip(clip, task.limits)
            heard[place] = _hear_clip(clip, data, extractor.sample_rate, task.limits)
        held = sum(len(recording.waveform) for recording in heard.values())
        if held >= _held_at_once(extractor) or place + 1 == len(task.clips):
            for group in _groups(extractor, heard):
                _extract_together(task.clips, heard, group, extractor, take, arrays, results)
            heard = {}
    return arrays, results


@contextmanager
def _noting_failure(results: dict[int, Result], place: int, clip: Clip) -> Generator[None]:
    """Keep why a clip has no features, where that is the clip's own fault."""
    try:
        yield
    except MediaError as error:
        results[place] = Result(clip.content_key, code=error.code, reason=error.text)
    except LostItemError as lost:
        text = f"{lost.text}; expected features. Leave it out."
        results[place] = Result(clip.content_key, code=lost.code, reason=text)
    except MemoryError:
        code, found = TOO_LARGE
        text = f"{found}; expected less. Cut the recording."
        results[place] = Result(clip.content_key, code=code, reason=text)


def _held_at_once(extractor: Extractor) -> int:
    """Return how many samples are decoded before features are made of them."""
    return _MOST_SAMPLES if hasattr(extractor, "many") else 1


def _groups(extractor: Any, heard: Mapping[int, Recording]) -> list[list[int]]:
    """Return which clips an extractor computes together: like lengths, or each alone."""
    places = list(heard)
    if not hasattr(extractor, "many"):
        return [[place] for place in places]
    lengths = [len(heard[place].waveform) for place in places]
    return [[places[i] for i in group] for group in extractor.batches(lengths)]


def _extract_together(
    clips: Sequence[Clip],
    heard: Mapping[int, Recording],
    group: Sequence[int],
    extractor: Any,
    take: Take,
    arrays: dict[str, NDArray[Any]],
    results: dict[int, Result],
) -> None:
    """Extract a group of decoded clips; one by one where together they need too much memory."""
    found: dict[int, NDArray[np.float32]] = {}
    if len(group) > 1:
        with suppress(MemoryError, LostItemError):
            take(group[0])
            waveforms = [heard[place].waveform for place in group]
            made = extractor.many(waveforms, extractor.sample_rate)
            found = dict(zip(group, made, strict=True))
    for place in group:
        clip, recording = clips[place], heard[place]
        with _noting_failure(results, place, clip):
            if place not in found:
                if len(group) > 1:
                    take(place)
                found[place] = extractor(recording.waveform, recording.sample_rate)
            results[place] = Result(
                clip.content_key,
                len(found[place]),
                hashlib.sha256(np.ascontiguousarray(recording.waveform).data).hexdigest(),
                fingerprint=fingerprint(recording.waveform, recording.sample_rate),
            )
            arrays[clip.content_key] = found[place]


def _read_clip(clip: Clip, limits: Limits) -> bytes:
    """Return a clip's file, which is what it was at its import."""
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
    return data


def _hear_clip(clip: Clip, data: bytes, sample_rate: int, limits: Limits) -> Recording:
    """Decode a clip's sound, all of it."""
    recording = read_audio(
        data,
        name=str(clip.path),
        sample_rate=sample_rate,
        start=clip.start,
        end=clip.end,
        limits=limits,
    )
    _refuse_cut(str(clip.path), recording.warnings)
    return recording


def _look_at_clip(
    clip: Clip, data: bytes, extractor: FaceExtractor, limits: Limits, spool: Spool
) -> tuple[Spooled, Result]:
    """Return a film's rows, which wait in the spool, and their hash for that of its sound."""
    name = str(clip.path)
    with disk_errors(spool.folder):
        rows = spool.begin()
    digest, info = hashlib.sha256(), []
    try:
        with open_video(data, name=name, rate=extractor.rate, limits=limits) as video:
            for piece in _look(extractor.watch(), cut_frames(video, clip.start, clip.end)):
                with disk_errors(spool.folder):
                    rows.append(piece)
                digest.update(piece.data)
                info.append(split_rows(piece).info)
        _refuse_cut(name, video.warnings)
        if min(video.n_frames, rows.shape[0]) < 2:
            text = f"{min(video.n_frames, rows.shape[0])} picture; expected a film of two at least."
            raise MediaError("E1201", name, f"{text} Give a longer one, or the voice alone.")
        extractor.expect_faces(np.concatenate(info), name)
    except BaseException:
        rows.drop()
        raise
    return rows, Result(clip.content_key, rows.shape[0], digest.hexdigest())


def _look(watch: Watch, frames: Iterable[Frame]) -> Iterator[NDArray[Any]]:
    """Yield the rows of frames, 64 at a time and then the rest."""
    for n_seen, frame in enumerate(frames, 1):
        watch.look(frame)
        if n_seen % _FRAMES == 0:
            yield watch.take()
    yield watch.take()


def _refuse_cut(name: str, warnings: Iterable[MediaWarning]) -> None:
    """Refuse half a file: it may be answered for, but not learnt from."""
    for code, text in warnings:
        if code == "W1101":
            raise MediaError("E1101", name, text)
