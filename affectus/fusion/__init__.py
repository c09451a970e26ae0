"""Late fusion: several runs answer the same clips, and their scores become one answer.

The scores of a clip are multiplied, each raised to its run's weight (a logarithmic opinion pool),
and made to sum to 1. A fold's weights make its dev clips likeliest; its test clips are opened only
to be judged. A clip that a run has no answer for (no face was found) is answered by the others,
with weights fitted for just these. The runs may be of anything: a voice and a face, two encoders.

**Source:** Genest and Zidek (1986), "Combining Probability Distributions", Statistical Science
1(1); weights of highest likelihood as in Heskes (1998), "Selecting Weighting Factors
in Logarithmic Opinion Pools", NIPS 10.
"""

from affectus.fusion.exporting import export_fusion
from affectus.fusion.fitting import (
    Fusion,
    Weights,
    evaluate_fusion,
    fuse_runs,
    fuse_side,
    is_fusion,
    read_fusion,
)

__all__ = [
    "Fusion",
    "Weights",
    "evaluate_fusion",
    "export_fusion",
    "fuse_runs",
    "fuse_side",
    "is_fusion",
    "read_fusion",
]
