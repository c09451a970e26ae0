"""What was intended, what was perceived, and how well people do: for clips that raters judged.

An actor intends an emotion; raters say which they perceive. Both are called the truth, and a model
learns one of them: a score must say which. CREMA-D's labels are intended ones unless asked
otherwise, and of its voices most raters perceive another emotion on more than half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from affectus import metrics
from affectus.corpora.votes import find_plurality
from affectus.emotions import read_label
from affectus.errors import LabelError
from affectus.evaluation.predictions import Predictions
from affectus.evaluation.recall_sums import mean_recall, share_right, sum_recalls
from affectus.evaluation.results import TargetScore
from affectus.manifest import Clip

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


class Ratings(NamedTuple):
    """Of each clip the label that was meant and the one most raters chose, [N], -1 for none.

    `shares` [N, K + 1] are the shares of votes by label, the last for anything else; zeros where
    nobody voted. Perceived is what more raters chose than anything else: level votes are none.
    """

    meant: Ints
    seen: Ints
    shares: Floats

    @property
    def voted(self) -> NDArray[np.bool_]:
        """Whether a clip has votes, [N]."""
        found: NDArray[np.bool_] = self.shares.sum(1) > 0
        return found

    @property
    def hits(self) -> Floats:
        """The share of raters who chose what was meant, [N]; NaN without votes or such a label."""
        chosen = self.shares[np.arange(len(self.meant)), self.meant]
        return np.where(self.voted & (self.meant >= 0), chosen, np.nan)


def read_ratings(
    clips: Sequence[Clip], labels: Sequence[str], relabel: Callable[[str | None], str | None]
) -> Ratings | None:
    """Return what raters made of clips, in a model's labels; None if no clip has votes."""
    if not any(clip.votes for clip in clips):
        return None
    k = len(labels)
    number = {label: place for place, label in enumerate(labels)}
    meant, seen = np.full(len(clips), -1), np.full(len(clips), -1)
    shares = np.zeros((len(clips), k + 1))
    for place, clip in enumerate(clips):
        meant[place] = number.get(relabel(_intended(clip)) or "", -1)
        votes: dict[str, int] = {}
        for emotion, count in (clip.votes or {}).items():
            label = relabel(emotion) or ""
            votes[label] = votes.get(label, 0) + count
        total = sum(votes.values())
        for label, count in votes.items():
            shares[place, number.get(label, k)] += count / total if total else 0.0
        seen[place] = number.get(find_plurality(votes) or "", -1)
    return Ratings(meant, seen, shares)


def _intended(clip: Clip) -> str | None:
    """Return what the actor meant: the corpus's own label where there is one, else the clip's."""
    try:
        found = read_label(clip.source_label) if clip.source_label else None
    except LabelError:
        found = None
    return found or clip.emotion


def target_scores(predictions: Predictions, ratings: Ratings, seed: int) -> list[TargetScore]:
    """Return the scores against intended and perceived labels, the model's and the raters'."""
    said, (meant, seen, shares), voted = predictions.prediction, ratings, ratings.voted
    rows, k = np.arange(len(said)), len(predictions.labels)
    to_meant, to_seen = voted & (meant >= 0), seen >= 0
    candidates = (
        ("model", "intended", meant, to_meant, said == meant),
        ("model", "perceived", seen, to_seen, said == seen),
        ("one rater", "intended", meant, to_meant, shares[rows, meant]),
        ("most raters", "intended", meant, to_seen & (meant >= 0), seen == meant),
        ("one rater", "perceived", seen, to_seen, shares[rows, seen]),
    )
    speakers = np.asarray(predictions.speakers)
    if not all(predictions.speakers):
        speakers = np.zeros(len(speakers))  # as one, who has no interval
    found = []
    for who, target, truth, kept, hits in candidates:
        if kept.any():
            voices, index = np.unique(speakers[kept], return_inverse=True)
            sums = sum_recalls(index, len(voices), truth[kept], hits[kept].astype(float), k)
            uar, war = (
                metrics.speaker_interval(metric, sums, seed=seed)
                for metric in (mean_recall, share_right)
            )
            found.append(TargetScore(who, target, int(kept.sum()), uar, war))
    return found
