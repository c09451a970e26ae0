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

    Without `image`, columns are no neighbours, as those of descriptors are not: each is a channel,
    convolutions go over time alone, and every block halves it.

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
        image: bool = True,
    ) -> None:
        super().__init__()
        self.image = image
        if image:
            blocks, n_out = _over_bands(n_features, channels, conv_dropout)
        else:
            blocks, n_out = _over_time(n_features, channels, conv_dropout), channels[-1]
        self.blocks = nn.ModuleList(blocks)
        self.project = nn.Linear(n_out, 2 * n_hidden)
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
        frames = pad_frames(inputs.voice, lengths, 4 if self.image else 1)
        image = frames[:, None] if self.image else frames.permute(0, 2, 1)[..., None]
        for block in self.blocks:
            image, lengths = block(image, lengths)
        frames = image.permute(0, 2, 1, 3).flatten(2)
        return self.recurrent(self.dropout(self.project(frames).relu()), lengths), lengths

    def classify(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Return logits [B, K] of the frames that `encode` gives."""
        pooled = self.norm(self.pooling(frames, lengths))
        logits: Tensor = self.output(self.dropout(pooled))
        return logits


def _over_bands(
    n_bands: int, channels: tuple[int, ...], dropout: float
) -> tuple[list[ConvBlock], int]:
    """Return blocks over time and bands, and how many numbers they make of a frame."""
    check_bands(n_bands, len(channels))
    first, second, *rest = channels
    blocks = [
        ConvBlock(1, first, kernel=(5, 5), stride=(2, 2), dropout=dropout),
        ConvBlock(first, second, pool=(2, 2), dropout=dropout),
    ]
    n_bands, n_in = -(-n_bands // 2) // 2, second
    for n_out in rest:
        blocks.append(ConvBlock(n_in, n_out, pool=(1, 2), dropout=dropout))
        n_bands, n_in = n_bands // 2, n_out
    return blocks, n_in * n_bands


def _over_time(n_columns: int, channels: tuple[int, ...], dropout: float) -> list[ConvBlock]:
    """Return blocks over time alone, to which every column is a channel."""
    blocks, n_in = [], n_columns
    for n_out in channels:
        blocks.append(ConvBlock(n_in, n_out, kernel=(5, 1), stride=(2, 1), dropout=dropout))
        n_in = n_out
    return blocks
