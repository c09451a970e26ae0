"""The two sides of a fold that are open while it trains; the test side stays unread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from affectus.batches import (
    Examples,
    allow_labels,
    find_label_sets,
    join_examples,
    load_examples,
    with_votes,
)
from affectus.errors import TrainingError
from affectus.experiment import Experiment
from affectus.manifest import Clip, Manifest
from affectus.models import takes_voice
from affectus.splits import Split
from affectus.store import FeatureStore

_REFITTED = (
    "Refitted: once dev speakers had chosen the epoch, they trained, too. What is said of dev, and "
    "the temperature, are of the first training, which did not hear them."
)


@dataclass(frozen=True)
class Sides:
    """A fold's training and dev clips.

    `both` are what a refit learns from, train and dev together, and `training` itself without one.
    `label_sets` are the labels that each corpus has among these; `cautions` say in words what a
    reader of the scores must know of them.
    """

    training: Examples
    dev: Examples
    both: Examples
    label_sets: Mapping[str, tuple[str, ...]]
    cautions: tuple[str, ...]


def read_examples(experiment: Experiment, clips: Sequence[Clip], store: FeatureStore) -> Examples:
    """Read what an experiment's model looks at of some clips; clips it cannot answer are left out.

    These are clips without a face, where the model looks at nothing else.
    """
    face = str(experiment.face.get("name", ""))
    name = str(experiment.model["name"])
    return load_examples(
        clips, store, str(experiment.features["name"]), experiment.scheme, face,
        face_only=bool(face) and not takes_voice(name),
    )  # fmt: skip


def _tell_faceless(training: Examples) -> tuple[str, ...]:
    count = sum(not len(face) for face in training.faces or ())
    if not count:
        return ()
    return (
        f"{count:,} of {len(training):,} training clips have no face: they taught the voice alone.",
    )


def load_sides(
    experiment: Experiment, split: Split, manifest: Manifest, store: FeatureStore
) -> Sides:
    """Read the features of both sides. Raises TrainingError if one has no clips."""
    clips = {clip.clip_id: clip for clip in manifest}
    training, dev = (
        read_examples(experiment, [clips[clip_id] for clip_id in split.side(side)], store)
        for side in ("train", "dev")
    )
    if not len(dev) or not len(training):
        raise TrainingError(f"{split.fold}: no clips in train or dev; expected some of each.")
    if experiment.training.refit:
        both = join_examples(training, dev)
        first, _, _ = _as_taught(experiment, training)
        both, sets, cautions = _as_taught(experiment, both)
        return Sides(first, dev, both, sets, (*cautions, _REFITTED))
    training, sets, cautions = _as_taught(experiment, training)
    return Sides(training, dev, training, sets, cautions)


def _as_taught(
    experiment: Experiment, training: Examples
) -> tuple[Examples, dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Return training clips with the targets they teach, each corpus's labels, and cautions."""
    scheme = experiment.scheme
    if experiment.training.soft_targets:
        training = with_votes(training, scheme, experiment.training.soft_targets)
    sets = find_label_sets(training, len(scheme.labels))
    cautions: tuple[str, ...] = ()
    if experiment.training.partial_labels:
        training = allow_labels(training, sets, len(scheme.labels))
    elif len(set(sets.values())) > 1:
        missing = "; ".join(
            f"{corpus} has no {', '.join(lacks)}"
            for corpus, has in sets.items()
            if (lacks := [s for n, s in enumerate(scheme.labels) if n not in has])
        )
        cautions = (
            f"Corpora have different labels in training ({missing}), and a clip of one was also "
            f"taught to be none of those it lacks; training.partial_labels would leave them out.",
        )
    cautions += _tell_faceless(training)
    named = {corpus: tuple(scheme.labels[n] for n in has) for corpus, has in sets.items()}
    return training, named, cautions
