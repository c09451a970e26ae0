"""The four-block convolutional network of the earlier four-corpora system, mended."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affectus.models.inputs import Inputs
from affectus.models.layers import ConvBlock, check_bands, masked_mean, pad_frames


class CNN(nn.Module):
    """Four 3x3 convolution blocks, a masked mean over time, two dense layers.

    The earlier system had blocks of 32, 64, 128 and 256 channels, each followed by pooling, and
    dense layers of 512 and 256 with dropout 0.5. It squashed every clip to 128 frames; here the
    clip keeps its length, so that tempo survives, and the mean over its own frames replaces the
    flattening. Outputs are as many as labels (the earlier one had eight for six).
    """

    def __init__(
        self,
        n_features: int,
        n_labels: int,
        *,
        channels: tuple[int, ...] = (32, 64, 128, 256),
        n_dense: tuple[int, ...] = (512, 256),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_bands(n_features, len(channels))
        n_bands, n_in, blocks = n_features, 1, []
        for n_out in channels:
            blocks.append(ConvBlock(n_in, n_out, pool=(2, 2)))
            n_bands, n_in = n_bands // 2, n_out
        self.blocks = nn.ModuleList(blocks)
        self.multiple = 2 ** len(channels)
        dense: list[nn.Module] = []
        n_in *= n_bands
        for n_out in n_dense:
            dense += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(dropout)]
            n_in = n_out
        self.dense = nn.Sequential(*dense, nn.Linear(n_in, n_labels))

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits [B, K]."""
        return self.classify(*self.encode(inputs))

    def encode(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Return frames [B, T', H], zero beyond each of their lengths [B]."""
        lengths = inputs.voice_lengths
        image = pad_frames(inputs.voice, lengths, self.multiple)[:, None]
        for block in self.blocks:
            image, lengths = block(image, lengths)
        return torch.flatten(image.permute(0, 2, 1, 3), 2), lengths

    def classify(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Return logits [B, K] of the frames that `encode` gives."""
        logits: Tensor = self.dense(masked_mean(frames, lengths))
        return logits
