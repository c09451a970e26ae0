"""A small image network over the face of each frame, and a recurrent one over the frames."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn

from affectus.models.inputs import Inputs
from affectus.models.layers import AttentionPooling, MaskedRecurrent, stream_of

_SMALLEST = 16  # pixels a side: four halvings


class FaceCNNLSTM(nn.Module):
    """The face alone, from its crops: `n_face` pixels, square, grey or `colour` (red, green, blue).

    Each crop is halved, then goes through convolutions that halve it again; what they find, its
    mean over the crop, is followed in time. The voice is not listened to; a clip without a face
    has no answer here, and whoever asks must leave it out (`streams` says so).

    **Source:** the earlier audio-visual systems took VGG-Face vectors of 4,096 numbers a frame,
    learnt elsewhere to tell people apart; this one is learnt here, and much smaller.
    """

    streams = ("face",)

    def __init__(
        self,
        n_features: int,
        n_labels: int,
        *,
        n_face: int = 0,
        colour: bool = False,
        channels: tuple[int, ...] = (16, 32, 64),
        n_hidden: int = 64,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        self.n_colours = 3 if colour else 1
        self.size = math.isqrt(n_face // self.n_colours)
        if self.size < _SMALLEST or self.n_colours * self.size**2 != n_face:
            kind = "colour" if colour else "grey"
            raise ValueError(
                f"{n_face} columns of the face are no square {kind} crop of {_SMALLEST} pixels or "
                f"more"
            )
        if not 1 <= len(channels) <= 3:
            raise ValueError(f"{len(channels)} convolutions, which is not 1 to 3")
        self.n_face = n_face
        layers: list[nn.Module] = [nn.AvgPool2d(2)]
        for n_in, n_out in pairwise((self.n_colours, *channels)):
            # Normalised within a crop: what a batch's other frames show does not matter.
            layers += [
                nn.Conv2d(n_in, n_out, 5, stride=2, padding=2, bias=False),
                nn.GroupNorm(math.gcd(8, n_out), n_out),
                nn.ReLU(),
            ]
        self.crops = nn.Sequential(*layers)
        self.recurrent = MaskedRecurrent(channels[-1], n_hidden, kind=nn.LSTM)
        self.pooling = AttentionPooling(2 * n_hidden)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * n_hidden, n_labels))

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits [B, K]."""
        face, lengths, _ = stream_of(inputs, "face", self.n_face)
        n_clips, n_frames = face.shape[0], face.shape[1]
        shape = (n_clips * n_frames, self.size, self.size, self.n_colours)
        found = self.crops(face.reshape(shape).permute(0, 3, 1, 2)).mean((2, 3))
        frames = self.recurrent(found.reshape(n_clips, n_frames, -1), lengths)
        logits: Tensor = self.head(self.pooling(frames, lengths))
        return logits
