"""Chunks of a clip through one CNN, then an LSTM with attention over the chunks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affectus.models.inputs import Inputs
from affectus.models.layers import AttentionPooling, ConvBlock, MaskedRecurrent, pad_frames

_POOLS = (2, 4, 4)


class StackedCNNLSTM(nn.Module):
    """Overlapping chunks of `chunk` frames, each seen by the same CNN; an LSTM reads their order.

    A clip has as many chunks as it takes to hear its last frame; the last is filled up with zeros.

    **Source:** the stacked network of the public RAVDESS notebooks: 7 chunks of 128 frames, every
    64, of a clip cut to 3 s; 582,761 parameters for 128 bands and 8 labels. With `chunk` 128 and
    `hop` 64 ours has 112 fewer: the convolutions' biases, which batch normalisation undoes. The
    default of 64 frames of 16 ms is 1.0 s, the earlier chunk was 0.7 s. It reported 96.55 %
    accuracy (94.02 % without attention) on a test side with noisy copies of training recordings.
    """

    def __init__(
        self,
        n_features: int,
        n_labels: int,
        *,
        chunk: int = 64,
        hop: int = 32,
        channels: tuple[int, ...] = (16, 32, 64),
        n_hidden: int = 64,
        conv_dropout: float = 0.3,
        lstm_dropout: float = 0.4,
    ) -> None:
        super().__init__()
        if len(channels) != len(_POOLS):
            raise ValueError(f"{len(channels)} channels, not {len(_POOLS)}")
        if chunk % 32 or chunk < 32 or not 1 <= hop <= chunk:
            raise ValueError(f"chunks of {chunk} every {hop} frames, not of 32, 64, ... every 1 up")
        self.chunk, self.hop = chunk, hop
        n_bands, n_frames, n_in, blocks = n_features, chunk, 1, []
        for n_out, pool in zip(channels, _POOLS, strict=True):
            band_pool = min(pool, n_bands)
            blocks.append(ConvBlock(n_in, n_out, pool=(pool, band_pool), dropout=conv_dropout))
            n_bands, n_frames, n_in = n_bands // band_pool, n_frames // pool, n_out
        self.blocks = nn.ModuleList(blocks)
        self.recurrent = MaskedRecurrent(n_in * n_frames * n_bands, n_hidden, kind=nn.LSTM)
        self.dropout = nn.Dropout(lstm_dropout)
        self.pooling = AttentionPooling(2 * n_hidden)
        self.output = nn.Linear(2 * n_hidden, n_labels)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits [B, K]."""
        return self.classify(*self.encode(inputs))

    def encode(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Return frames [B, T', H], zero beyond each of their lengths [B]."""
        frames = pad_frames(inputs.voice, inputs.voice_lengths, self.chunk + self.hop)
        n_chunks = (frames.shape[1] - self.chunk) // self.hop
        start = torch.arange(n_chunks, device=frames.device) * self.hop
        index = start[:, None] + torch.arange(self.chunk, device=frames.device)
        chunks = frames[:, index]  # [B, chunks, chunk, D]
        lengths = (inputs.voice_lengths[:, None] - start).clamp(min=0, max=self.chunk).flatten()
        image = chunks.flatten(0, 1)[:, None]
        for block in self.blocks:
            image, lengths = block(image, lengths)
        seen = image.flatten(1).reshape(frames.shape[0], n_chunks, -1)
        rest = (inputs.voice_lengths - self.chunk).clamp(min=0)
        lengths = torch.div(rest + self.hop - 1, self.hop, rounding_mode="floor") + 1
        return self.dropout(self.recurrent(seen, lengths)), lengths

    def classify(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Return logits [B, K] of the frames that `encode` gives."""
        logits: Tensor = self.output(self.pooling(frames, lengths))
        return logits
