"""Feature files and a manifest, into a feature set of a store.

Every file is looked at first: what is wrong with it, and what the set has in common, is known
before anything is written. Then shards are made as extraction makes them: each complete or not at
all, the same bytes from the same files, and what was done before is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from affectus.errors import ConfigError, FeatureFileError, StoreError
from affectus.feature_files.contents import Facts, examine, some_of
from affectus.feature_files.labels import check_label, check_labels, check_scheme
from affectus.feature_files.layout import Failed, Layout, Ranges, check_rows, settle
from affectus.feature_files.matching import Clips, find_sources, match_clips
from affectus.features import list_extractors
from affectus.manifest import Manifest
from affectus.store import FeatureStore, Note, Result, write_shard


class Failure(NamedTuple):
    """A clip whose file cannot be used, and why."""

    clip_id: str
    code: str
    reason: str


@dataclass(frozen=True)
class ImportReport:
    """What became of every file and every clip.

    `matched` clips have a file; `done` of them are in the store, `new` by this run; `failed` are
    not. `strays` are files (or rows) of no clip, `without` the clips of no file. `findings` are
    errors, `notes` are not.
    """

    name: str
    columns: tuple[str, ...]
    frame_rate: float | None
    matched: int
    done: tuple[str, ...]
    new: int
    failed: tuple[Failure, ...]
    strays: tuple[str, ...]
    without: tuple[str, ...]
    findings: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every file went to a clip, every clip has features, and nothing contradicts."""
        return not (self.failed or self.strays or self.without or self.findings)


def import_features(
    sources: Sequence[Path | str],
    manifest: Manifest,
    folder: Path | str,
    name: str,
    *,
    key: str = "",
    labels: str = "",
    id_column: str = "",
    without: Sequence[str] = (),
    as_is: bool = False,
    on_progress: Callable[[int, int], None] = lambda finished, total: None,
) -> ImportReport:
    """Fill the feature set `name` of the store at `folder` from .npz files or CSV tables.

    `sources` are files and folders. `key` is the array of each .npz that is meant, where it has
    several; `labels` (ravdess, unified, none) what its integer labels stand for: they are held
    against the manifest, and not used otherwise. `id_column` and `without` are columns of a CSV.
    A column frameTime, rows without content, and the repetition of one row in time are left out,
    and noted, unless `as_is`.

    Raises ConfigError, ManifestError, FeatureFileError or StoreError before anything is written.
    """
    _check_name(name)
    check_scheme(labels)
    notes: list[str] = []
    found, kind = find_sources([Path(place) for place in sources], key, id_column, without, notes)
    clips, strays, findings = match_clips(found, manifest, notes)
    facts, failed, ranges = _examine(clips, labels, on_progress)
    layout = settle(facts, failed, ranges, kind, as_is, notes)
    check_rows(facts, failed, layout, notes)
    if not facts:
        raise next(iter(failed.values()))
    findings += check_labels(facts, clips, labels)
    with FeatureStore(folder, create=True) as store, store.writing():
        _define(store, name, layout)
        new = _write(store, name, layout, clips, facts, failed, on_progress)
        findings += _check_hashes(store, name, clips, facts, notes)
        done = {item.key for item in store.ledger(name) if item.state == "done"}
    sound = [clip for clip in manifest if not clip.fault]
    return ImportReport(
        name=name,
        columns=layout.columns,
        frame_rate=layout.frame_rate,
        matched=len(clips),
        done=tuple(clip.clip_id for clip in sound if clip.content_key in done),
        new=new,
        failed=tuple(Failure(i, error.code, error.text) for i, error in sorted(failed.items())),
        strays=tuple(strays),
        without=tuple(
            clip.clip_id
            for clip in sound
            if clip.clip_id not in clips and clip.content_key not in done
        ),
        findings=tuple(findings),
        notes=tuple(notes),
    )


def _check_name(name: str) -> None:
    if name in list_extractors():
        raise ConfigError(
            f"--name {name}: an extractor's name; expected one of your own. Choose another."
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise ConfigError(f"--name '{name}': expected letters, digits, _ and -. Choose another.")


def _examine(
    clips: Clips, labels: str, on_progress: Callable[[int, int], None]
) -> tuple[dict[str, Facts], Failed, Ranges]:
    """Look at every file; return the facts and the refusals by clip id, and columns' ranges."""
    facts: dict[str, Facts] = {}
    failed: Failed = {}
    ranges: Ranges = {}
    names: dict[tuple[str, ...], tuple[str, ...]] = {}
    for number, (clip_id, (_, source)) in enumerate(clips.items(), 1):
        try:
            contents = source.read()
            found = examine(contents, source.place)
        except FeatureFileError as error:
            failed[clip_id] = error
        else:
            check_label(found.label, labels, source.place)
            low, high = contents.frames.min(axis=0), contents.frames.max(axis=0)
            # One tuple of names for all files that have it: there may be thousands of both.
            columns = names.setdefault(found.columns, found.columns)
            facts[clip_id] = replace(found, columns=columns)
            kind = (found.n_columns, columns)
            least, most = ranges.get(kind, (low, high))
            ranges[kind] = (np.minimum(least, low), np.maximum(most, high))
        on_progress(number, 2 * len(clips))
    if not facts:
        raise next(iter(failed.values()))
    return facts, failed, ranges


def _define(store: FeatureStore, name: str, layout: Layout) -> None:
    """Record the set; refuse one of other columns without printing thousands of names."""
    if name in store.features():
        there = store.record(name).get("columns", [])
        if there != list(layout.columns):
            raise StoreError(
                f"{store.folder}: '{name}' has {len(there):,} columns there and "
                f"{len(layout.columns):,} here, or others; expected the same. Use another --name."
            )
    store.define(name, layout.record(name))


def _write(
    store: FeatureStore,
    name: str,
    layout: Layout,
    clips: Clips,
    facts: Mapping[str, Facts],
    failed: Failed,
    on_progress: Callable[[int, int], None],
) -> int:
    """Make the shards that are not there; return how many clips are new."""
    by_key: dict[str, str] = {}
    for clip_id, (clip, _) in clips.items():  # in the order of clip ids: see extract_features
        if by_key.setdefault(clip.content_key, clip_id) in failed:
            by_key[clip.content_key] = clip_id
    shards = store.plan(name, list(by_key.items()), retry_failed=True)
    n_new, n_done = 0, len(clips) - sum(len(keys) for _, keys in shards)
    for shard, keys in shards:
        arrays, results = {}, []
        for key in keys:
            clip_id = by_key[key]
            error = failed.get(clip_id)
            if error is None:
                try:
                    arrays[key] = layout.apply(clips[clip_id][1].read())
                except FeatureFileError as changed:  # since it was looked at
                    error = failed[clip_id] = changed
            if error is not None:
                results.append(Result(key, code=error.code, reason=error.text))
            else:
                results.append(Result(key, len(arrays[key]), facts[clip_id].sha256))
        items = [(by_key[result.key], result) for result in results]
        note = Note(layout.record(name), items)
        store.commit(name, shard, write_shard(store.folder, name, shard, arrays, note), results)
        n_new += len(arrays)
        n_done += len(keys)
        on_progress(len(clips) + n_done, 2 * len(clips))
    return n_new


def _check_hashes(
    store: FeatureStore, name: str, clips: Clips, facts: Mapping[str, Facts], notes: list[str]
) -> list[str]:
    """Return, in words, the clips whose file is no longer what the store was filled from."""
    kept = {item.key: item for item in store.ledger(name) if item.state == "done"}
    changed: list[str] = []
    twins: list[str] = []
    for clip_id, found in facts.items():
        item = kept.get(clips[clip_id][0].content_key)
        if item is None or item.audio_sha256 == found.sha256:
            continue
        (changed if item.clip_id == clip_id else twins).append(clip_id)
    if twins:
        notes.append(
            f"{len(twins)} clips are byte-identical to others whose features differ; those of the "
            f"first are kept: {some_of(twins)}"
        )
    if not changed:
        return []
    return [
        f"{len(changed):,} files hold other numbers than '{name}' was filled from: "
        f"{some_of(changed)}. The store keeps the old ones; import under another --name"
    ]
