"""Convolutional recurrent network with attentive statistics pooling: the default voice model."""

from __future__ import annotations

from torch import Tensor, nn

from affectus.models.inputs import Inputs
from affectus.models.layers import (
    AttentiveStatisticsPooling,
    ConvBlock,
    MaskedRecurrent,
    check_bands,
    pad_frames,
)


class CRNN(nn.Module):
    """Convolution blocks, a bidirectional GRU, attentive statistics pooling, one linear layer.

    The first block steps by two in time and band, since convolutions at full resolution are most
    of the cost. `channels` are the blocks' widths, two at least; only the first two halve time.

    **Source:** the shape is that of Cakir et al. (2017), "Convolutional Recurrent Neural Networks
    for Polyphonic Sound Event Detection"; the pooling is Okabe et al. (2018).
    """

    def __init__(
        self,
        n_features: int,
        n_labels: int,
        *,
        channels: tuple[int, ...] = (32, 64, 96, 128),
        n_hidden: int = 96,
        n_layers: int = 1,
        n_attention: int = 64,
        dropout: float = 0.3,
        conv_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_bands(n_features, len(channels))
        first, second, *rest = channels
        blocks = [
            ConvBlock(1, first, kernel=5, stride=(2, 2), dropout=conv_dropout),
            ConvBlock(first, second, pool=(2, 2), dropout=conv_dropout),
        ]
        n_bands, n_in = -(-n_features // 2) // 2, second
        for n_out in rest:
            blocks.append(ConvBlock(n_in, n_out, pool=(1, 2), dropout=conv_dropout))
            n_bands, n_in = n_bands // 2, n_out
        self.blocks = nn.ModuleList(blocks)
        self.project = nn.Linear(n_in * n_bands, 2 * n_hidden)
        self.recurrent = MaskedRecurrent(2 * n_hidden, n_hidden, n_layers, dropout)
        self.pooling = AttentiveStatisticsPooling(2 * n_hidden, n_attention)
        self.norm = nn.LayerNorm(4 * n_hidden)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(4 * n_hidden, n_labels)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits [B, K]."""
        return self.classify(*self.encode(inputs))

    def encode(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Return frames [B, T', H], zero beyond each of their lengths [B]."""
        lengths = inputs.voice_lengths
        image = pad_frames(inputs.voice, lengths, 4)[:, None]
        for block in self.blocks:
            image, lengths = block(image, lengths)
        frames = image.permute(0, 2, 1, 3).flatten(2)
        return self.recurrent(self.dropout(self.project(frames).relu()), lengths), lengths

    def classify(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Return logits [B, K] of the frames that `encode` gives."""
        pooled = self.norm(self.pooling(frames, lengths))
        logits: Tensor = self.output(self.dropout(pooled))
        return logits
