"""Does something other than expression give the emotion away?

A network takes the easiest way: if angry clips are longer, or sad ones came by telephone, it learns
that. So each trait is asked alone, by a model too shallow for anything else, how well it tells the
emotions: length and loudness on speakers that the model has not seen, against labels shuffled
within each speaker; speaker, channel and corpus by the largest share of an emotion that each has,
against labels shuffled over the clips.

Some is in every acted corpus, and rightly so: anger is loud. A warning is for what no expression
explains.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from affectus.audit.findings import Confound, Finding, Severity
from affectus.audit.listening import Heard
from affectus.manifest import Clip, Manifest, natural_key
from affectus.media.measures import SILENT_DB
from affectus.metrics import confusion_matrix, confusions_by_group, recalls, speaker_interval, uar

_N_FOLDS = 5
_N_BINS = 8
_N_SHUFFLES = 199
_MOST_CLIPS = 20_000  # of a corpus; more make no other answer
_FEWEST_CLIPS = 40  # fewer give none
_FEWEST_OF_CLASS = 5
_SURE = 0.01  # p-value below which a trait counts at all


class _Limits(NamedTuple):
    """From which gain over chance, or separation of one emotion, a trait is a note or a warning.

    The gain is (UAR - chance) / (1 - chance).
    """

    note_gain: float
    note_separation: float
    warn_gain: float
    warn_separation: float


# What published acted corpora have (RAVDESS, TESS, nEMO, BanglaSER): of length a gain of up to
# 0.16 and a separation of up to 0.4, of loudness 0.25 and 0.65; of the others next to nothing.
_LIMITS = {
    "length": _Limits(0.05, 0.25, 0.4, 0.8),
    "loudness": _Limits(0.05, 0.25, 0.5, 0.9),
    "speaker": _Limits(0.05, 0.2, 0.2, 0.5),
    "channel": _Limits(0.05, 0.2, 0.2, 0.5),
    "corpus": _Limits(0.05, 0.2, 0.2, 0.4),
}


class _Data(NamedTuple):
    """Clips of one corpus, or of all, as arrays [N]: labels and speakers are indices."""

    clips: list[Clip]
    emotions: list[str]
    labels: NDArray[np.intp]
    speakers: NDArray[np.intp]
    n_speakers: int


def find_confounds(manifest: Manifest, heard: Mapping[str, Heard]) -> tuple[Confound, ...]:
    """Measure every trait in each corpus, and the corpus itself where there are several.

    A corpus of fewer than forty clips, or with fewer than two emotions of five clips, gives none;
    length and loudness need two speakers.
    """
    usable = [c for c in manifest if c.clip_id in heard and heard[c.clip_id].level > SILENT_DB]
    found = []
    for corpus in manifest.corpora:
        data = _prepare([clip for clip in usable if clip.corpus == corpus])
        if data is None:
            continue
        of_it = [heard[clip.clip_id] for clip in data.clips]
        lengths = np.log([item.seconds for item in of_it])
        levels = np.array([item.level for item in of_it])
        channels = [
            (h.source_rate, h.n_channels, h.codec, h.cutoff and round(h.cutoff / 1000))
            for h in of_it
        ]
        if data.n_speakers > 1:
            found += _judge_number(corpus, "length", lengths, data)
            found += _judge_number(corpus, "loudness", levels, data)
            found += _judge_group(corpus, "speaker", data.speakers, data)
        found += _judge_group(corpus, "channel", _index(channels), data)
    data = _prepare(usable) if len(manifest.corpora) > 1 else None
    if data is not None:
        corpora = [clip.corpus for clip in data.clips]
        found += _judge_group("", "corpus", _index(corpora), data)
    return tuple(found)


def check_confounds(confounds: Sequence[Confound]) -> list[Finding]:
    """Say which traits tell the emotion too well, and which do a little."""
    findings = []
    for found in confounds:
        limits = _LIMITS[found.trait]
        gain = (found.uar - found.chance) / max(1 - found.chance, 1e-9)
        severity: Severity
        if found.p_value > _SURE:
            continue
        if gain >= limits.warn_gain or found.separation >= limits.warn_separation:
            severity = "warning"
        elif gain >= limits.note_gain or found.separation >= limits.note_separation:
            severity = "note"
        else:
            continue
        where = f"{found.corpus}: " if found.corpus else ""
        span = "" if found.low is None else f" [{found.low:.2f}, {found.high:.2f}]"
        message = (
            f"{where}{found.trait} alone gives UAR {found.uar:.2f}{span} where chance is "
            f"{found.chance:.2f}{_HOW[found.trait]}; most of all {found.emotion}"
        )
        remedy = _REMEDY[found.trait][severity == "warning"]
        findings.append(Finding(f"confounded: {found.trait}", severity, (), message, remedy))
    return findings


_HOW = {
    "length": " (speakers it has not heard)",
    "loudness": " (speakers it has not heard)",
    "speaker": "",
    "channel": " (sample rate, channels, codec and band of the file)",
    "corpus": "",
}
# (as a note, as a warning)
_REMEDY = {
    "length": (
        "Usual in acted speech; know it when you compare scores.",
        "Look at silence and cuts: a model can answer by length. Trim, crop or pad alike.",
    ),
    "loudness": (
        "Usual: loudness is part of how emotion is acted. It fails where gain is set otherwise.",
        "More than expression explains: was the recording level set by emotion? Level it.",
    ),
    "speaker": (
        "Read the scores by speaker.",
        "Who speaks tells the emotion: record every speaker in every emotion, or leave some out.",
    ),
    "channel": (
        "Look at which files differ.",
        "How it was stored tells the emotion: store all clips alike, from the originals.",
    ),
    "corpus": (
        "Read the scores by corpus.",
        "Which corpus it is tells the emotion: take emotions that several have, or one corpus.",
    ),
}


def _prepare(clips: Sequence[Clip]) -> _Data | None:
    """Return the clips of classes that are large enough, at most so many, as arrays."""
    sizes = Counter(clip.emotion for clip in clips)
    emotions = sorted(e for e, n in sizes.items() if e and n >= _FEWEST_OF_CLASS)
    kept = [clip for clip in clips if clip.emotion in emotions]
    if len(kept) < _FEWEST_CLIPS or len(emotions) < 2:
        return None
    if len(kept) > _MOST_CLIPS:
        chosen = np.random.default_rng(0).choice(len(kept), _MOST_CLIPS, replace=False)
        kept = [kept[i] for i in np.sort(chosen)]
    names = sorted({clip.speaker for clip in kept}, key=natural_key)
    places = {name: place for place, name in enumerate(names)}
    return _Data(
        kept,
        emotions,
        np.array([emotions.index(clip.emotion or "") for clip in kept]),
        np.array([places[clip.speaker] for clip in kept]),
        len(names) if "" not in names else 0,  # of somebody unknown nothing can be said
    )


def _index(values: Sequence[object]) -> NDArray[np.intp]:
    places = {value: place for place, value in enumerate(dict.fromkeys(values))}
    return np.array([places[value] for value in values])


# --- length, loudness --------------------------------------------------------------------------


def _judge_number(
    corpus: str, trait: str, values: NDArray[np.float64], data: _Data
) -> list[Confound]:
    """Answer by the emotion that is likeliest among the training speakers' clips of like value.

    Each fold's training values are cut into eight bins of equal size; in a bin, the answer is the
    emotion that has the largest share of its clips there.
    """
    k, n_folds = len(data.emotions), min(_N_FOLDS, data.n_speakers)
    folds = data.speakers % n_folds
    bins = np.zeros((n_folds, len(values)), np.intp)
    for fold in range(n_folds):
        train = values[folds != fold]
        edges = np.quantile(train, np.linspace(0, 1, _N_BINS + 1)[1:-1])
        bins[fold] = np.searchsorted(edges, values)

    def answer(labels: NDArray[np.intp]) -> NDArray[np.intp]:
        said = np.zeros(len(labels), np.intp)
        for fold in range(n_folds):
            train = folds != fold
            cells = bins[fold, train] * k + labels[train]
            counts = np.bincount(cells, minlength=_N_BINS * k).reshape(_N_BINS, k) + 1.0
            said[~train] = (counts / counts.sum(0)).argmax(1)[bins[fold, ~train]]
        return said

    said = answer(data.labels)
    confusion = confusion_matrix(data.labels, said, k)
    names = [str(speaker) for speaker in data.speakers]
    _, by_speaker = confusions_by_group(data.labels, said, names, k)
    interval = speaker_interval(uar, by_speaker, n_draws=2_000)
    shuffled = [
        float(uar(confusion_matrix(labels, answer(labels), k)))
        for labels in _shuffles(data.labels, data.speakers)
    ]
    told = recalls(confusion)
    taken = confusion.sum(0) - confusion.diagonal()
    separation = told - taken / (len(data.labels) - confusion.sum(1))
    best = int(separation.argmax())
    return [
        Confound(
            corpus,
            trait,
            interval.value,
            interval.low,
            interval.high,
            float(np.mean(shuffled)),
            _p_value(interval.value, shuffled),
            data.emotions[best],
            float(separation[best]),
            data.n_speakers,
        )
    ]


def _shuffles(labels: NDArray[np.intp], within: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Yield the labels shuffled many times, each time within the groups."""
    rng = np.random.default_rng(0)
    order = np.argsort(within, kind="stable")
    for _ in range(_N_SHUFFLES):
        shuffled = np.empty_like(labels)
        shuffled[order] = labels[np.lexsort((rng.random(len(labels)), within))]
        yield shuffled


# --- speaker, channel, corpus ------------------------------------------------------------------


def _judge_group(corpus: str, trait: str, groups: NDArray[np.intp], data: _Data) -> list[Confound]:
    """Answer, for each speaker, channel or corpus, by the emotion that has most of itself there."""
    k, n_groups = len(data.emotions), int(groups.max()) + 1
    if n_groups < 2:
        return []

    def measure(labels: NDArray[np.intp]) -> tuple[float, NDArray[np.float64]]:
        counts = np.bincount(groups * k + labels, minlength=n_groups * k).reshape(n_groups, k)
        shares = counts / counts.sum(0)
        others = counts.sum(1, keepdims=True) - counts
        rest = others / others.sum(0)
        return float(shares.max(1).sum() / k), np.abs(shares - rest).sum(0) / 2

    value, separation = measure(data.labels)
    nobody = np.zeros_like(data.speakers)
    # What goes with the speaker is the speaker's: the channel is asked beyond that.
    within = data.speakers if trait == "channel" and data.n_speakers else nobody
    shuffled = [measure(labels) for labels in _shuffles(data.labels, within)]
    chance = float(np.mean([score for score, _ in shuffled]))
    by_chance = np.mean([apart for _, apart in shuffled], axis=0)
    beyond = (separation - by_chance) / np.maximum(1 - by_chance, 1e-9)
    best = int(beyond.argmax())
    p_value = min(
        1.0,
        2 * _p_value(value, [score for score, _ in shuffled]),
        2 * _p_value(float(separation.max()), [float(apart.max()) for _, apart in shuffled]),
    )
    return [
        Confound(
            corpus, trait, value, None, None, chance, p_value, data.emotions[best],
            float(beyond[best]), data.n_speakers,
        )
    ]  # fmt: skip


def _p_value(value: float, shuffled: Sequence[float]) -> float:
    """Return the share of shuffled labels that do as well (Phipson and Smyth, 2010)."""
    return (1 + sum(score >= value for score in shuffled)) / (1 + len(shuffled))
