"""The head that SUPERB and EmoBox judge speech encoders by."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affectus.models.inputs import Inputs
from affectus.models.layers import masked_mean


class Superb(nn.Module):
    """A dense layer with ReLU on each frame, the mean over time, a dense layer to the labels.

    **Source:** Yang et al. (2021), "SUPERB", Interspeech, section 3.2 (emotion recognition); with
    `n_hidden` 256 and ReLU it is the head of EmoBox (Ma et al. 2024), whose frames are those of an
    encoder's last layer.
    """

    def __init__(self, n_features: int, n_labels: int, *, n_hidden: int = 256) -> None:
        super().__init__()
        self.hidden = nn.Linear(n_features, n_hidden)
        self.output = nn.Linear(n_hidden, n_labels)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits [B, K]."""
        return self.classify(*self.encode(inputs))

    def encode(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Return frames [B, T, H] and their lengths [B]."""
        return torch.relu(self.hidden(inputs.voice)), inputs.voice_lengths

    def classify(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Return logits [B, K] of the frames that `encode` gives."""
        logits: Tensor = self.output(masked_mean(frames, lengths))
        return logits
