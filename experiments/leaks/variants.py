"""The variants of the study: each is how clips are divided, and what is fitted on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from affectus.evaluation import Predictions, join_predictions
from affectus.splits import Split
from experiments.leaks import model, protocols
from experiments.leaks.data import Clips
from experiments.leaks.model import Recipe
from experiments.leaks.protocols import at_random

HONEST = "speaker-disjoint"
COPIES = "copies of training clips alone"
ON_DEV = "model chosen on dev speakers"
BY_TRAINING = "columns chosen on training clips"
PLAIN = "log-mel, speaker-disjoint"


@dataclass(frozen=True)
class Variant:
    """One row of the study. `data` names the clips.

    It is held against the variant `against`: what would have been done without the leak.
    """

    name: str
    data: str
    divide: Callable[[Clips], tuple[Split, ...]]
    recipe: Recipe = model.plain
    leaky: bool = True
    against: str = HONEST
    seen: str = ""  # where else than in the split it is seen


def _named(protocol: str) -> Callable[[Clips], tuple[Split, ...]]:
    return lambda clips: protocols.by_name(protocol, clips)


def _on_test(clips: Clips) -> tuple[Split, ...]:
    return protocols.choosing_on_test(protocols.by_name("sequential-5fold", clips))


def _with_copies(clips: Clips) -> tuple[Split, ...]:
    return protocols.with_copies_of_training(clips, "sequential-5fold")


_ACTORS, _AT_RANDOM = _named("sequential-5fold"), _named("random-5fold")

VARIANTS = (
    Variant(HONEST, "ravdess", _ACTORS, leaky=False),
    Variant(COPIES, "ravdess+copies", _with_copies, leaky=False),
    Variant(ON_DEV, "ravdess", _ACTORS, model.chosen, leaky=False),
    Variant(BY_TRAINING, "ravdess", _ACTORS, model.selected, leaky=False),
    Variant(
        "normalisation over all clips",
        "ravdess",
        _ACTORS,
        model.scaled_over_all,
        seen="refused at training, where such features are imported",
    ),
    Variant("model chosen on the test side", "ravdess", _on_test, model.chosen, against=ON_DEV),
    Variant(
        "columns chosen over all clips",
        "ravdess",
        _ACTORS,
        model.selected_over_all,
        against=BY_TRAINING,
    ),
    Variant("random by clip", "ravdess", _AT_RANDOM),
    Variant("changed copies before the split", "ravdess+copies", at_random, against=COPIES),
    Variant("duplicated clips left in", "ravdess twice", at_random),
    Variant(PLAIN, "ravdess logmel", _ACTORS, model.plain_statistics, leaky=False, against=PLAIN),
    Variant(
        "log-mel, random by clip",
        "ravdess logmel",
        _AT_RANDOM,
        model.plain_statistics,
        against=PLAIN,
    ),
    Variant(
        "log-mel, duplicated clips left in",
        "ravdess logmel twice",
        at_random,
        model.plain_statistics,
        against=PLAIN,
    ),
    Variant(HONEST, "tess", _named("tess-2fold"), leaky=False),
    Variant("random by clip", "tess", _AT_RANDOM),
    Variant(HONEST, "merged", _named("grouped-5fold"), leaky=False),
    Variant("random by clip", "merged", _AT_RANDOM),
    Variant("duplicated clips left in", "merged twice", at_random),
)


def answer(clips: Clips, splits: Sequence[Split], recipe: Recipe) -> Predictions:
    """Return what a recipe says of the test clips of every fold, changed copies left out."""
    place = {clip.clip_id: number for number, clip in enumerate(clips.manifest)}
    parts = []
    for split in splits:
        train, dev, test = (
            np.array([place[name] for name in ids]) for ids in (split.train, split.dev, split.test)
        )
        test = np.array([row for row in test if _original(clips, row)])
        parts.append(
            Predictions(
                labels=clips.labels,
                clip_ids=tuple(clips.ids[test].tolist()),
                speakers=tuple(clips.speakers[test].tolist()),
                folds=(split.fold,) * len(test),
                truth=clips.truth[test],
                scores=recipe(clips, train, dev, test),
            )
        )
    return join_predictions(parts)


def _original(clips: Clips, row: int) -> bool:
    return not clips.manifest.clips[row].clip_id.endswith(("-noisy", "-faster", "-again"))
