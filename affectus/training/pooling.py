"""What the networks of several seeds say together, and how far they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from affectus.evaluation import Predictions
from affectus.metrics import confusion_matrix, uar, war


def average_predictions(parts: Sequence[Predictions]) -> Predictions:
    """Return the mean scores of several networks for the same clips, in the same order."""
    first = parts[0]
    assert all(part.clip_ids == first.clip_ids and part.folds == first.folds for part in parts)
    scores = np.mean([part.scores for part in parts], axis=0)
    return Predictions(
        first.labels, first.clip_ids, first.speakers, first.folds, first.truth, scores
    )


def describe_spread(
    seeds: Sequence[int], parts: Sequence[Predictions]
) -> tuple[str, dict[str, Any]]:
    """Return what each seed's network scores alone: in words, and as figures by seed."""
    figures = {}
    for seed, part in zip(seeds, parts, strict=True):
        confusion = confusion_matrix(part.truth, part.prediction, len(part.labels))
        figures[str(seed)] = {"uar": float(uar(confusion)), "war": float(war(confusion))}
    uars = [figure["uar"] for figure in figures.values()]
    text = (
        f"Scores are the mean over {len(uars)} networks a fold (seeds {', '.join(figures)}). Alone "
        f"they have UAR {', '.join(f'{value:.3f}' for value in uars)}: mean {np.mean(uars):.3f}, "
        f"standard deviation {np.std(uars, ddof=1):.3f}."
    )
    return text, figures
