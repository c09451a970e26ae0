"""The engine of the long job: tasks planned, handed to processes, entered in the index."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path

from affectus.cluster import run_on_ray
from affectus.errors import ConfigError, ExtractionError
from affectus.extraction.coverage import ExtractionReport, report_on
from affectus.extraction.progress import Notice
from affectus.extraction.shards import Task, make_shard
from affectus.features import Extractor, describe_extractor, sees
from affectus.features.face import opencv_version
from affectus.manifest import Clip, Manifest
from affectus.media import Limits, decoder_version
from affectus.store import FeatureStore, Result
from affectus.workers import MEMORY_BYTES, SECONDS_PER_ITEM, WorkerError, work_through

_AFTER = 200  # clips before the error rate counts

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
        if sees(extractor):
            decoder += f", {opencv_version()}"
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
            Task(
                place,
                record,
                decoder,
                shard,
                [clips[key] for key in keys],
                limits,
                seconds_per_clip,
                max(memory_bytes, getattr(extractor, "memory_bytes", 0)),
            )
            for shard, keys in shards
        ]
        total = sum(len(task.clips) for task in tasks)
        finished = failed = taken = 0
        notice = Notice(store.folder, total)

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
        return report_on(manifest, store, name, finished - failed)


def _run(
    tasks: Sequence[Task], workers: int, on_item: Callable[[], None]
) -> Generator[tuple[int, str, list[Result]]]:
    if not tasks:
        return
    try:
        yield from work_through(
            tasks,
            make_shard,
            workers=workers,
            seconds_per_item=tasks[0].seconds_per_clip,
            memory_bytes=tasks[0].memory_bytes,
            on_item=on_item,
        )
    except WorkerError as error:
        raise ExtractionError(str(error)) from None


def _make_shard_apart(task: Task) -> tuple[int, str, list[Result]]:
    """Make a shard in a child of this process, so that no clip can end a node's process."""
    (made,) = _run([task], 1, lambda: None)
    return made
