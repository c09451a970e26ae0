"""Multi-head attention with lengths, and the transformer's encoder layer of it.

torch's own layers take a faster path in evaluation that cannot be exported to ONNX; these are the
same formulas, and export as they are.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from affectus.models.layers import frame_mask


class MultiHeadAttention(nn.Module):
    """Frames ask the frames of a context, which may be themselves.

    **Source:** Vaswani et al. (2017), "Attention Is All You Need", section 3.2.2. Agrees with
    torch.nn.MultiheadAttention to 1e-6.
    """

    def __init__(self, n_features: int, n_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if n_features % n_heads:
            raise ValueError(f"{n_heads} heads do not divide {n_features} features")
        self.n_heads = n_heads
        self.query = nn.Linear(n_features, n_features)
        self.key = nn.Linear(n_features, n_features)
        self.value = nn.Linear(n_features, n_features)
        self.output = nn.Linear(n_features, n_features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames: Tensor, context: Tensor, context_lengths: Tensor) -> Tensor:
        """Return [B, T, D] of frames [B, T, D] and a context [B, S, D] of lengths [B]."""
        query, key, value = (
            layer(values).unflatten(2, (self.n_heads, -1)).transpose(1, 2)
            for layer, values in (
                (self.query, frames), (self.key, context), (self.value, context),
            )
        )  # fmt: skip
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
        mask = frame_mask(context_lengths, context.shape[1])[:, None, None]
        weights = torch.softmax(scores.float().masked_fill(~mask, -1e9), dim=3).to(value.dtype)
        answers = (self.dropout(weights) @ value).transpose(1, 2).flatten(2)
        result: Tensor = self.output(answers)
        return result


class EncoderLayer(nn.Module):
    """Attention of frames to each other, then two dense layers; each is added and normalised.

    **Source:** Vaswani et al. (2017), section 3.1. Agrees with torch.nn.TransformerEncoderLayer to
    1e-5.
    """

    def __init__(self, n_features: int, n_heads: int, n_dense: int, dropout: float) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(n_features, n_heads, dropout)
        self.norm_1 = nn.LayerNorm(n_features)
        self.dense = nn.Sequential(
            nn.Linear(n_features, n_dense), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(n_dense, n_features),
        )  # fmt: skip
        self.norm_2 = nn.LayerNorm(n_features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Return [B, T, D] of [B, T, D]; what lies beyond each length is nobody's context."""
        frames = self.norm_1(frames + self.dropout(self.attention(frames, frames, lengths)))
        result: Tensor = self.norm_2(frames + self.dropout(self.dense(frames)))
        return result
