"""The one model of the study: logistic regression, its cost fixed once; and what may be fitted on
more than it should.

Each recipe is given the rows of the three sides and returns probabilities [n_test, K] for the test
clips. It is `model.name = "logistic"` of the package: columns standardised, classes weighted alike.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_selection import f_classif
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from affectus.metrics import confusion_matrix, uar
from experiments.leaks.data import Clips, Floats

COST = 1e-3  # scikit-learn's C: chosen once, on dev speakers, before any of this
PLAIN_COST = 1e-1  # of the log-mel statistics, likewise
COSTS = (1e-4, 1e-3, 1e-2)
WIDTHS = (100, 300, 1000, 0)  # columns, the best by F first; 0: all
N_SELECTED = 300

Rows = NDArray[np.intp]
Recipe = Callable[[Clips, Rows, Rows, Rows], Floats]


def plain(clips: Clips, train: Rows, dev: Rows, test: Rows) -> Floats:
    """Fit everything on the training clips, as it should be."""
    x = standardise(clips.features, train)
    return fit(x[train], clips.truth[train], COST, x[test])


def plain_statistics(clips: Clips, train: Rows, dev: Rows, test: Rows) -> Floats:
    """Do the same with the cost of the log-mel statistics."""
    x = standardise(clips.features, train)
    return fit(x[train], clips.truth[train], PLAIN_COST, x[test])


def scaled_over_all(clips: Clips, train: Rows, dev: Rows, test: Rows) -> Floats:
    """Take mean and deviation of each column from all clips, the test clips with them."""
    x = standardise(clips.features, np.arange(len(clips.truth)))
    return fit(x[train], clips.truth[train], COST, x[test])


def selected(clips: Clips, train: Rows, dev: Rows, test: Rows) -> Floats:
    """Keep the best columns by the training clips."""
    return _with_columns(clips, train, test, best_columns(clips, train)[:N_SELECTED])


def selected_over_all(clips: Clips, train: Rows, dev: Rows, test: Rows) -> Floats:
    """Keep the best columns by all clips and their labels, those of test with them."""
    rows = np.concatenate([train, dev, test])
    return _with_columns(clips, train, test, best_columns(clips, rows)[:N_SELECTED])


def chosen(clips: Clips, train: Rows, dev: Rows, test: Rows) -> Floats:
    """Keep, of every cost with every number of columns, what has the best UAR on dev."""
    others = np.setdiff1d(np.arange(len(clips.truth)), train)
    place = {row: number for number, row in enumerate(others.tolist())}
    on_dev, on_test = ([place[row] for row in rows.tolist()] for rows in (dev, test))
    best = max(
        candidates(clips, train.tobytes(), others.tobytes()),
        key=lambda scores: float(
            uar(confusion_matrix(clips.truth[dev], scores[on_dev].argmax(1), len(clips.labels)))
        ),
    )
    return best[on_test]


@lru_cache(maxsize=8)  # the folds: what is chosen on dev and what on test are the same fits
def candidates(clips: Clips, training: bytes, judged: bytes) -> list[Floats]:
    """Return what each cost with each number of columns says of other rows, [M, K] each."""
    train, others = (np.frombuffer(rows, np.intp) for rows in (training, judged))
    order, x = best_columns(clips, train), standardise(clips.features, train)
    found = []
    for width in WIDTHS:
        columns = order[: width or None]
        known, unknown = span(x[np.ix_(train, columns)], x[np.ix_(others, columns)])
        found += [fit(known, clips.truth[train], cost, unknown) for cost in COSTS]
    return found


def standardise(features: Floats, rows: Rows) -> Floats:
    """Return features [N, D] less the mean of some rows, over their deviation."""
    deviation = features[rows].std(0)
    deviation[deviation == 0] = 1
    found: Floats = (features - features[rows].mean(0)) / deviation
    return found


def best_columns(clips: Clips, rows: Rows) -> Rows:
    """Return the columns that differ most between labels in some rows, by F, the best first."""
    with np.errstate(divide="ignore", invalid="ignore"):
        score, _ = f_classif(clips.features[rows], clips.truth[rows])
    order: Rows = np.argsort(-np.nan_to_num(score, nan=-1.0), kind="stable")
    return order


def fit(known: Floats, truth: NDArray[np.intp], cost: float, unknown: Floats) -> Floats:
    """Fit logistic regression to rows [n, D] and return probabilities of others, [m, K].

    Rows that come twice are fitted once, with twice the weight, and rows fewer than the columns in
    their own span: no L2-penalised fit changes by it, only the time that it takes.
    """
    weights = len(truth) / np.bincount(truth)[truth]
    weights *= len(truth) / weights.sum()  # each class alike, N in all
    rows = np.column_stack([known, truth])
    _, first, copy = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    weights, truth, known = np.bincount(copy.ravel(), weights), truth[first], known[first]
    known, unknown = span(known, unknown)
    model = LogisticRegression(C=cost, max_iter=5_000)
    with threadpool_limits(1, user_api="blas"):  # two threads wait for each other for longer
        model.fit(known.astype(np.float32), truth, weights.astype(np.float32))
    scores = model.predict_proba(unknown.astype(np.float32)).astype(np.float64)
    found: Floats = scores / scores.sum(1, keepdims=True)
    return found


def span(known: Floats, unknown: Floats) -> tuple[Floats, Floats]:
    """Turn rows into the span of the known ones, where they are less than half the columns."""
    if 2 * len(known) > known.shape[1]:
        return known, unknown
    values, vectors = np.linalg.eigh(known @ known.T)
    kept = values > 1e-9 * values[-1]
    basis = known.T @ (vectors[:, kept] / np.sqrt(values[kept]))
    return known @ basis, unknown @ basis


def _with_columns(clips: Clips, train: Rows, test: Rows, columns: Rows) -> Floats:
    x = standardise(clips.features[:, columns], train)
    return fit(x[train], clips.truth[train], COST, x[test])
