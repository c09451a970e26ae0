"""What every network takes: streams by name, each with its lengths."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Inputs(NamedTuple):
    """A batch of clips, normalised and padded with zeros.

    `voice` is [B, T, D] float32 and `voice_lengths` [B] int64, each at least 1. Streams go by
    name, so none can be taken for another.
    """

    voice: Tensor
    voice_lengths: Tensor
