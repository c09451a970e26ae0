"""Voice and face together, judged on speakers that neither has met: 300 RAVDESS clips with films.

    affectus import ravdess FOLDER -o ravdess.csv
    affectus extract ravdess.csv --features functionals --store ravdess-store
    affectus import-features TABLE --manifest ravdess.csv --store ravdess-store \\
      --name action_units --without anger_mean --without anger_std …  # each posterior's columns
    python experiments/voice_and_face.py ravdess.csv ravdess-store

A face model's own posteriors of emotions are left out: it may have been trained on these films.

Five folds of `sequential-5fold`, whose train and dev speakers together train. The voice is judged
by `functionals`, learnt from all clips of the training speakers; the face by the mean and deviation
of its action units. Each is a logistic regression. How strong their penalties are, and how much the
one counts beside the other, is chosen by answers to training speakers who were left out in turn.
Two figures: strict, and adapted, where features are first standardised by each speaker's own clips,
without labels. `--dev` prints the scores of the training speakers, and opens no test side.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from affectus.evaluation import Predictions, compare_predictions
from affectus.manifest import Clip, Manifest, natural_key
from affectus.metrics import confusion_matrix, uar
from affectus.splits import check_split, make_splits
from affectus.store import FeatureStore

VOICE_PENALTIES = (1e-3, 3e-3)  # scikit-learn's C
FACE_PENALTIES = (0.03, 0.1, 0.3)
SHARES = tuple(np.linspace(0, 1, 21))  # of the face, in the sum of logarithms
N_INNER = 4  # groups of four speakers
FARTHEST = 6.0  # deviations: a feature of a clip counts for no more

Matrix = NDArray[np.float64]
Labels = NDArray[np.intp]
Rows = NDArray[np.bool_]


@dataclass(frozen=True)
class Stream:
    """One stream's features [N, D] of all clips, and where it has any, [N]."""

    features: Matrix
    there: Rows
    penalties: tuple[float, ...]


def main() -> None:
    """Print what each stream and both are worth, and what both gain."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest")
    parser.add_argument("store")
    parser.add_argument("--voice", default="functionals")
    parser.add_argument("--face", default="action_units")
    parser.add_argument("--dev", action="store_true", help="training speakers only")
    given = parser.parse_args()
    manifest = Manifest.read(given.manifest)
    splits = make_splits(manifest, "sequential-5fold")
    wanted = {clip_id for split in splits for clip_id in split.test}
    clips = [clip for clip in manifest if clip.clip_id in wanted]
    with FeatureStore(given.store) as store:
        streams = {
            "voice": read_stream(store, given.voice, clips, VOICE_PENALTIES),
            "face": read_stream(store, given.face, clips, FACE_PENALTIES),
        }
    speakers = np.array([clip.speaker for clip in clips])
    emotions = tuple(sorted({str(clip.emotion) for clip in clips}))
    labels = np.array([emotions.index(str(clip.emotion)) for clip in clips])
    judged = np.logical_and.reduce([stream.there for stream in streams.values()])
    for name in ("strict", "adapted"):
        if name == "adapted":
            streams = {key: adapt(stream, speakers) for key, stream in streams.items()}
        answers: dict[str, list[Predictions]] = {}
        for split in splits:
            check_split(manifest, split)
            test = np.isin([clip.clip_id for clip in clips], split.test)
            choice = choose(streams, labels, speakers, ~test, judged)
            print(f"{name} {split.fold}: {choice}", flush=True)
            if given.dev:
                continue
            logs = {
                key: answer(stream, labels, ~test, test & judged, choice.penalties[key])
                for key, stream in streams.items()
            }
            logs["both"] = fuse(logs, choice.share)
            rows = np.flatnonzero(test & judged)
            for key, part in logs.items():
                answers.setdefault(key, []).append(
                    Predictions(
                        emotions, tuple(clips[i].clip_id for i in rows),
                        tuple(clips[i].speaker for i in rows), (split.fold,) * len(rows),
                        labels[rows], np.exp(part),
                    )
                )  # fmt: skip
        if not given.dev:
            report(name, {key: join(parts) for key, parts in answers.items()})


def read_stream(
    store: FeatureStore, features: str, clips: list[Clip], penalties: tuple[float, ...]
) -> Stream:
    """Return a stream's features; a clip that the store does not have has none."""
    done = {item.key for item in store.ledger(features) if item.state == "done"}
    there = np.array([clip.content_key in done for clip in clips])
    rows = [
        store.get(features, clip.content_key)[0]
        for clip, has in zip(clips, there, strict=True)
        if has
    ]
    found = np.full((len(clips), len(rows[0])), np.nan)
    found[there] = rows
    return Stream(found, there, penalties)


def adapt(stream: Stream, speakers: NDArray[np.str_]) -> Stream:
    """Standardise each speaker's features by that speaker's own clips."""
    adapted = np.full_like(stream.features, np.nan)
    for speaker in np.unique(speakers):
        own = (speakers == speaker) & stream.there
        part = stream.features[own]
        adapted[own] = (part - part.mean(axis=0)) / np.maximum(part.std(axis=0), 1e-6)
    return Stream(adapted, stream.there, stream.penalties)


@dataclass(frozen=True)
class Choice:
    """What training speakers choose: each stream's penalty, and the share of the face."""

    penalties: Mapping[str, float]
    share: float
    inner: Mapping[str, float]

    def __str__(self) -> str:
        """Return it in words."""
        scores = ", ".join(f"{key} {score:.3f}" for key, score in self.inner.items())
        chosen = ", ".join(f"C {value:g} ({key})" for key, value in self.penalties.items())
        return f"training speakers, each left out: {scores}; {chosen}, share {self.share:.2f}"


def choose(
    streams: Mapping[str, Stream],
    labels: Labels,
    speakers: NDArray[np.str_],
    train: Rows,
    judged: Rows,
) -> Choice:
    """Choose by the likelihood of the training speakers' labels, a group of them left out in turn.

    The likelihood, not the UAR: of 240 clips one is 0.4 points.
    """
    people = sorted(set(speakers[train]), key=natural_key)
    asked = train & judged
    truth = labels[asked]
    logs: dict[str, Matrix] = {}
    penalties = {}
    for key, stream in streams.items():
        found = {}
        for penalty in stream.penalties:
            part = np.zeros((len(labels), labels.max() + 1))
            for group in np.array_split(np.array(people), N_INNER):
                out = np.isin(speakers, group)
                part[out & asked] = answer(stream, labels, train & ~out, out & asked, penalty)
            found[penalty] = part[asked]
        penalties[key] = max(found, key=lambda c: likelihood(found[c], truth))
        logs[key] = found[penalties[key]]
    share = max(SHARES, key=lambda s: likelihood(fuse(logs, s), truth))
    logs["both"] = fuse(logs, share)
    inner = {key: score(part, truth) for key, part in logs.items()}
    return Choice(penalties, float(share), inner)


def answer(stream: Stream, labels: Labels, train: Rows, asked: Rows, penalty: float) -> Matrix:
    """Fit on the training rows that have the stream; return the log probabilities of others."""
    train = train & stream.there
    mean, deviation = stream.features[train].mean(axis=0), stream.features[train].std(axis=0)
    deviation[deviation < 1e-6] = 1
    known, unknown = (
        np.clip((stream.features[rows] - mean) / deviation, -FARTHEST, FARTHEST)
        for rows in (train, asked)
    )
    # A rotation into the span of the training rows changes no L2-penalised fit, only its cost.
    if known.shape[1] > known.shape[0]:
        values, vectors = np.linalg.eigh(known @ known.T)
        kept = values > 1e-9 * values[-1]
        basis = known.T @ (vectors[:, kept] / np.sqrt(values[kept]))
        known, unknown = known @ basis, unknown @ basis
    model = LogisticRegression(C=penalty, class_weight="balanced", max_iter=2_000)
    model.fit(known, labels[train])
    found: Matrix = model.predict_log_proba(unknown)
    return found


def fuse(logs: Mapping[str, Matrix], share: float) -> Matrix:
    """Return log probabilities of both: sums of each stream's, by their shares."""
    total = (1 - share) * logs["voice"] + share * logs["face"]
    found: Matrix = total - np.log(np.exp(total).sum(axis=1, keepdims=True))
    return found


def likelihood(logs: Matrix, truth: Labels) -> float:
    """Return the mean log probability of the true labels."""
    return float(logs[np.arange(len(truth)), truth].mean())


def score(logs: Matrix, truth: Labels) -> float:
    """Return the UAR of the likeliest labels."""
    return float(uar(confusion_matrix(truth, logs.argmax(1), logs.shape[1])))


def join(parts: list[Predictions]) -> Predictions:
    """Return the predictions of all folds."""
    return Predictions(
        parts[0].labels,
        sum((part.clip_ids for part in parts), ()),
        sum((part.speakers for part in parts), ()),
        sum((part.folds for part in parts), ()),
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )


def report(name: str, answers: Mapping[str, Predictions]) -> None:
    """Print each stream's UAR and what both gain over it, with intervals over speakers."""
    found = compare_predictions({"both": answers["both"], **answers})
    for run in found.runs:
        print(f"{name}: test UAR {run.uar}, {run.name}, {run.n_answered} clips")
    for pair in found.pairs:
        if pair.first == "both":
            print(f"{name}: both less {pair.second}: {pair.difference}, better for {pair.n_better} "
                  f"speakers, worse for {pair.n_worse}, Wilcoxon p {pair.p:.2g}")  # fmt: skip


if __name__ == "__main__":
    main()
