"""Late fusion of runs: weights fitted on dev clips, fused scores, judged like a run's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from affectus.errors import EvaluationError
from affectus.evaluation import Evaluation, Predictions, evaluate_predictions, join_predictions
from affectus.files import decode_json
from affectus.manifest import Clip, Manifest
from affectus.pooling import Floats, fit_weights, logarithms, pool, sets_of
from affectus.runs import Run, open_run, read_provenance, write_json
from affectus.training import predict_side

_FILE = "fusion.json"
_MOST = 6  # runs: each set of them has weights of its own


class Weights(msgspec.Struct, frozen=True):
    """What the runs of a fold count, where just these answer; `n_dev` clips they were fitted to.

    `runs` are places in `Fusion.runs`, `values` the powers of their scores.
    """

    fold: str
    runs: tuple[int, ...]
    values: tuple[float, ...]
    n_dev: int


class Fusion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of fusion.json: the runs' folders, and weights for each fold and set of runs."""

    name: str
    runs: tuple[str, ...]
    weights: tuple[Weights, ...]
    cautions: tuple[str, ...] = ()

    def of(self, fold: str, runs: Sequence[int]) -> Floats:
        """Return the weights [n] of just these runs in a fold."""
        for found in self.weights:
            if found.fold == fold and found.runs == tuple(runs):
                return np.array(found.values)
        raise EvaluationError(
            f"{self.name}: {fold} has no weights for {', '.join(self.runs[i] for i in runs)} "
            f"alone: no dev clip was answered by them; expected one. Fuse runs that answer the "
            f"same clips."
        )


def is_fusion(folder: Path | str) -> bool:
    """Tell whether a folder was written by `fuse_runs`."""
    return (Path(folder) / _FILE).is_file()


def fuse_runs(folders: Sequence[Path | str], out: Path | str) -> Fusion:
    """Fit weights on the dev clips of runs, and write them to a new folder `out`.

    The runs must have the same labels and folds of the same names, whose speakers are on the same
    side in all. Clips are paired by their ids, or else as recordings of one take; the first run
    says which clips are answered.

    Raises EvaluationError if the runs do not fit together or `out` is there already.
    """
    out = Path(out)
    if out.exists():
        raise EvaluationError(f"{out}: there already; expected a new folder. Choose another name.")
    members = open_members(folders)
    fitted = []
    sides = [_Side(member, "dev") for member in members]
    for split in members[0].run.splits:
        rows = _align(sides, split.fold)
        truth = sides[0].parts[split.fold].truth
        answered = np.stack([row >= 0 for row in rows])
        for runs in sets_of(len(members)):
            inside = answered[list(runs)].all(0)
            if inside.any():
                logs = np.stack(
                    [logarithms(sides[i].parts[split.fold].scores[rows[i]]) for i in runs]
                )
                values = fit_weights(logs[:, inside], truth[inside])
                kept = tuple(round(float(value), 6) for value in values)
                fitted.append(Weights(split.fold, runs, kept, int(inside.sum())))
    cautions = [
        f"{member.run.experiment.name}: {text}" for member in members for text in member.cautions()
    ]
    fusion = Fusion(out.name, tuple(map(str, folders)), tuple(fitted), tuple(cautions))
    out.mkdir(parents=True)
    write_json(fusion, out / _FILE)
    return fusion


def read_fusion(folder: Path | str) -> Fusion:
    """Read what `fuse_runs` wrote. Raises EvaluationError if it is not that."""
    path = Path(folder) / _FILE
    try:
        found: Fusion = decode_json(path.read_bytes(), Fusion)
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f"{path}: {error}; expected a fusion. Make one: affectus fuse RUN RUN -o {folder}"
        ) from None
    return found


def fuse_side(folder: Path | str, side: str) -> Predictions:
    """Return the fused predictions of every fold on dev or test, and write them to the folder."""
    fusion = read_fusion(folder)
    return _fuse(Path(folder), fusion, open_members(fusion.runs), side)


def evaluate_fusion(folder: Path | str, side: str = "dev") -> Evaluation:
    """Judge a fusion on its dev side, or on its test side, which opens that of every run."""
    fusion = read_fusion(folder)
    members = open_members(fusion.runs)
    first = members[0]
    predictions = _fuse(Path(folder), fusion, members, side)
    scheme, splits = first.run.experiment.scheme, first.run.splits
    emotions = {clip.clip_id: clip.emotion for clip in first.clips.values()}
    planned = [scheme.label(emotions[i]) for split in splits for i in split.side(side)]
    return evaluate_predictions(
        predictions,
        Manifest(tuple(first.clips.values())),
        name=fusion.name,
        side=side,
        scheme=scheme.describe(),
        protocol={
            "name": splits[0].protocol,
            "version": splits[0].version,
            "text": splits[0].text,
            "leaky": any(split.leaky for member in members for split in member.run.splits),
            "folds": len(splits),
            "seed": splits[0].seed,
        },
        n_planned=sum(label is not None for label in planned),
        cautions=list(dict.fromkeys(fusion.cautions)),
        provenance={
            "fused": [
                {"run": name, "weights_sha256": member.weights()}
                for name, member in zip(fusion.runs, members, strict=True)
            ],
            "weights": [msgspec.to_builtins(weights) for weights in fusion.weights],
        },
    )


# --- runs and their clips ----------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """A run and its clips."""

    run: Run
    clips: Mapping[str, Clip]

    def cautions(self) -> list[str]:
        """Return what a reader of its scores must know."""
        return list(
            dict.fromkeys(t for fold in read_provenance(self.run) for t in fold["cautions"])
        )

    def weights(self) -> dict[str, Any]:
        """Return the hash of each fold's weights."""
        return {fold["fold"]: fold["weights_sha256"] for fold in read_provenance(self.run)}


class _Side:
    """What a run said of a side: its predictions, fold by fold."""

    def __init__(self, member: Member, side: str) -> None:
        self.member = member
        whole = predict_side(member.run, side)
        self.parts = {split.fold: _of_fold(whole, split.fold) for split in member.run.splits}

    def keys(self, fold: str, by_take: bool) -> list[str]:
        ids = self.parts[fold].clip_ids
        return [self.member.clips[i].take or i for i in ids] if by_take else list(ids)


def _of_fold(whole: Predictions, fold: str) -> Predictions:
    rows = [row for row, name in enumerate(whole.folds) if name == fold]
    clip_ids, speakers = (
        tuple(names[i] for i in rows) for names in (whole.clip_ids, whole.speakers)
    )
    folds = (fold,) * len(rows)
    truth, scores = whole.truth[rows], whole.scores[rows]
    return Predictions(whole.labels, clip_ids, speakers, folds, truth, scores)


def open_members(folders: Sequence[Path | str]) -> list[Member]:
    """Open runs that can be fused, or say why not."""
    if not 2 <= len(folders) <= _MOST:
        raise EvaluationError(f"{len(folders)} runs to be fused; expected 2 to {_MOST}.")
    members = []
    for folder in folders:
        run = open_run(folder)
        clips = {clip.clip_id: clip for clip in Manifest.read(run.experiment.manifest)}
        members.append(Member(run, clips))
    first = members[0].run
    labels, folds = first.experiment.scheme.describe(), [split.fold for split in first.splits]
    for member in members[1:]:
        name, run = member.run.folder, member.run
        if run.experiment.scheme.describe() != labels:
            raise EvaluationError(
                f"{name}: answers with {run.experiment.scheme.describe()}; expected what "
                f"{first.folder} does: {labels}. Train with the same scheme."
            )
        if [split.fold for split in run.splits] != folds:
            raise EvaluationError(
                f"{name}: has {len(run.splits)} folds; expected those of {first.folder}: "
                f"{', '.join(folds)}. Train with the same protocol."
            )
    _refuse_shared(members)
    return members


def _refuse_shared(members: Sequence[Member]) -> None:
    """Refuse runs of which one was trained on what another is judged by."""
    for number, split in enumerate(members[0].run.splits):
        if any(member.run.splits[number].leaky for member in members):
            continue  # and stamped
        sides = {
            side: [_heard(member, member.run.splits[number].side(side)) for member in members]
            for side in ("train", "dev", "test")
        }
        for one, other in (("train", "test"), ("dev", "test"), ("train", "dev")):
            shared = set().union(*sides[one]) & set().union(*sides[other])
            apart = set().union(*(a & b for a, b in zip(sides[one], sides[other], strict=True)))
            if shared - apart:
                raise EvaluationError(
                    f"{split.fold}: {', '.join(sorted(shared)[:3])} on side {one} of one run and "
                    f"{other} of another; expected the same folds. Train with the same protocol."
                )


def _heard(member: Member, clip_ids: Sequence[str]) -> set[str]:
    """Return the speakers of clips, and the takes of those who have none."""
    clips = (member.clips[i] for i in clip_ids if i in member.clips)
    return {clip.speaker or clip.take or clip.clip_id for clip in clips}


def _align(sides: Sequence[_Side], fold: str) -> list[NDArray[np.intp]]:
    """Return, for each run, the row of its predictions for each clip of the first; -1 for none."""
    ids = [set(side.keys(fold, False)) for side in sides]
    by_take = any(not found & ids[0] for found in ids[1:])
    wanted = sides[0].keys(fold, by_take)
    truth = sides[0].parts[fold].truth
    aligned = []
    for side in sides:
        keys = side.keys(fold, by_take)
        if len(set(keys)) < len(keys) or not set(keys) & set(wanted):
            raise EvaluationError(
                f"{side.member.run.folder}: {fold} has no clips, or several, for a take of "
                f"{sides[0].member.run.folder}; expected clips that can be paired. Fuse runs on "
                f"the same recordings."
            )
        place = {key: row for row, key in enumerate(keys)}
        rows = np.array([place.get(key, -1) for key in wanted], np.intp)
        said = side.parts[fold].truth[rows]
        wrong = np.flatnonzero((rows >= 0) & (said != truth))
        if len(wrong):
            raise EvaluationError(
                f"{side.member.run.folder}: clip '{wanted[wrong[0]]}' is "
                f"{side.parts[fold].labels[said[wrong[0]]]}; expected "
                f"{sides[0].parts[fold].labels[truth[wrong[0]]]}, as {sides[0].member.run.folder} "
                f"has it. Import the corpus again."
            )
        aligned.append(rows)
    return aligned


def _fuse(folder: Path, fusion: Fusion, members: Sequence[Member], side: str) -> Predictions:
    sides = [_Side(member, side) for member in members]
    parts = []
    for split in members[0].run.splits:
        rows, own = _align(sides, split.fold), sides[0].parts[split.fold]
        answered = np.stack([row >= 0 for row in rows])
        scores = np.zeros_like(own.scores)
        for pattern in np.unique(answered, axis=1).T:
            inside = (answered == pattern[:, None]).all(0)
            runs = np.flatnonzero(pattern).tolist()
            logs = np.stack(
                [logarithms(sides[i].parts[split.fold].scores[rows[i][inside]]) for i in runs]
            )
            scores[inside] = pool(logs, fusion.of(split.fold, runs))
        parts.append(replace(own, scores=scores))
    whole = join_predictions(parts)
    whole.write(folder / f"predictions_{side}.csv")
    return whole
