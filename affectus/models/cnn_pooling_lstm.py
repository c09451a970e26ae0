"""A CNN, or embeddings that another model computed, pooled in time, then two LSTMs."""

from __future__ import annotations

from torch import Tensor, nn

from affectus.models.inputs import Inputs
from affectus.models.layers import (
    ConvBlock,
    MaskedRecurrent,
    check_bands,
    last_states,
    pad_frames,
    shorten,
)


class CNNPoolingLSTM(nn.Module):
    """Spectrogram, three convolution blocks, means of `pool` steps, two bidirectional LSTMs.

    Without channels (`channels = []`) there is no CNN: the features are embeddings, and go to the
    pooling as they are. With the default three blocks, a step is 8 frames and `pool` 2 makes it 16:
    256 ms, as it was.

    **Source:** the earlier LSTMs on CNN features (LSTM 128 and 64, dense 256 and 128). There the
    CNN had random weights, other ones for each file, and was never trained; here it is learnt with
    the rest. They reported 84.4 % accuracy with the face's features beside the voice's, on the very
    validation side that chose the model, of speakers heard in training.
    """

    def __init__(
        self,
        n_features: int,
        n_labels: int,
        *,
        channels: tuple[int, ...] = (32, 64, 128),
        pool: int = 2,
        n_hidden: tuple[int, ...] = (128, 64),
        n_dense: tuple[int, ...] = (256, 128),
        conv_dropout: float = 0.2,
        lstm_dropout: float = 0.3,
        dropout: tuple[float, ...] = (0.5, 0.4),
    ) -> None:
        super().__init__()
        check_bands(n_features, len(channels))
        n_bands, n_channels, blocks = n_features, 1, []
        for n_out in channels:
            blocks.append(ConvBlock(n_channels, n_out, pool=(2, 2), dropout=conv_dropout))
            n_bands, n_channels = n_bands // 2, n_out
        self.blocks = nn.ModuleList(blocks)
        self.multiple, self.pool = 2 ** len(channels), pool
        n_in = n_bands * n_channels
        recurrent = []
        for n_out in n_hidden:
            recurrent.append(MaskedRecurrent(n_in, n_out, kind=nn.LSTM))
            n_in = 2 * n_out
        self.recurrent = nn.ModuleList(recurrent)
        self.lstm_dropout = nn.Dropout(lstm_dropout)
        dense: list[nn.Module] = []
        for n_out, share in zip(n_dense, dropout, strict=True):
            dense += [nn.Linear(n_in, n_out), nn.ReLU(), nn.LayerNorm(n_out), nn.Dropout(share)]
            n_in = n_out
        self.dense = nn.Sequential(*dense, nn.Linear(n_in, n_labels))

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits [B, K]."""
        return self.classify(*self.encode(inputs))

    def encode(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Return frames [B, T', H], zero beyond each of their lengths [B]."""
        frames, lengths = inputs.voice, inputs.voice_lengths
        image = pad_frames(frames, lengths, self.multiple)[:, None]
        for block in self.blocks:
            image, lengths = block(image, lengths)
        frames = image.permute(0, 2, 1, 3).flatten(2)
        frames, lengths = shorten(frames, lengths, self.pool)
        for layer in self.recurrent:
            frames = self.lstm_dropout(layer(frames, lengths))
        return frames, lengths

    def classify(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Return logits [B, K] of the frames that `encode` gives."""
        logits: Tensor = self.dense(last_states(frames, lengths))
        return logits
