"""From logits to scores, and from scores to an answer or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from affectus.emotions import LabelScheme, label_scheme
from affectus.errors import ConfigError, LabelError
from affectus.predictor.answers import ByStream, Reason, Segment

Scores = NDArray[np.float64]


class Labelling:
    """How a model's logits become scores over `labels`: its own, or those of a smaller scheme.

    Exact: the probabilities of what is merged are added, and what is dropped is taken as known not
    to be the case (the others are divided by their sum). A best score below `threshold` is no
    answer; where there are no scores, `nothing` is the reason. Raises LabelError where the model
    lacks a label that the scheme has.
    """

    def __init__(
        self,
        own: Sequence[str],
        scheme: str | None,
        threshold: float,
        nothing: Reason = "no speech",
    ) -> None:
        if not 0 <= threshold < 1:
            raise ConfigError(
                f"abstain is {threshold:g}; expected a score of 0 (always answer) to below 1."
            )
        self.labels = tuple(own)
        self._threshold, self._nothing = threshold, nothing
        self._kept = list(range(len(self.labels)))
        self._place = self._kept
        if scheme is not None:
            self._merge(own, label_scheme(scheme))

    def _merge(self, own: Sequence[str], wanted: LabelScheme) -> None:
        missing = [label for label in wanted.labels if label not in own]
        if missing:
            raise LabelError(
                f"labels '{wanted.name}': this model never answers {', '.join(missing)}; expected "
                f"a scheme within its own labels ({', '.join(own)}). Choose another."
            )
        found = [wanted.label(label) for label in own]
        self.labels = wanted.labels
        self._kept = [place for place, label in enumerate(found) if label is not None]
        self._place = [wanted.labels.index(label) for label in found if label is not None]

    def scores(self, logits: NDArray[np.float64]) -> Scores:
        """Return scores [B, K'] of logits [B, K]: softmax over what is kept, then sums."""
        kept = logits[:, self._kept]
        powers = np.exp(kept - kept.max(axis=1, keepdims=True))
        powers /= powers.sum(axis=1, keepdims=True)
        scores = np.zeros((len(logits), len(self.labels)))
        for column, place in enumerate(self._place):
            scores[:, place] += powers[:, column]
        return scores

    def decide(self, scores: Scores | None) -> tuple[str | None, Reason | None]:
        """Return the emotion, or None and why; scores [K'] None stand for nothing to go by."""
        if scores is None:
            return None, self._nothing
        best = int(scores.argmax())
        if scores[best] < self._threshold:
            return None, "unsure"
        return self.labels[best], None

    def name(self, scores: Scores | None) -> dict[str, float]:
        """Return scores [K'] by label, to six digits; empty for None."""
        if scores is None:
            return {}
        return {
            label: round(float(score), 6) for label, score in zip(self.labels, scores, strict=True)
        }

    def name_streams(self, streams: Mapping[str, Scores]) -> ByStream:
        """Return the scores [K'] of each stream by label."""
        return {stream: self.name(scores) for stream, scores in streams.items()}

    def segment(
        self,
        start: float,
        end: float,
        scores: Scores | None,
        streams: Mapping[str, Scores] = MappingProxyType({}),
    ) -> Segment:
        """Return a stretch, in seconds, with its answer and those of each stream alone."""
        emotion, reason = self.decide(scores)
        found, alone = self.name(scores), self.name_streams(streams)
        return Segment(round(start, 3), round(end, 3), emotion, found, reason, alone)
