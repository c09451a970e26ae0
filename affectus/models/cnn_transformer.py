"""Convolutions beside a transformer encoder: the fourth of the earlier RAVDESS networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affectus.models.attention import EncoderLayer
from affectus.models.convolutions import ConvolutionBranch
from affectus.models.inputs import Inputs
from affectus.models.layers import masked_mean, peaks


class CNNTransformer(nn.Module):
    """The convolutions of `ParallelCNNLSTM` beside a transformer over peaks, averaged over time.

    There is no position code, as there was none: order is the convolutions' part.

    **Source:** the same notebooks: 4 layers, 64 wide, 4 heads, 512 dense, dropout 0.4; 395,176
    parameters for 128 bands and 8 labels, ours 176 fewer (see ParallelCNNLSTM). Its width was
    that of the pooled bands; here a projection makes it `n_model` where the two differ. It reported
    96.78 % accuracy on a test side with noisy copies of training recordings.
    """

    def __init__(
        self,
        n_features: int,
        n_labels: int,
        *,
        channels: tuple[int, ...] = (16, 32, 64, 64),
        time_pools: tuple[int, ...] = (2, 2, 2, 4),
        transformer_pool: int = 2,
        n_model: int = 64,
        n_layers: int = 4,
        n_heads: int = 4,
        n_dense: int = 512,
        conv_dropout: float = 0.3,
        transformer_dropout: float = 0.4,
    ) -> None:
        super().__init__()
        self.convolutions = ConvolutionBranch(n_features, channels, time_pools, conv_dropout)
        self.pool = (transformer_pool, min(2, n_features))
        n_bands = n_features // self.pool[1]
        self.project = nn.Identity() if n_bands == n_model else nn.Linear(n_bands, n_model)
        self.layers = nn.ModuleList(
            EncoderLayer(n_model, n_heads, n_dense, transformer_dropout) for _ in range(n_layers)
        )
        self.output = nn.Linear(self.convolutions.n_out + n_model, n_labels)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits [B, K]."""
        seen = self.convolutions(inputs.voice, inputs.voice_lengths)
        frames, lengths = peaks(inputs.voice, inputs.voice_lengths, self.pool)
        frames = self.project(frames)
        for layer in self.layers:
            frames = layer(frames, lengths)
        logits: Tensor = self.output(torch.cat([seen, masked_mean(frames, lengths)], dim=1))
        return logits
