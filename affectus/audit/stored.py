"""What a feature store holds of the clips: is all of it there, and does it look like features?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from affectus.audit.findings import FeatureCount, Finding, Severity, count_of, listed
from affectus.errors import StoreError
from affectus.face_rows import FOUND, INFO, holds_faces, read_rows
from affectus.manifest import Clip, Manifest
from affectus.store import FeatureStore

_TIMES = ("time", "start", "end")  # columns that say when a frame is, in seconds
_SLACK = 3  # frames that an extractor may add at the edges, or leave out
_TRIMMED = 0.02  # share of the frames that must be left where silence was cut off


class FeatureShape(NamedTuple):
    """What an extractor says of its arrays [T, D]: D names, and frames a second.

    `frame_rate` is None where a clip is no sequence. `trimmed`: silence was cut off.
    """

    columns: tuple[str, ...]
    frame_rate: float | None
    trimmed: bool = False


@dataclass
class _Seen:
    """What was found in the arrays of one feature set. Clip ids, and ranges by column."""

    widths: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    lengths: dict[str, int] = field(default_factory=dict)
    not_finite: list[str] = field(default_factory=list)
    faceless: list[str] = field(default_factory=list)
    still: list[str] = field(default_factory=list)
    few: list[str] = field(default_factory=list)
    many: list[str] = field(default_factory=list)
    wrong_times: list[str] = field(default_factory=list)
    low: NDArray[np.float32] | None = None
    high: NDArray[np.float32] | None = None


def check_store(
    manifest: Manifest,
    store: FeatureStore,
    shapes: Mapping[str, FeatureShape],
    seconds: Mapping[str, float],
) -> tuple[tuple[FeatureCount, ...], list[Finding]]:
    """Count what is done, failed and missing of each corpus, and look at every array once.

    `seconds` are the lengths of clips by id; `shapes` says of a feature set what its extractor is
    known to give, where that is known.
    """
    counts, findings = [], []
    for name in store.features():
        clips = {clip.content_key: clip for clip in reversed(manifest.clips) if not clip.fault}
        seen = _Seen()
        shape = shapes.get(name)
        try:
            faces = holds_faces(store.record(name))
            for item, array in store.walk(name):
                if clip := clips.get(item.key):
                    _look(array, clip, shape, seconds.get(clip.clip_id), seen, faces=faces)
        except StoreError as error:
            findings.append(_finding("damaged", "error", (), name, error.message, ""))
        rows, absent = _count(manifest, store, name, seen)
        counts += rows
        findings += absent + _judge(name, seen, shape)
    return tuple(counts), findings


def _count(
    manifest: Manifest, store: FeatureStore, name: str, seen: _Seen
) -> tuple[list[FeatureCount], list[Finding]]:
    ledger = {item.key: item for item in store.ledger(name)}
    widths = {clip_id: width for width, ids in seen.widths.items() for clip_id in ids}
    rows, findings = [], []
    missing: list[str] = []
    failed: dict[str, list[str]] = defaultdict(list)
    for corpus in manifest.corpora:
        clips = [clip for clip in manifest if clip.corpus == corpus and not clip.fault]
        states: Counter[str] = Counter()
        for clip in clips:
            item = ledger.get(clip.content_key)
            state = item.state if item else "planned"
            states[state] += 1
            if item and state == "failed":
                failed[f"{item.code} {item.reason}".strip()].append(clip.clip_id)
            elif state == "planned":
                missing.append(clip.clip_id)
        done = [clip.clip_id for clip in clips if clip.clip_id in widths]
        n_frames = [seen.lengths[clip_id] for clip_id in done] or [0]
        rows.append(
            FeatureCount(
                name,
                corpus,
                len(clips),
                states["done"],
                states["failed"],
                states["planned"],
                tuple(sorted({widths[clip_id] for clip_id in done})),
                (min(n_frames), max(n_frames)),
            )
        )
    if missing:
        text = f"{count_of(len(missing), 'clip')} not extracted yet: {listed(missing)}"
        findings.append(_finding("features", "error", missing, name, text, "Run: affectus extract"))
    for reason, clip_ids in failed.items():
        text = f"{count_of(len(clip_ids), 'clip')} failed ({reason}): {listed(clip_ids)}"
        remedy = "Mend them and run: affectus extract --retry-failed"
        findings.append(_finding("features", "error", clip_ids, name, text, remedy))
    return rows, findings


def _look(
    array: NDArray[Any],
    clip: Clip,
    shape: FeatureShape | None,
    seconds: float | None,
    seen: _Seen,
    *,
    faces: bool,
) -> None:
    """Note what one clip's array is like; of faces, what its frames with one are like."""
    array = read_rows(array) if faces else array
    n_frames, width = array.shape
    seen.widths[width].append(clip.clip_id)
    seen.lengths[clip.clip_id] = n_frames
    there = array[array[:, FOUND] > 0] if faces else array
    if faces and not len(there):
        seen.faceless.append(clip.clip_id)
        return
    low, high = there.min(0, initial=np.inf), there.max(0, initial=-np.inf)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        seen.not_finite.append(clip.clip_id)
        return
    if len(there) > 1 and (low == high).all():
        seen.still.append(clip.clip_id)
    if seen.low is None or seen.high is None:
        seen.low, seen.high = low, high
    elif len(seen.low) == width:
        seen.low, seen.high = np.minimum(seen.low, low), np.maximum(seen.high, high)
    if shape is None or seconds is None:
        return
    if shape.frame_rate is not None:
        due = seconds * shape.frame_rate
        least = _TRIMMED * due if shape.trimmed else 0.95 * due
        if n_frames > 1.02 * due + _SLACK:
            seen.many.append(clip.clip_id)
        elif n_frames < least - _SLACK:
            seen.few.append(clip.clip_id)
    for place, column in enumerate(shape.columns[:width]):
        if column in _TIMES:
            times = array[:, place]
            late = times.max() > seconds + _SLACK / (shape.frame_rate or 1.0)
            if times.min() < 0 or late or (np.diff(times) < 0).any():
                seen.wrong_times.append(clip.clip_id)
                break


def _judge(name: str, seen: _Seen, shape: FeatureShape | None) -> list[Finding]:
    findings = []
    if not seen.widths:
        return []
    usual = len(shape.columns) if shape else max(seen.widths, key=lambda w: len(seen.widths[w]))
    others = [clip_id for width, ids in seen.widths.items() if width != usual for clip_id in ids]
    again = "Delete the store and extract again."
    cases: tuple[tuple[str, Severity, Sequence[str], str, str], ...] = (
        ("dimensions", "error", others, f"not {usual} columns wide", again),
        ("finite", "error", seen.not_finite, "with numbers that are not finite, or none", again),
        (
            "constant in time",
            "warning",
            seen.still,
            "the same in every frame: a figure of the whole clip, repeated",
            "Keep one frame of each; a network over time learns nothing from copies.",
        ),
        ("faces", "warning", seen.faceless, "without a face", "Leave them out, or the face."),
        ("frames", "warning", seen.many, "longer than its recording", again),
        ("frames", "warning", seen.few, "shorter than its recording", again),
        ("times", "warning", seen.wrong_times, "with times that go back, or beyond its end", again),
    )
    for check, severity, clip_ids, what, remedy in cases:
        if clip_ids:
            text = f"{count_of(len(clip_ids), 'array')} {what}: {listed(clip_ids)}"
            findings.append(_finding(check, severity, clip_ids, name, text, remedy))
    if seen.low is not None and seen.high is not None and len(seen.lengths) > 1:
        constant = [int(i) for i in np.flatnonzero(seen.low == seen.high)]
        if shape and shape.columns[: len(INFO)] == INFO:
            constant = [place for place in constant if place >= len(INFO)]
        known = shape.columns if shape and len(shape.columns) == len(seen.low) else ()
        names = [known[place] if known else f"column {place}" for place in constant]
        if names:
            text = f"{count_of(len(names), 'column')} the same in every clip: {listed(names)}"
            remedy = "They tell nothing; see why: a band that no recording reaches?"
            findings.append(_finding("constant columns", "warning", (), name, text, remedy))
    return findings


def _finding(
    check: str, severity: Severity, clip_ids: Sequence[str], name: str, text: str, remedy: str
) -> Finding:
    return Finding(check, severity, tuple(clip_ids), f"features '{name}': {text}", remedy)
