"""Extraction: a manifest, the decode gate and an extractor, into a feature store.

The work is cut into shards of fixed membership. Making one is a task that any process can do and
do again: decode, extract, write. The store's index is told when the file is safe on disk. So a
run that was killed goes on where it stopped and ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from affectus.cluster import run_on_ray
from affectus.errors import (
    ConfigError,
    DiskError,
    ExtractionError,
    LimitError,
    MediaError,
    StoreError,
)
from affectus.features import Extractor, describe_extractor, restore_extractor
from affectus.files import replacing
from affectus.fingerprint import find_near_identical, fingerprint
from affectus.manifest import Clip, Manifest
from affectus.media import Limits, decoder_version, read_audio
from affectus.store import FeatureStore, Note, Result, disk_errors, write_shard
from affectus.workers import (
    MEMORY_BYTES,
    SECONDS_PER_ITEM,
    TOO_LARGE,
    LostItemError,
    Take,
    WorkerError,
    work_through,
)

_AFTER = 200  # clips before the error rate counts


class Failure(NamedTuple):
    """A clip without features, and why."""

    clip_id: str
    code: str
    reason: str


@dataclass(frozen=True)
class ExtractionReport:
    """What became of every clip of a manifest: `done` + `failed` + `skipped` = `planned`.

    `new` of the done ones were made by this run. Skipped clips have a fault in the manifest.
    """

    planned: int
    done: int
    new: int
    failed: tuple[Failure, ...]
    skipped: tuple[Failure, ...]

    @property
    def ok(self) -> bool:
        """Whether every clip has its features."""
        return self.done == self.planned


@dataclass(frozen=True)
class _Task:
    """What a worker needs to make one shard; plain values that travel to any process."""

    folder: Path
    record: dict[str, Any]
    decoder: str
    shard: int
    clips: list[Clip]
    limits: Limits
    seconds_per_clip: float
    memory_bytes: int


Progress = Callable[[int, int, int], None]  # (clips finished, of them failed, clips to do)


def extract_features(
    manifest: Manifest,
    extractor: Extractor,
    folder: Path | str,
    *,
    workers: int = 1,
    cluster: str | None = None,
    address: str | None = None,
    retry_failed: bool = False,
    force: bool = False,
    max_error_rate: float = 0.05,
    seconds_per_clip: float = SECONDS_PER_ITEM,
    memory_bytes: int = MEMORY_BYTES,
    limits: Limits = Limits(),
    on_clip: Callable[[int, int], None] = lambda taken, total: None,
    on_progress: Progress = lambda finished, failed, total: None,
) -> ExtractionReport:
    """Fill the store at `folder` with the features of every clip, and say what became of each.

    Clips that are done are not opened again, unless `force`. The work is done by `workers` child
    processes; with 0 it is done in this one, where a decoder that crashes ends the run. A clip that
    takes longer than `seconds_per_clip`, or beyond `memory_bytes` in a worker, or that kills its
    worker, fails after two tries, and the others go on. With `cluster` 'ray' the tasks are done by
    the nodes of the Ray cluster at `address` (RAY_ADDRESS in the environment by default), which all
    see the recordings and the store under the same path. `on_clip` hears of each clip taken in
    hand, `on_progress` of each shard.

    Raises ConfigError for another cluster, StoreError if the store was made with other parameters
    or is being written, DiskError if it cannot be written, ExtractionError (exit 3) once more than
    `max_error_rate` of at least 200 clips failed.
    """
    if cluster not in (None, "ray"):
        raise ConfigError(f"no cluster '{cluster}'; expected ray. Leave it out for this machine.")
    # By clip id, so that neither the order of the rows nor that of copies changes a shard's bytes.
    clips: dict[str, Clip] = {}
    for clip in sorted(manifest.clips, key=lambda clip: clip.clip_id):
        if not clip.fault:
            clips.setdefault(clip.content_key, clip)
    name = extractor.name
    with FeatureStore(folder, create=True) as store, store.writing():
        record = describe_extractor(extractor)
        decoder = decoder_version()
        store.define(name, {**record, "decoder": decoder})
        if force:
            store.forget(name, clips)
        shards = store.plan(
            name,
            [(key, clip.clip_id) for key, clip in clips.items()],
            retry_failed=retry_failed,
        )
        place = store.folder.resolve()
        tasks = [
            _Task(
                place,
                record,
                decoder,
                shard,
                [clips[key] for key in keys],
                limits,
                seconds_per_clip,
                memory_bytes,
            )
            for shard, keys in shards
        ]
        total = sum(len(task.clips) for task in tasks)
        finished = failed = taken = 0
        notice = _Notice(store.folder, total)

        def count() -> None:
            nonlocal taken
            taken = min(taken + 1, total)  # one that is tried again is counted again
            on_clip(taken, total)
            notice.write(taken, failed)

        if cluster is None:
            made = _run(tasks, workers, count)
        else:
            made = run_on_ray(tasks, _make_shard_apart, address=address)
        with closing(made), notice:  # which ends the workers, whatever stops this loop
            for shard, sha256, results in made:
                store.commit(name, shard, sha256, results)
                finished += len(results)
                failed += sum(bool(result.code) for result in results)
                on_progress(finished, failed, total)
                notice.write(finished, failed)
                if finished >= _AFTER and failed > max_error_rate * finished:
                    raise ExtractionError(
                        f"{failed} of {finished} clips failed; expected at most "
                        f"{max_error_rate:.0%}. See why with: affectus status {folder}"
                    )
        return _report(manifest, store, name, finished - failed)


def check_coverage(manifest: Manifest, store: FeatureStore, name: str) -> None:
    """Refuse to go on unless every sound clip of the manifest has its features.

    Raises StoreError with counts and the command that mends it.
    """
    report = _report(manifest, store, name, 0)
    usable = report.planned - len(report.skipped)
    if report.done < usable:
        command = f"affectus extract MANIFEST --features {name} --store {store.folder}"
        refused = [failure for failure in report.failed if failure.code]
        why = ""
        if refused:
            why = f", {len(refused):,} failed (the first: {refused[0].code} {refused[0].reason})"
            command += " --retry-failed"
        if name in store.features() and store.record(name).get("kind") == "imported":
            command = (
                f"affectus import-features FILES --manifest MANIFEST --store {store.folder} "
                f"--name {name}; its --matched FILE gets the manifest of the clips that are there"
            )
        raise StoreError(
            f"the store holds {report.done:,} of {usable:,} clips for '{name}'{why}; expected all. "
            f"Run: {command}"
        )


def sound_hashes(manifest: Manifest, store: FeatureStore, name: str) -> Mapping[str, str]:
    """Return the hash of each clip's decoded sound, by clip id, for the leak guard."""
    by_key = {item.key: item.audio_sha256 for item in store.ledger(name)}
    return {clip.clip_id: by_key.get(clip.content_key, "") for clip in manifest}


def near_pairs(
    manifest: Manifest, fingerprints: Mapping[str, bytes], sounds: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return the pairs of clip ids whose sound is nearly, but not exactly, the same.

    `fingerprints` are a store's, by content; `sounds` are the hashes of `sound_hashes`: what has
    the same content or the same decoded sound is told by them.
    """
    clip_ids: dict[str, list[str]] = {}
    for clip in manifest:
        clip_ids.setdefault(clip.content_key, []).append(clip.clip_id)
    return [
        (one, other)
        for first, second, _ in find_near_identical(
            {key: fingerprints[key] for key in clip_ids if key in fingerprints}
        )
        for one in clip_ids[first]
        for other in clip_ids[second]
        if sounds[one] != sounds[other]
    ]


def count_without_fingerprint(manifest: Manifest, fingerprints: Mapping[str, bytes]) -> int:
    """Return of how many clips the sound was never compared: imported, or of an older store."""
    return sum(clip.content_key not in fingerprints for clip in manifest if not clip.fault)


class RunProgress(msgspec.Struct, frozen=True):
    """How far an extraction is: what `affectus status` tells others, from any machine."""

    process: int
    host: str
    began: float
    heard: float
    finished: int
    failed: int
    total: int

    @property
    def rate(self) -> float:
        """Clips per second so far."""
        return self.finished / max(self.heard - self.began, 1e-3)


class _Notice:
    """A small file in the store that says how far the run is; gone when it has ended."""

    def __init__(self, folder: Path, total: int) -> None:
        self.path = folder / "progress.json"
        self.total = total
        self.began = time.time()
        self.written = 0.0

    def __enter__(self) -> None:
        self.write(0, 0)

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # it is only for others to read
            self.path.unlink()

    def write(self, finished: int, failed: int) -> None:
        """Write the state, at most once a second."""
        now = time.time()
        if now - self.written < 1.0:
            return
        self.written = now
        state = RunProgress(
            os.getpid(), socket.gethostname(), self.began, now, finished, failed, self.total
        )
        with disk_errors(self.path.parent), replacing(self.path) as temporary:
            temporary.write_bytes(msgspec.json.encode(state))


def read_progress(folder: Path | str) -> RunProgress | None:
    """Return how far the extraction is that writes the store at `folder`, if there is one."""
    try:
        return msgspec.json.decode((Path(folder) / "progress.json").read_bytes(), type=RunProgress)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _run(
    tasks: Sequence[_Task], workers: int, on_item: Callable[[], None]
) -> Generator[tuple[int, str, list[Result]]]:
    if not tasks:
        return
    try:
        yield from work_through(
            tasks,
            _make_shard,
            workers=workers,
            seconds_per_item=tasks[0].seconds_per_clip,
            memory_bytes=tasks[0].memory_bytes,
            on_item=on_item,
        )
    except WorkerError as error:
        raise ExtractionError(str(error)) from None


def _make_shard_apart(task: _Task) -> tuple[int, str, list[Result]]:
    """Make a shard in a child of this process, so that no clip can end a node's process."""
    (made,) = _run([task], 1, lambda: None)
    return made


def _make_shard(task: _Task, take: Take) -> tuple[int, str, list[Result]]:
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


def _report(manifest: Manifest, store: FeatureStore, name: str, n_new: int) -> ExtractionReport:
    lacking = store.lacking(name, (clip.content_key for clip in manifest if not clip.fault))
    done, failed, skipped = 0, [], []
    for clip in manifest:
        if clip.fault:
            skipped.append(Failure(clip.clip_id, "", clip.fault))
        elif (item := lacking.get(clip.content_key)) is None:
            done += 1
        elif item.state == "failed":
            failed.append(Failure(clip.clip_id, item.code, item.reason))
        else:
            failed.append(Failure(clip.clip_id, "", "not extracted yet"))
    report = ExtractionReport(len(manifest), done, n_new, tuple(failed), tuple(skipped))
    if report.done + len(report.failed) + len(report.skipped) != report.planned:
        raise DiskError(f"{store.folder}: the ledger does not add up: {report}")
    return report
