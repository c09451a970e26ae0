"""Functionals and a logistic regression, judged on speakers it has never heard.

    affectus import ravdess FOLDER -o ravdess.csv
    affectus extract ravdess.csv --features functionals --store ravdess-store
    python experiments/functionals_ravdess.py ravdess.csv ravdess-store

Five folds (`sequential-5fold`; its train and dev speakers together train). How strong the penalty
is, is chosen inside each fold's training speakers, four of whom are left out in turn. Two figures:
strict, and adapted, where each speaker's features are first standardised by that speaker's own
clips, without labels. `--dev N` prints the inner score of fold N and opens no test side.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from affectus.manifest import Clip, Manifest, natural_key
from affectus.metrics import confusion_matrix, confusions_by_group, speaker_interval, uar
from affectus.splits import check_split, make_splits
from affectus.store import FeatureStore

PENALTIES = (3e-4, 1e-3, 3e-3, 1e-2)  # scikit-learn's C
N_INNER = 4
FARTHEST = 6.0  # deviations: a feature of a clip counts for no more

Matrix = NDArray[np.float64]
Labels = NDArray[np.intp]


def main() -> None:
    """Print the scores of every fold, and the pooled ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest")
    parser.add_argument("store")
    parser.add_argument("--features", default="functionals")
    parser.add_argument("--dev", type=int, help="print the inner score of this fold only")
    given = parser.parse_args()
    manifest = Manifest.read(given.manifest)
    splits = make_splits(manifest, "sequential-5fold")
    wanted = {clip_id for split in splits for clip_id in split.test}
    clips = [clip for clip in manifest if clip.clip_id in wanted]
    with FeatureStore(given.store) as store:
        rows = [store.get(given.features, clip.content_key)[0] for clip in clips]
    features = np.stack(rows).astype(np.float64)
    speakers = np.array([clip.speaker for clip in clips])
    emotions = sorted({str(clip.emotion) for clip in clips})
    labels = np.array([emotions.index(str(clip.emotion)) for clip in clips])
    print(f"{features.shape[0]:,} clips of {len(set(speakers))} speakers, {features.shape[1]:,} "
          f"features, {len(emotions)} emotions")  # fmt: skip
    for name, x in (("strict", features), ("adapted", adapt(features, speakers))):
        predicted = np.full(len(clips), -1)
        for number, split in enumerate(splits, 1):
            if given.dev not in (None, number):
                continue
            check_split(manifest, split)
            test = np.isin([clip.clip_id for clip in clips], split.test)
            inner = {c: inner_score(x, labels, speakers, ~test, c) for c in PENALTIES}
            print(f"{name} {split.fold}: inner UAR "
                  + ", ".join(f"{score:.3f} at C {c:g}" for c, score in inner.items()),
                  flush=True)  # fmt: skip
            if given.dev is None:
                best = max(inner, key=lambda c: inner[c])
                predicted[test] = fit_predict(x, labels, ~test, test, best)
        if given.dev is None:
            report(name, clips, labels, predicted, len(emotions))


def report(
    name: str, clips: Sequence[Clip], labels: Labels, predicted: Labels, n_emotions: int
) -> None:
    """Print the pooled UAR with its interval over speakers."""
    _, counts = confusions_by_group(labels, predicted, [clip.speaker for clip in clips], n_emotions)
    interval = speaker_interval(uar, counts)
    print(f"{name}: pooled test UAR {interval}")


def adapt(features: Matrix, speakers: NDArray[np.str_]) -> Matrix:
    """Standardise each speaker's features [N, D] by that speaker's own clips."""
    adapted = np.empty_like(features)
    for speaker in np.unique(speakers):
        own = speakers == speaker
        part = features[own]
        adapted[own] = (part - part.mean(axis=0)) / np.maximum(part.std(axis=0), 1e-6)
    return adapted


def inner_score(
    x: Matrix, labels: Labels, speakers: NDArray[np.str_], train: NDArray[np.bool_], penalty: float
) -> float:
    """Return the pooled UAR of training speakers, a group of them left out in turn."""
    people = sorted(set(speakers[train]), key=natural_key)
    predicted = labels.copy()
    for group in np.array_split(np.array(people), N_INNER):
        out = np.isin(speakers, group)
        predicted[out] = fit_predict(x, labels, train & ~out, out, penalty)
    k = int(labels.max()) + 1
    return float(uar(confusion_matrix(labels[train], predicted[train], k)))


def fit_predict(
    x: Matrix, labels: Labels, train: NDArray[np.bool_], test: NDArray[np.bool_], penalty: float
) -> Labels:
    """Fit on the training rows and return what is predicted of the others."""
    mean, deviation = x[train].mean(axis=0), x[train].std(axis=0)
    deviation[deviation < 1e-6] = 1
    known, unknown = (
        np.clip((x[rows] - mean) / deviation, -FARTHEST, FARTHEST) for rows in (train, test)
    )
    # A rotation into the span of the training rows changes no L2-penalised fit, only its cost.
    values, vectors = np.linalg.eigh(known @ known.T)
    kept = values > 1e-9 * values[-1]
    basis = known.T @ (vectors[:, kept] / np.sqrt(values[kept]))
    model = LogisticRegression(C=penalty, class_weight="balanced", max_iter=1_000)
    model.fit(known @ basis, labels[train])
    predicted: Labels = model.predict(unknown @ basis)
    return predicted


if __name__ == "__main__":
    main()
