"""The voice model that ships: its recipe, its scores on speakers it never heard, its folder.

    python experiments/voice_model.py DATA --work WORK            # all of it, in this order:
    python experiments/voice_model.py DATA --work WORK inner      # choosing: training actors only
    python experiments/voice_model.py DATA --work WORK judge      # five folds; opens the test sides
    python experiments/voice_model.py DATA --work WORK across     # one corpus left out in turn
    python experiments/voice_model.py DATA --work WORK ship FOLDER

DATA holds the folders `ravdess`, `nemo`, `banglaser` and `tess`. Every corpus is dealt into five
parts by speaker (RAVDESS as `sequential-5fold` does); fold k leaves the k-th parts of all out.
The model is `voice_network`'s, on the rows of `voice_rows`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from changes import CHANGES
from numpy.typing import NDArray
from voice_network import LEVEL, N_LABELS, Ensemble, Group, Material, fit_ensemble, know_speaker
from voice_rows import EXTRACTOR, load_rows

from affectus.corpora import load_corpus
from affectus.emotions import label_scheme
from affectus.errors import SplitError
from affectus.features.correlations import CORRELATIONS
from affectus.manifest import Clip, Manifest, natural_key
from affectus.metrics import (
    confusion_matrix,
    confusions_by_group,
    expected_calibration_error,
    speaker_interval,
    uar,
)
from affectus.splits import make_splits

LABELS = label_scheme("eight").labels
SHARES = {"ravdess": 0.6, "nemo": 0.4 / 3, "banglaser": 0.4 / 3, "tess": 0.4 / 3}
VIEWS = {
    "ravdess": ("clean", *(f"v{n}" for n in range(1, 15)), "h1", "h2", "h3", "h4", *["mp3"] * 3),
    **dict.fromkeys(("nemo", "banglaser", "tess"), ("clean", "v1", "v2", "h1")),
}
N_FOLDS = 5
N_MEMBERS = 2  # of each group
WEIGHTS = (1.0, 0.5)  # of statistics, of correlations
KNOWN = (1, 3, 5, 10, 20, None)  # clips of a speaker that are known; None: all of them
N_DRAWS = 5
TEMPERATURES = np.geomspace(0.3, 5, 200)
COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5, 0.3)

Mask = NDArray[np.bool_]
Logits = NDArray[np.float64]


@dataclass(frozen=True)
class Corpus:
    """A corpus: its clips, their labels and speakers, and where its rows are kept."""

    name: str
    clips: list[Clip]
    labels: NDArray[np.intp]
    speakers: NDArray[np.str_]
    work: Path

    def rows(self, view: str = "clean") -> NDArray[np.float32]:
        """Return the functionals [N, D] of one view."""
        return load_rows(self.clips, self.name, view, self.work)

    def parts(self, n: int, among: Mask | None = None) -> list[Mask]:
        """Return which clips stand in each of n parts, dealt by speaker in their order."""
        mask = np.ones(len(self.clips), bool) if among is None else among
        people = sorted(set(self.speakers[mask]), key=natural_key)
        return [np.isin(self.speakers, part) for part in np.array_split(np.array(people), n)]

    @property
    def known(self) -> Mask:
        """The labels [K] that it has."""
        return np.bincount(self.labels, minlength=N_LABELS) > 0


def main() -> None:
    """Do what is asked, or all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("step", nargs="?", choices=["inner", "judge", "across", "ship"])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("voice"))
    given = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    corpora = {name: open_corpus(name, given.data, given.work) for name in SHARES}
    if given.step == "inner":
        score_inside(corpora)
    if given.step in (None, "judge"):
        write_json(given.work / "judged.json", judge(corpora, given.work))
    if given.step in (None, "across"):
        judged = json.loads((given.work / "judged.json").read_text())
        found = judge_across(corpora, judged["ravdess"]["temperature"])
        write_json(given.work / "across.json", found)
    if given.step in (None, "ship"):
        from voice_folder import write_folder

        ensemble = fit_ensemble(materials(corpora, {}), groups(), N_MEMBERS)
        write_folder(ensemble, corpora, given.work, given.folder)


def open_corpus(name: str, data: Path, work: Path) -> Corpus:
    """Return a corpus: its sound clips, in the manifest's order."""
    manifest = load_corpus(name, data / name)
    clips = [clip for clip in manifest if not clip.fault and clip.emotion is not None]
    labels = np.array([LABELS.index(str(clip.emotion)) for clip in clips])
    return Corpus(name, clips, labels, np.array([clip.speaker for clip in clips]), work)


def groups() -> list[Group]:
    """Return the columns that members see: statistics, or correlations; the level with both."""
    together = np.isin(EXTRACTOR.columns, CORRELATIONS)
    found = []
    for mask, weight in zip((~together, together), WEIGHTS, strict=True):
        mask[LEVEL] = True
        found.append(Group(np.flatnonzero(mask), weight))
    return found


def materials(corpora: Mapping[str, Corpus], held: Mapping[str, Mask]) -> dict[str, Material]:
    """Return what to train on: every corpus without the clips that are held out of it."""
    found = {}
    for name, corpus in corpora.items():
        kept = ~held.get(name, np.zeros(len(corpus.clips), bool))
        views = [corpus.rows(view)[kept] for view in VIEWS[name]]
        found[name] = Material(views, corpus.labels[kept], corpus.speakers[kept], SHARES[name])
    return found


def score_inside(corpora: Mapping[str, Corpus], folds: Sequence[int] = (1, 3)) -> None:
    """Print what the training actors of some folds say of the recipe; opens no test side."""
    corpus = corpora["ravdess"]
    rows = corpus.rows()
    for fold in folds:
        outside = corpus.parts(N_FOLDS)[fold - 1]
        logits = np.zeros((2, len(rows), N_LABELS))
        for part in corpus.parts(4, ~outside):
            held = {"ravdess": part | outside}
            ensemble = fit_ensemble(materials(corpora, held), groups(), N_MEMBERS)
            logits[0, part] = ensemble.logits(rows[part])
            logits[1, part] = adapted_logits(ensemble, corpus, rows, part, None, 0)[part]
        strict, adapted = (score(corpus.labels[~outside], each[~outside]) for each in logits)
        print(f"fold {fold}, inside: strict {strict:.3f}, adapted {adapted:.3f}", flush=True)


def judge(corpora: Mapping[str, Corpus], work: Path) -> dict[str, Any]:
    """Return the scores of five folds, pooled; every clip is tested once, its speaker unheard."""
    found: dict[str, dict[str, Logits]] = {
        name: {key: np.zeros((len(corpus.clips), N_LABELS)) for key in _kinds(corpus)}
        for name, corpus in corpora.items()
    }
    splits = make_splits(Manifest(tuple(corpora["ravdess"].clips)), "sequential-5fold")
    for fold in range(N_FOLDS):
        held = {name: corpus.parts(N_FOLDS)[fold] for name, corpus in corpora.items()}
        tested = np.array([clip.clip_id for clip in corpora["ravdess"].clips])[held["ravdess"]]
        if set(tested) != set(splits[fold].test):
            raise SplitError(
                f"fold {fold + 1}: not the test side of sequential-5fold; expected it."
            )
        ensemble = fit_ensemble(materials(corpora, held), groups(), N_MEMBERS)
        for name, corpus in corpora.items():
            for kind in _kinds(corpus):
                heard = _hear(ensemble, corpus, kind, held[name])
                found[name][kind][held[name]] = heard[held[name]]
        part = held["ravdess"]
        strict = score(corpora["ravdess"].labels[part], found["ravdess"]["strict"][part])
        print(f"fold {fold + 1}: RAVDESS strict {strict:.3f}", flush=True)
    np.savez(work / "judged.npz", **{
        f"{name}.{kind}": logits for name, kinds in found.items() for kind, logits in kinds.items()
    })  # fmt: skip
    return {name: describe(corpora[name], kinds) for name, kinds in found.items()}


def _kinds(corpus: Corpus) -> list[str]:
    """Return the ways in which test clips are heard: strict, adapted, and altered ones."""
    known = [f"known-{n or 'all'}-{draw}" for n in KNOWN for draw in range(N_DRAWS if n else 1)]
    return ["strict", *known, *(CHANGES if corpus.name == "ravdess" else ())]


def _hear(ensemble: Ensemble, corpus: Corpus, kind: str, held: Mask) -> Logits:
    if kind.startswith("known"):
        _, n, draw = kind.split("-")
        known = None if n == "all" else int(n)
        return adapted_logits(ensemble, corpus, corpus.rows(), held, known, int(draw))
    return ensemble.logits(corpus.rows(kind if kind in CHANGES else "clean"))


def adapted_logits(
    ensemble: Ensemble,
    corpus: Corpus,
    rows: NDArray[np.float32],
    held: Mask,
    n_known: int | None,
    draw: int,
) -> Logits:
    """Return logits [N, K] of the held clips, each speaker known by some of their own clips.

    A clip that the speaker is known by is judged, too, as it is where all are known.
    """
    logits = np.zeros((len(rows), N_LABELS))
    for speaker in np.unique(corpus.speakers[held]):
        own = np.flatnonzero(corpus.speakers == speaker)
        rng = np.random.default_rng([draw, *str(speaker).encode()])
        heard = own if n_known is None else rng.permutation(own)[:n_known]
        logits[own] = ensemble.logits(rows[own], know_speaker(rows[heard]))
    return logits


def describe(corpus: Corpus, kinds: Mapping[str, Logits]) -> dict[str, Any]:
    """Return the scores of a corpus: with intervals, by group, calibrated, by what is known."""
    strict = kinds["strict"]
    answer: dict[str, Any] = {
        "n_clips": len(corpus.clips),
        "n_speakers": len(set(corpus.speakers)),
        "labels": [label for label, known in zip(LABELS, corpus.known, strict=True) if known],
        "strict": interval(corpus, strict),
        "adapted": interval(corpus, kinds["known-all-0"]),
        "among_all_labels": score(corpus.labels, strict),
        "known": {
            str(n or "all"): float(np.mean([
                score(corpus.labels, only(corpus, kinds[kind]))
                for kind in kinds if kind.startswith(f"known-{n or 'all'}-")
            ]))
            for n in KNOWN
        },
        "changed": {
            kind: float((strict.argmax(1) != kinds[kind].argmax(1)).mean())
            for kind in CHANGES if kind in kinds
        },
        "altered": {
            kind: score(corpus.labels, kinds[kind]) for kind in CHANGES if kind in kinds
        },
        "recall": dict(zip(LABELS, recalls(corpus, only(corpus, strict)), strict=True)),
        "sex": {
            sex: score(corpus.labels[mask], only(corpus, strict)[mask])
            for sex in ("female", "male")
            if (mask := np.array([clip.sex == sex for clip in corpus.clips])).any()
        },
    }  # fmt: skip
    return answer | calibrate(corpus, strict)


def calibrate(corpus: Corpus, logits: Logits) -> dict[str, Any]:
    """Return the temperature, and the error and the risk that go with it on other speakers.

    A part's scores are tempered by what was found on the other parts.
    """
    scores = np.zeros_like(logits)
    for part in corpus.parts(min(N_FOLDS, len(set(corpus.speakers)))):
        scores[part] = softmax(only(corpus, logits[part]), find_temperature(corpus, logits, ~part))
    right = scores.argmax(1) == corpus.labels
    order = np.argsort(-scores.max(1))
    return {
        "temperature": find_temperature(corpus, logits, np.ones(len(logits), bool)),
        "ece": expected_calibration_error(corpus.labels, scores),
        "ece_before": expected_calibration_error(corpus.labels, softmax(only(corpus, logits), 1.0)),
        "risk": {
            str(share): {
                "error": float(1 - right[order[: round(share * len(right))]].mean()),
                "threshold": float(scores.max(1)[order[round(share * len(right)) - 1]]),
            }
            for share in COVERAGES
        },
    }


def find_temperature(corpus: Corpus, logits: Logits, among: Mask) -> float:
    """Return the temperature of the least negative log-likelihood."""
    labels, kept = corpus.labels[among], only(corpus, logits[among])
    losses = [
        -np.log(softmax(kept, t)[np.arange(len(labels)), labels] + 1e-12).mean()
        for t in TEMPERATURES
    ]
    return float(TEMPERATURES[int(np.argmin(losses))])


def judge_across(corpora: Mapping[str, Corpus], temperature: float) -> dict[str, Any]:
    """Return how each corpus is answered by a model that heard the others alone.

    Scores are tempered as those of the model that ships.
    """
    found = {}
    for name, corpus in corpora.items():
        others = {other: each for other, each in corpora.items() if other != name}
        ensemble = fit_ensemble(materials(others, {}), groups(), N_MEMBERS)
        everyone = np.ones(len(corpus.clips), bool)
        shared = corpus.known & np.any([other.known for other in others.values()], axis=0)
        kept = np.isin(corpus.labels, np.flatnonzero(shared))
        strict = ensemble.logits(corpus.rows())
        adapted = adapted_logits(ensemble, corpus, corpus.rows(), everyone, None, 0)
        scores = softmax(np.where(shared, strict, -np.inf), temperature)[kept]
        found[name] = {
            "labels": [label for label, here in zip(LABELS, shared, strict=True) if here],
            "n_clips": int(kept.sum()),
            "ece": expected_calibration_error(corpus.labels[kept], scores),
        } | {
            kind: interval(corpus, np.where(shared, logits, -np.inf), kept)
            for kind, logits in (("strict", strict), ("adapted", adapted))
        }
        print(f"without {name}: {found[name]['strict'][0]:.3f} strict", flush=True)
    return found


def only(corpus: Corpus, logits: Logits) -> Logits:
    """Return logits among the labels that a corpus has."""
    return np.where(corpus.known, logits, -np.inf)


def softmax(logits: Logits, temperature: float) -> Logits:
    """Return probabilities [N, K]."""
    powers = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    scores: Logits = powers / powers.sum(axis=1, keepdims=True)
    return scores


def score(labels: NDArray[np.intp], logits: Logits) -> float:
    """Return the UAR."""
    return float(uar(confusion_matrix(labels, logits.argmax(1), N_LABELS)))


def recalls(corpus: Corpus, logits: Logits) -> list[float | None]:
    """Return the recall of each label; None for one that the corpus does not have."""
    counts = confusion_matrix(corpus.labels, logits.argmax(1), N_LABELS)
    return [float(row[n] / row.sum()) if row.sum() else None for n, row in enumerate(counts)]


def interval(corpus: Corpus, logits: Logits, kept: Mask | None = None) -> list[float | None]:
    """Return the UAR, pooled, among the corpus's labels, with its interval over speakers."""
    kept = np.ones(len(logits), bool) if kept is None else kept
    predicted = np.where(corpus.known, logits, -np.inf).argmax(1)
    people = corpus.speakers[kept].tolist()
    _, counts = confusions_by_group(corpus.labels[kept], predicted[kept], people, N_LABELS)
    return list(speaker_interval(uar, counts))


def write_json(path: Path, found: Mapping[str, Any]) -> None:
    """Write and print what was found."""
    text = json.dumps(found, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    print(text, flush=True)


if __name__ == "__main__":
    main()
