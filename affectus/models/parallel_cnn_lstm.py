"""Convolutions beside a bidirectional LSTM with attention: the earlier RAVDESS system."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affectus.models.convolutions import ConvolutionBranch
from affectus.models.inputs import Inputs
from affectus.models.layers import AttentionPooling, MaskedRecurrent, peaks


class ParallelCNNLSTM(nn.Module):
    """Four convolution blocks and an LSTM over peaks hear the same clip; one layer hears both.

    **Source:** the parallel network of a public RAVDESS notebook, 263,593 parameters for 128 bands
    and 8 labels. Ours has 176 fewer: the convolutions' biases, which batch normalisation undoes.
    Its 128x563 image was flattened; here the means of a clip's four quarters are as many numbers
    (see ConvolutionBranch). Its frames came every 5.3 ms: with `time_pools` (2, 4, 4, 4) and
    `lstm_pool` 4 it is the published one; the defaults suit 16 ms. It reported 95.40 % accuracy on
    a test side that held noisy copies of training recordings, of the same 24 actors.
    """

    def __init__(
        self,
        n_features: int,
        n_labels: int,
        *,
        channels: tuple[int, ...] = (16, 32, 64, 64),
        time_pools: tuple[int, ...] = (2, 2, 2, 4),
        lstm_pool: int = 2,
        n_hidden: int = 128,
        conv_dropout: float = 0.3,
        lstm_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.convolutions = ConvolutionBranch(n_features, channels, time_pools, conv_dropout)
        self.lstm_pool = (lstm_pool, min(2, n_features))
        self.recurrent = MaskedRecurrent(n_features // self.lstm_pool[1], n_hidden, kind=nn.LSTM)
        self.dropout = nn.Dropout(lstm_dropout)
        self.pooling = AttentionPooling(2 * n_hidden)
        self.output = nn.Linear(self.convolutions.n_out + 2 * n_hidden, n_labels)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits [B, K]."""
        seen = self.convolutions(inputs.voice, inputs.voice_lengths)
        frames, lengths = peaks(inputs.voice, inputs.voice_lengths, self.lstm_pool)
        frames = self.dropout(self.recurrent(frames, lengths))
        logits: Tensor = self.output(torch.cat([seen, self.pooling(frames, lengths)], dim=1))
        return logits
