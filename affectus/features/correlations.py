"""How descriptors move together while a voice sounds: correlations over a clip's voiced frames.

Functionals say how each descriptor is spread and how it develops; these say what goes with what:
whether the voice becomes brighter as it becomes louder, whether formants move with pitch.

**Source:** the correlation structure of formants and cepstra, J. R. Williamson et al., "Vocal
biomarkers of depression based on motor incoordination", AVEC 2013 (there over delays, here with
deltas); Fisher's z-transformation, Biometrika 10 (1915).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from affectus.features.columns import DESCRIPTORS, place

Frames = NDArray[np.float32]

_COMPARED = (
    "f0_semitones", "h1_h2_db", "h1_a3_db", "f1_hz", "f2_hz", "f3_hz", "b1_hz", "b2_hz", "voicing",
    "hnr_db", "loudness", "alpha_ratio_db", "slope_0_500", "slope_500_1500", "centroid_hz",
    "flatness_db", "flux", *(f"mfcc_{n:02d}" for n in range(1, 10)),
)  # fmt: skip
_PRIOR_FRAMES = 6  # of no correlation that are added to a clip's: few frames say little
_MOST = 0.98  # of a correlation, so that its z is finite
_LEAST_FRAMES = 3
_LEAST_SPREAD = 1e-6

_NAMES = (*_COMPARED, *(f"delta_{name}" for name in _COMPARED))
_ROWS = [place(name).start + half * len(DESCRIPTORS) for half in (0, 1) for name in _COMPARED]
_FIRST, _SECOND = np.triu_indices(len(_NAMES), 1)
CORRELATIONS = tuple(
    f"{_NAMES[first]}__with_{_NAMES[second]}"
    for first, second in zip(_FIRST.tolist(), _SECOND.tolist(), strict=True)
)


def correlate_voiced(rows: Frames) -> Frames:
    """Return Fisher's z of each pair's correlation, in the order of `CORRELATIONS`.

    `rows` are descriptors and their deltas [2 · n, T]. With v voiced frames a correlation counts
    v / (v + 6); with fewer than three all are 0.
    """
    part = rows[_ROWS][:, rows[0] > 0]
    n_voiced = part.shape[1]
    if n_voiced < _LEAST_FRAMES:
        return np.zeros(len(CORRELATIONS), np.float32)
    part -= part.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.square(part).mean(axis=1, keepdims=True))
    part /= spread + np.float32(_LEAST_SPREAD)
    shared = (part @ part.T)[_FIRST, _SECOND] / np.float32(n_voiced + _PRIOR_FRAMES)
    found: Frames = np.arctanh(shared.clip(-_MOST, _MOST))
    return found
