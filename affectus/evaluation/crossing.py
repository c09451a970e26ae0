"""Corpora against each other: trained on rows, tested on columns, on the emotions both have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from affectus import metrics
from affectus.errors import EvaluationError
from affectus.evaluation.predictions import Predictions, join_predictions
from affectus.metrics import Interval


class CrossScore(msgspec.Struct, frozen=True):
    """One cell: models trained on a corpus, asked about the test clips of one.

    `labels` are the emotions that training has of the one and test of the other, and the only
    answers allowed. `n` clips, each answered by `n_models` (one for each fold of the trained run);
    the UAR is over all these answers, its interval over the tested speakers. On the diagonal, each
    clip is answered by the model of the fold that tests it.

    `own` is what the tested corpus's own run has with the same clips and emotions, and `lost` that
    less `uar`, speakers drawn for both alike; None on the diagonal. With fewer than two emotions
    shared there is no score. `leaks` say in words what training had heard of the test.
    """

    trained: str
    tested: str
    labels: list[str]
    n: int
    n_models: int
    n_speakers: int
    uar: Interval | None
    own: Interval | None
    lost: Interval | None
    leaks: list[str]


class CrossTrained(msgspec.Struct, frozen=True):
    """One row's run: what was trained on the corpus, and by what protocol its diagonal is.

    `scheme` says in words what its labels are, `cautions` what was said of it at training.
    """

    corpus: str
    run: str
    model: str
    features: str
    scheme: str
    protocol: str
    leaky: bool
    cautions: list[str]


class CrossMatrix(msgspec.Struct, frozen=True):
    """Every corpus against every other. `cells` stand row by row, in the order of `rows`."""

    adapted: bool
    rows: list[CrossTrained]
    cells: list[CrossScore]
    cautions: list[str]

    @property
    def corpora(self) -> tuple[str, ...]:
        """The corpora, in the order of rows and columns."""
        return tuple(row.corpus for row in self.rows)

    def cell(self, trained: str, tested: str) -> CrossScore:
        """Return the cell of a row and a column."""
        place = self.corpora.index(trained) * len(self.rows) + self.corpora.index(tested)
        return self.cells[place]


def cross_predictions(
    rows: Sequence[CrossTrained],
    answers: Mapping[tuple[str, str], Sequence[Predictions]],
    taught: Mapping[str, Sequence[str]],
    *,
    adapted: bool = False,
    leaks: Mapping[tuple[str, str], Sequence[str]] | None = None,
    seed: int = 0,
) -> CrossMatrix:
    """Judge what each corpus's models say of each corpus.

    `answers`, by trained and tested corpus, holds one table for each model that answered; where the
    two are one, a table of each fold. `taught` are the labels that training clips of a corpus have.

    Labels may differ from corpus to corpus; those of one name are the same.

    Raises EvaluationError for fewer than two corpora, or one that stands twice.
    """
    names = [row.corpus for row in rows]
    if len(names) < 2 or len(set(names)) < len(names):
        raise EvaluationError(
            f"corpora {', '.join(names) or 'none'}; expected two or more, each once."
        )
    joined = {pair: join_predictions(parts) for pair, parts in answers.items()}
    cells = [
        _cell(
            trained,
            tested,
            joined[trained, tested],
            joined[tested, tested],
            taught,
            len(answers[trained, tested]),
            list((leaks or {}).get((trained, tested), ())),
            seed,
        )
        for trained in names
        for tested in names
    ]
    found = CrossMatrix(adapted, list(rows), cells, [])
    return msgspec.structs.replace(found, cautions=_cautions(found))


def restrict_labels(predictions: Predictions, labels: Sequence[str]) -> Predictions:
    """Return the predictions of clips that have one of some labels, with these as only answers.

    Scores are divided by their sum; where they are all 0, each label has the same.
    """
    column = np.array([predictions.labels.index(label) for label in labels])
    new = np.full(len(predictions.labels), -1)
    new[column] = np.arange(len(labels))
    part = predictions.take(np.flatnonzero(new[predictions.truth] >= 0))
    scores = part.scores[:, column]
    total = scores.sum(1, keepdims=True)
    even = np.full_like(scores, 1 / max(1, len(labels)))
    scores = np.divide(scores, total, out=even, where=total > 0)
    return replace(part, labels=tuple(labels), truth=new[part.truth], scores=scores)


def _cell(
    trained: str,
    tested: str,
    answers: Predictions,
    own: Predictions,
    taught: Mapping[str, Sequence[str]],
    n_models: int,
    leaks: list[str],
    seed: int,
) -> CrossScore:
    # What the tested corpus's own models were not taught, they cannot be held against.
    known = {own.labels[place] for place in np.unique(own.truth).tolist()}
    known &= set(taught[trained]) & set(taught[tested])
    labels = [label for label in own.labels if label in known]
    home = trained == tested
    judged, itself = restrict_labels(answers, labels), restrict_labels(own, labels)
    people, confusions = _by_speaker(judged)
    uar = at_home = lost = None
    if len(labels) > 1:
        uar = metrics.speaker_interval(metrics.uar, confusions, seed=seed)
    if uar is not None and not home:
        _, others = _by_speaker(itself)
        at_home = metrics.speaker_interval(metrics.uar, others, seed=seed)
        both = np.stack([others, confusions], axis=1)
        lost = metrics.speaker_interval(_uar_difference, both, seed=seed)
    return CrossScore(
        trained=trained,
        tested=tested,
        labels=labels,
        n=len(set(judged.clip_ids)),
        n_models=1 if home else n_models,
        n_speakers=len(people) if all(judged.speakers) else 0,
        uar=uar,
        own=at_home,
        lost=lost,
        leaks=leaks,
    )


def _by_speaker(part: Predictions) -> tuple[tuple[str, ...], metrics.Matrix]:
    """Return speakers and their confusions; as one, who has no interval, where any is unknown."""
    voices = part.speakers if all(part.speakers) else ("",) * len(part)
    return metrics.confusions_by_group(part.truth, part.prediction, voices, len(part.labels))


def _uar_difference(drawn: NDArray[np.generic]) -> NDArray[np.float64]:
    return metrics.uar(drawn[..., 0, :, :]) - metrics.uar(drawn[..., 1, :, :])


def _cautions(found: CrossMatrix) -> list[str]:
    texts = []
    leaky = [row.corpus for row in found.rows if row.leaky]
    if leaky:
        texts.append(
            f"LEAKY: the runs on {', '.join(leaky)} know speakers or recordings of their test "
            f"sides: their diagonal, and what is lost against it, are no scores for unknown voices."
        )
    heard = [f"{c.trained} to {c.tested}" for c in found.cells if c.leaks]
    if heard:
        texts.append(f"LEAKY: training had heard of the test from {'; '.join(heard)}.")
    if found.adapted:
        texts.append("ADAPTED: each tested speaker was known by that speaker's other clips.")
    if len({tuple(cell.labels) for cell in found.cells}) > 1:
        texts.append(
            "Cells are over the emotions that two corpora share, which differ: compare a cell with "
            "the same clips at home (below), not with its neighbours."
        )
    few = sorted(
        {
            f"{c.tested} ({c.n_speakers})"
            for c in found.cells
            if c.trained == c.tested and 0 < c.n_speakers < 3
        }
    )
    if few:
        texts.append(f"Too few speakers for an interval: {', '.join(few)}.")
    return texts
