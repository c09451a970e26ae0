"""What every network takes: streams by name, each with its lengths."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Inputs(NamedTuple):
    """A batch of clips, normalised and padded with zeros.

    `voice` is [B, T, D] float32 and `voice_lengths` [B] int64, each at least 1. `face` is
    [B, F, D'] float32 and `face_lengths` [B] int64; a clip of length 0 has no face, and both are
    None where none has. Streams go by name, so none can be taken for another.
    """

    voice: Tensor
    voice_lengths: Tensor
    face: Tensor | None = None
    face_lengths: Tensor | None = None
