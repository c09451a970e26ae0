"""What every network takes: streams by name, each with its lengths."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Inputs(NamedTuple):
    """A batch of clips, normalised and padded with zeros.

    `voice` is [B, T, D] float32 and `voice_lengths` [B] int64. `face` is [B, F, D'] float32 and
    `face_lengths` [B] int64; both are None where no clip has a face. A length of 0 says that a clip
    does not have that stream; networks of the voice alone want 1 or more. Streams go by name, so
    none can be taken for another.
    """

    voice: Tensor
    voice_lengths: Tensor
    face: Tensor | None = None
    face_lengths: Tensor | None = None
