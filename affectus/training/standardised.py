"""Features that were standardised before the split, by the clips of all its sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from affectus.errors import AuditError
from affectus.manifest import Manifest
from affectus.splits import Split
from affectus.store import FeatureStore

_MEAN = 1e-3  # of 0: float32 and what a table rounds to
_DEVIATION = 5e-3  # of 1: also where it was taken over N - 1
_SHIFTED = 10 * _MEAN  # a mean over the training clips that is not 0


def check_standardised(
    manifest: Manifest, splits: Sequence[Split], store: FeatureStore, name: str, *, allow_leak: bool
) -> list[str]:
    """Refuse imported features whose mean and deviation were taken from the test clips, too.

    They are known by columns that have mean 0 and deviation 1 over all clips together, and not over
    the training clips of a fold. Where each clip or each speaker was standardised alone, both have,
    and where only training clips were, all have not: neither is seen here. Returns the leak in
    words, if one is allowed; raises AuditError if not.

    A model that standardises again, as those of this package do, undoes exactly this much; what
    else was fitted to all clips on the same occasion (columns that were dropped, axes that were
    turned) cannot be seen afterwards, and is not undone.
    """
    fold = find_standardised(manifest, splits, store, name)
    if not fold:
        return []
    text = (
        f"features '{name}' have mean 0 and deviation 1 over all clips together, those of test "
        f"with them, and not over the training clips of {fold}: they were standardised before the "
        f"split"
    )
    if not allow_leak:
        raise AuditError(
            f"{text}; expected features as they were measured. Import them so (training "
            f"standardises them, by its own clips), or add --allow-leak: every report will then "
            f"say so."
        )
    return [f"{text[0].upper()}{text[1:]}."]


def find_standardised(
    manifest: Manifest, splits: Sequence[Split], store: FeatureStore, name: str
) -> str:
    """Return the first fold whose training clips alone are not standardised where all are; ''."""
    sides = [set(split.train) for split in splits]
    sums: NDArray[np.float64] | None = None
    for clip in manifest:
        if clip.fault:
            continue
        frames = store.get(name, clip.content_key).astype(np.float64)
        found = np.stack([np.full(frames.shape[1], len(frames)), frames.sum(0), (frames**2).sum(0)])
        if sums is None:
            sums = np.zeros((1 + len(splits), *found.shape))
        sums[0] += found
        for place, training in enumerate(sides, 1):
            if clip.clip_id in training:
                sums[place] += found
    if sums is None or not np.isfinite(sums).all():
        return ""
    n, total, squares = sums[:, 0], sums[:, 1], sums[:, 2]
    mean = np.divide(total, n, out=np.zeros_like(total), where=n > 0)
    deviation = np.sqrt(
        np.maximum(np.divide(squares, n, out=np.zeros_like(n), where=n > 0) - mean**2, 0)
    )
    varies = deviation[0] > _MEAN  # a constant column has nothing to be divided by
    if not varies.any():
        return ""
    centred = (abs(mean[0, varies]) < _MEAN) & (abs(deviation[0, varies] - 1) < _DEVIATION)
    if not centred.all():
        return ""
    shifted = np.any(abs(mean[1:][:, varies]) > _SHIFTED, axis=1)
    return next((s.fold for s, moved in zip(splits, shifted.tolist(), strict=True) if moved), "")
