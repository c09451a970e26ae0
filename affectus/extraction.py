"""Extraction: a manifest, the decode gate and an extractor, into a feature store.

The work is cut into shards of fixed membership. Making one is a task that any process can do and
do again: decode, extract, write. The store's index is told when the file is safe on disk. So a
run that was killed goes on where it stopped and ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from affectus.errors import DiskError, ExtractionError, LimitError, MediaError, StoreError
from affectus.features import Extractor, describe_extractor, restore_extractor
from affectus.manifest import Clip, Manifest
from affectus.media import Limits, decoder_version, read_audio
from affectus.store import FeatureStore, Result, write_shard

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


class _Task(NamedTuple):
    """What a worker needs to make one shard; plain values that travel to any process."""

    folder: Path
    record: dict[str, Any]
    shard: int
    clips: list[Clip]
    limits: Limits


Progress = Callable[[int, int, int], None]  # (clips finished, of them failed, clips to do)


def extract_features(
    manifest: Manifest,
    extractor: Extractor,
    folder: Path | str,
    *,
    workers: int = 1,
    retry_failed: bool = False,
    max_error_rate: float = 0.05,
    limits: Limits = Limits(),
    on_progress: Progress = lambda finished, failed, total: None,
) -> ExtractionReport:
    """Fill the store at `folder` with the features of every clip, and say what became of each.

    Clips that are done are not opened again. `on_progress` hears after each shard.

    Raises StoreError if the store was made with other parameters or is being written, DiskError if
    it cannot be written, ExtractionError (exit 3) once more than `max_error_rate` of at least 200
    clips failed.
    """
    # By clip id, so that neither the order of the rows nor that of copies changes a shard's bytes.
    clips: dict[str, Clip] = {}
    for clip in sorted(manifest.clips, key=lambda clip: clip.clip_id):
        if not clip.fault:
            clips.setdefault(clip.content_key, clip)
    name = extractor.name
    with FeatureStore(folder, create=True) as store, store.writing():
        record = describe_extractor(extractor)
        store.define(name, {**record, "decoder": decoder_version()})
        shards = store.plan(
            name,
            [(key, clip.clip_id) for key, clip in clips.items()],
            retry_failed=retry_failed,
        )
        tasks = [
            _Task(store.folder, record, shard, [clips[key] for key in keys], limits)
            for shard, keys in shards
        ]
        total = sum(len(task.clips) for task in tasks)
        finished = failed = 0
        for shard, sha256, results in _run(tasks, workers):
            store.commit(name, shard, sha256, results)
            finished += len(results)
            failed += sum(bool(result.code) for result in results)
            on_progress(finished, failed, total)
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
        raise StoreError(
            f"the store holds {report.done:,} of {usable:,} clips for '{name}'{why}; expected all. "
            f"Run: {command}"
        )


def sound_hashes(manifest: Manifest, store: FeatureStore, name: str) -> Mapping[str, str]:
    """Return the hash of each clip's decoded sound, by clip id, for the leak guard."""
    by_key = {item.key: item.audio_sha256 for item in store.ledger(name)}
    return {clip.clip_id: by_key.get(clip.content_key, "") for clip in manifest}


def _run(tasks: Sequence[_Task], workers: int) -> Iterator[tuple[int, str, list[Result]]]:
    if workers <= 1 or len(tasks) <= 1:
        yield from map(_make_shard, tasks)
        return
    # Spawned, not forked: threads of the parent's libraries do not survive a fork.
    context = multiprocessing.get_context("spawn")
    n_workers = min(workers, len(tasks))
    with ProcessPoolExecutor(n_workers, context, initializer=_leave_with_parent) as pool:
        futures = [pool.submit(_make_shard, task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise ExtractionError(
                "a worker process died (out of memory, or killed); expected it to finish. What was "
                "committed is safe: run the command again, with fewer --workers if memory is short."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _leave_with_parent() -> None:
    """End this worker when the process that started it is killed, which nothing else tells it."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _make_shard(task: _Task) -> tuple[int, str, list[Result]]:
    """Decode and extract one shard's clips and write its file; the idempotent task."""
    extractor = restore_extractor(task.record)
    arrays: dict[str, NDArray[np.float32]] = {}
    results = []
    for clip in task.clips:
        try:
            frames, sound = _extract_clip(clip, extractor, task.limits)
        except MediaError as error:
            results.append(Result(clip.content_key, code=error.code, reason=error.text))
        else:
            arrays[clip.content_key] = frames
            results.append(Result(clip.content_key, len(frames), sound))
    return task.shard, write_shard(task.folder, extractor.name, task.shard, arrays), results


def _extract_clip(
    clip: Clip, extractor: Extractor, limits: Limits
) -> tuple[NDArray[np.float32], str]:
    """Return a clip's frames [T, D] and the hash of its decoded sound."""
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
    return frames, hashlib.sha256(recording.waveform.tobytes()).hexdigest()


def _report(manifest: Manifest, store: FeatureStore, name: str, n_new: int) -> ExtractionReport:
    ledger = {item.key: item for item in store.ledger(name)}
    done, failed, skipped = 0, [], []
    for clip in manifest:
        item = ledger.get(clip.content_key)
        if clip.fault:
            skipped.append(Failure(clip.clip_id, "", clip.fault))
        elif item is not None and item.state == "done":
            done += 1
        elif item is not None and item.state == "failed":
            failed.append(Failure(clip.clip_id, item.code, item.reason))
        else:
            failed.append(Failure(clip.clip_id, "", "not extracted yet"))
    report = ExtractionReport(len(manifest), done, n_new, tuple(failed), tuple(skipped))
    if report.done + len(report.failed) + len(report.skipped) != report.planned:
        raise DiskError(f"{store.folder}: the ledger does not add up: {report}")
    return report
