"""Do voice and face help each other, of people whom the network never saw?

    python experiments/synthetic_films.py FOLDER [--speakers 12]

Synthetic films of RAVDESS's names (drawn faces, synthetic voices, eight emotions) are written to
FOLDER, their features extracted, and one `av_attention` with modality dropout trained for each fold
of speakers. Each fold's test side is then answered by that one network with both streams, with
either one missing, and with the face of another clip of the same side; all four on the clips that
have both. A score here says that the chain works, and nothing about people.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from affectus import models
from affectus.batches import Examples
from affectus.console import print_table
from affectus.corpora import load_corpus
from affectus.experiment import make_experiment
from affectus.extraction import extract_features
from affectus.features import create_extractor
from affectus.manifest import Manifest
from affectus.metrics import confusion_matrix, uar
from affectus.runs import Run, check_weights
from affectus.store import FeatureStore
from affectus.synthesis import write_corpus
from affectus.training import predict, train
from affectus.training.sides import read_examples

N_SHUFFLES = 8
MOST_FACELESS = 0.2  # of the films: the wide eyes of some drawn people are not found to be a face
SIZE = 32  # pixels of a crop


def main() -> None:
    """Print a table: the UAR of each way to ask, fold by fold and over all speakers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--speakers", type=int, default=12)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    run = make_run(given.folder, given.speakers, given.workers)
    rng = np.random.default_rng(0)
    ways: dict[str, Callable[[Examples], Examples]] = {
        "voice and face": lambda found: found,
        "voice alone": without_face,
        "face alone": without_voice,
    }
    counts: dict[str, list[np.ndarray]] = {}
    for fold in range(len(run.splits)):
        network, _ = models.load(check_weights(run, run.splits[fold]))
        found = read_test(run, fold)
        k = len(run.experiment.scheme.labels)

        def count(examples: Examples, n: int = k) -> np.ndarray:
            answers = predict(network, examples, run.experiment.scheme.labels)  # noqa: B023
            return confusion_matrix(answers.truth, answers.prediction, n)

        for name, change in ways.items():
            counts.setdefault(name, []).append(count(change(found)))
        shuffled = [count(with_other_faces(found, rng)) for _ in range(N_SHUFFLES)]
        counts.setdefault("voice, and another clip's face", []).append(np.sum(shuffled, axis=0))
    print_table(
        ("asked with", *(split.fold for split in run.splits), "all"),
        [
            (name, *(float(uar(one)) for one in folds), float(uar(np.sum(folds, axis=0))))
            for name, folds in counts.items()
        ],
        title=f"UAR on unseen speakers, {given.speakers} in all, eight emotions, chance 0.125",
    )


def make_run(folder: Path, n_speakers: int, workers: int) -> Run:
    """Return the trained run, whatever of it is there already."""
    write_corpus("ravdess", folder / "films", n_speakers=n_speakers, n_sentences=1, ending=".mp4")
    manifest = load_corpus("ravdess", folder / "films")
    manifest.write(folder / "films.csv")
    for extractor in (create_extractor("logmel"), create_extractor("face_crops", size=SIZE)):
        extract_features(
            manifest, extractor, folder / "store", workers=workers, max_error_rate=MOST_FACELESS
        )
    experiment = make_experiment({
        "name": "synthetic-films",
        "manifest": str(folder / "films.csv"),
        "store": str(folder / "store"),
        "labels": {"scheme": "eight"},
        "features": {"name": "logmel"},
        "face": {"name": "face_crops", "size": SIZE},
        "split": {"protocol": "sequential-6fold", "folds": [1, 2, 3]},
        "model": {"name": "av_attention", "n_hidden": 32},
        "training": {"epochs": 25, "batch_size": 16, "learning_rate": 0.002},
        "augmentation": {"modality_dropout": 0.4},
    })  # fmt: skip
    return train(experiment, folder / "runs", allow_incomplete=True)


def read_test(run: Run, fold: int) -> Examples:
    """Return the clips of a fold's test side that have a voice and a face."""
    clips = {clip.clip_id: clip for clip in Manifest.read(run.experiment.manifest)}
    with FeatureStore(run.experiment.store) as store:
        chosen = [clips[i] for i in run.splits[fold].test]
        known = {item.key for item in store.ledger("face_crops") if item.state == "done"}
        chosen = [clip for clip in chosen if clip.content_key in known]
        return read_examples(run.experiment, chosen, store)


def without_voice(found: Examples) -> Examples:
    """Return the same clips with voices of length 0."""
    return replace(found, frames=tuple(frames[:0] for frames in found.frames))


def without_face(found: Examples) -> Examples:
    """Return the same clips with faces of length 0."""
    return replace(found, faces=tuple(face[:0] for face in found.faces or ()))


def with_other_faces(found: Examples, rng: np.random.Generator) -> Examples:
    """Return the same clips, each with the face of another one."""
    assert found.faces is not None
    shift = int(rng.integers(1, len(found)))
    order = rng.permutation(len(found))
    other = {int(a): int(b) for a, b in zip(order, np.roll(order, shift), strict=True)}
    return replace(found, faces=tuple(found.faces[other[i]] for i in range(len(found))))


if __name__ == "__main__":
    main()
