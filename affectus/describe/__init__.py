"""What a feature store or a manifest holds, in numbers and pictures: `affectus describe`.

facts.py    what is found, as plain values
tally.py    counting that does not grow with the number of clips
words.py    facts as tables of text
page.py     facts as one HTML page
faces.py    the faces that were found, as a page to look at
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from math import nan
from typing import Any

import numpy as np

from affectus.describe.faces import write_faces
from affectus.describe.facts import (
    PERCENTILES,
    ColumnFacts,
    CorpusFacts,
    GroupFacts,
    Histogram,
    ManifestFacts,
    SetFacts,
    Spread,
)
from affectus.describe.page import render_description, write_description
from affectus.describe.tally import Floats, Tally, percentiles_of
from affectus.describe.words import tables
from affectus.emotions import EMOTIONS
from affectus.errors import ConfigError, StoreError
from affectus.face_rows import holds_faces, read_rows
from affectus.features import read_record
from affectus.manifest import Manifest
from affectus.store import FeatureStore

__all__ = [
    "ColumnFacts",
    "CorpusFacts",
    "GroupFacts",
    "ManifestFacts",
    "SetFacts",
    "describe_features",
    "describe_manifest",
    "render_description",
    "tables",
    "write_description",
    "write_faces",
]

_N_BINS = 48
_MANY_ZEROS = 0.2
_ENDS = (0.1, 99.9)  # percentiles between which a histogram is drawn


def describe_features(
    store: FeatureStore,
    name: str,
    manifest: Manifest | None = None,
    on_progress: Callable[[int, int], None] = lambda finished, total: None,
) -> SetFacts:
    """Return what a feature set holds, together and by corpus.

    With a manifest only its clips count, and it says their corpora; without, the beginning of a
    clip's id does. Memory does not grow with the number of clips, but for the manifest's.

    Raises StoreError if no clip is done.
    """
    record = store.record(name)
    states = store.count(name)
    corpora = None
    if manifest is not None:
        corpora = {clip.content_key: clip.corpus for clip in manifest if not clip.fault}
    tallies: dict[str, Tally] = {}
    total = states["done"]
    faces = holds_faces(record)
    for finished, (item, array) in enumerate(store.walk(name), 1):
        if corpora is None:
            corpus = item.clip_id.partition("/")[0]
        elif (found := corpora.pop(item.key, None)) is not None:
            corpus = found
        else:
            continue
        frames = read_rows(array) if faces else array
        if corpus not in tallies:
            tallies[corpus] = Tally(frames.shape[1])
        tallies[corpus].add(frames)
        if finished % 100 == 0 or finished == total:
            on_progress(finished, total)
    if not tallies:
        raise StoreError(
            f"{store.folder}: '{name}' holds no clip{' of the manifest' * (manifest is not None)}; "
            f"expected some. Run: affectus extract, or see: affectus status {store.folder}"
        )
    everything = Tally(len(next(iter(tallies.values())).n))
    for corpus in sorted(tallies):
        tallies[corpus].settle()
        everything.join(tallies[corpus])
    columns, frame_rate = _columns(record, len(everything.n))
    with_zeros = everything.zeros.sum() <= _MANY_ZEROS * everything.n.sum()
    bounds = everything.percentiles(_ENDS)
    values = _bins(*bounds) if np.isfinite(bounds).all() else np.array([0.0, 1.0])
    lengths = _bins(min(everything.lengths), max(everything.lengths) + 1)
    return SetFacts(
        name=name,
        store=store.folder.name,
        n_columns=len(columns),
        frame_rate=frame_rate,
        record={key: value for key, value in record.items() if key != "columns"},
        states=states,
        without=len(corpora or ()),
        with_zeros=bool(with_zeros),
        groups=tuple(
            _group(corpus, tally, columns, frame_rate, values, lengths, bool(with_zeros))
            for corpus, tally in (("all", everything), *sorted(tallies.items()))
        ),
    )


def describe_manifest(manifest: Manifest, name: str) -> ManifestFacts:
    """Return what a manifest holds, by corpus."""
    corpora = []
    for corpus in manifest.corpora:
        clips = [clip for clip in manifest if clip.corpus == corpus]
        sound = [clip for clip in clips if not clip.fault]
        counts = Counter(clip.emotion for clip in sound)
        sexes = {clip.speaker: clip.sex for clip in sound if clip.speaker}
        corpora.append(
            CorpusFacts(
                corpus=corpus,
                clips=len(sound),
                faults=len(clips) - len(sound),
                speakers=dict(sorted(Counter(sexes.values()).items())),
                emotions={emotion: counts[emotion] for emotion in EMOTIONS if counts[emotion]},
                unlabelled=counts[None],
                languages=tuple(sorted({clip.language for clip in sound if clip.language})),
                intensities=dict(
                    sorted(Counter(c.intensity for c in sound if c.intensity).items())
                ),
                with_votes=sum(clip.votes is not None for clip in sound),
            )
        )
    return ManifestFacts(name, manifest.sha256, tuple(corpora))


def _columns(record: Mapping[str, Any], n_columns: int) -> tuple[tuple[str, ...], float | None]:
    """Return names and frame rate; plain numbers where this version cannot know the names."""
    try:
        columns, frame_rate = read_record(record)
    except ConfigError:  # made by another version of the package
        columns, frame_rate = (), None
    if len(columns) != n_columns:
        columns = tuple(f"column_{place}" for place in range(n_columns))
    return columns, frame_rate


def _bins(low: float, high: float) -> Floats:
    """Return bounds of bins from low to high; a little apart where they are the same."""
    margin = 0.5 * max(abs(low), 1e-6) if low == high else 0.0
    bins: Floats = np.linspace(low - margin, high + margin, _N_BINS + 1)
    return bins


def _group(
    corpus: str,
    tally: Tally,
    columns: tuple[str, ...],
    frame_rate: float | None,
    values: Floats,
    lengths: Floats,
    with_zeros: bool,
) -> GroupFacts:
    n_values = int(tally.n.sum())
    mean, deviation = tally.overall()
    n = np.maximum(tally.n, 1)
    nothing = tally.n == 0
    means = np.where(nothing, nan, tally.mean)
    deviations = np.where(nothing, nan, np.sqrt(tally.squares / n))
    low, high = np.where(nothing, nan, tally.low), np.where(nothing, nan, tally.high)
    frames = _spread(tally.lengths, 1.0)
    counts = np.histogram(
        list(tally.lengths), lengths, weights=np.array(list(tally.lengths.values()), float)
    )[0]
    return GroupFacts(
        corpus=corpus,
        clips=tally.n_clips,
        n_frames=sum(length * count for length, count in tally.lengths.items()),
        frames=frames,
        seconds=None if frame_rate is None else _spread(tally.lengths, frame_rate),
        nonzero=1 - int(tally.zeros.sum()) / n_values if n_values else nan,
        not_finite=tally.n_not_finite,
        low=float(tally.low.min()) if n_values else nan,
        high=float(tally.high.max()) if n_values else nan,
        mean=mean,
        deviation=deviation,
        percentiles=_named(tally.percentiles(PERCENTILES)),
        constant=tuple(
            column for place, column in enumerate(columns) if tally.low[place] == tally.high[place]
        ),
        repeated=tally.n_repeated,
        empty=tally.n_empty,
        columns=tuple(
            ColumnFacts(
                name=column,
                mean=float(means[place]),
                deviation=float(deviations[place]),
                low=float(low[place]),
                high=float(high[place]),
                nonzero=float(1 - tally.zeros[place] / n[place]),
            )
            for place, column in enumerate(columns)
        ),
        histogram=_histogram(values, tally.shares(values, zeros=with_zeros)),
        lengths=_histogram(lengths, counts / tally.n_clips),
    )


def _histogram(edges: Floats, shares: Floats) -> Histogram:
    return Histogram(tuple(map(float, edges)), tuple(map(float, shares)))


def _spread(lengths: Mapping[int, int], frame_rate: float) -> Spread:
    n_clips = sum(lengths.values())
    return Spread(
        low=min(lengths) / frame_rate,
        high=max(lengths) / frame_rate,
        mean=sum(length * count for length, count in lengths.items()) / n_clips / frame_rate,
        percentiles=_named([value / frame_rate for value in percentiles_of(lengths, PERCENTILES)]),
    )


def _named(values: list[float]) -> dict[str, float]:
    return {str(point): value for point, value in zip(PERCENTILES, values, strict=True)}
