"""Voice and face, each followed in time; each then asks the other at every step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affectus.models.attention import MultiHeadAttention
from affectus.models.inputs import Inputs
from affectus.models.layers import AttentionPooling, MaskedRecurrent, shorten, stream_of


class AVAttention(nn.Module):
    """A recurrent network for each stream, attention across, one vector each, one answer.

    Either stream may be missing from a clip (its length is 0): then nothing of it, nor of what was
    asked of it, reaches the logits. One that is to be asked for one stream alone should have met
    such clips: `augmentation.modality_dropout`. `pool` voice frames are averaged to one step.

    **Source:** attention across streams: Tsai et al. (2019), "Multimodal Transformer for Unaligned
    Multimodal Language Sequences", ACL, section 3.1; streams left out in training: Neverova et al.
    (2016), "ModDrop", IEEE TPAMI 38: 1692.
    """

    streams = ("voice", "face")

    def __init__(
        self,
        n_features: int,
        n_labels: int,
        *,
        n_face: int = 0,
        pool: int = 4,
        n_hidden: int = 64,
        n_heads: int = 4,
        n_dense: int = 128,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if n_face < 1:
            raise ValueError(f"n_face is {n_face}; a network of both needs a [face] table")
        self.n_face, self.pool = n_face, pool
        width = 2 * n_hidden
        self.dropout = nn.Dropout(dropout)
        self.voice_input = nn.Sequential(nn.Linear(n_features, width), nn.ReLU())
        self.face_input = nn.Sequential(nn.Linear(n_face, width), nn.ReLU())
        self.voice = MaskedRecurrent(width, n_hidden)
        self.face = MaskedRecurrent(width, n_hidden)
        self.voice_asks = MultiHeadAttention(width, n_heads, dropout)
        self.face_asks = MultiHeadAttention(width, n_heads, dropout)
        self.voice_norm, self.face_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.voice_pooling = AttentionPooling(width)
        self.face_pooling = AttentionPooling(width)
        self.head = nn.Sequential(
            nn.Linear(2 * width, n_dense), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(n_dense, n_labels),
        )  # fmt: skip

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits [B, K]."""
        voice, voice_lengths, has_voice = stream_of(inputs, "voice", inputs.voice.shape[2])
        face, face_lengths, has_face = stream_of(inputs, "face", self.n_face)
        voice, voice_lengths = shorten(voice, voice_lengths, self.pool)
        heard = self.voice(self.dropout(self.voice_input(voice)), voice_lengths)
        seen = self.face(self.dropout(self.face_input(face)), face_lengths)
        asked = has_face[:, :, None] * self.voice_asks(heard, seen, face_lengths)
        told = has_voice[:, :, None] * self.face_asks(seen, heard, voice_lengths)
        streams = [
            has_voice * self.voice_pooling(self.voice_norm(heard + asked), voice_lengths),
            has_face * self.face_pooling(self.face_norm(seen + told), face_lengths),
        ]
        logits: Tensor = self.head(self.dropout(torch.cat(streams, dim=1)))
        return logits
