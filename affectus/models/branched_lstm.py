"""A branch for the voice and one for the face, which attend to each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affectus.models.attention import MultiHeadAttention
from affectus.models.inputs import Inputs
from affectus.models.layers import MaskedRecurrent, masked_mean, shorten, stream_of


class Branch(nn.Module):
    """LSTM, multi-head attention of its frames to each other, LSTM: [B, T, D] to [B, T, H]."""

    def __init__(self, n_in: int, n_hidden: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.first = MaskedRecurrent(n_in, n_hidden, kind=nn.LSTM)
        self.attention = MultiHeadAttention(2 * n_hidden, n_heads, dropout)
        self.norm = nn.LayerNorm(2 * n_hidden)
        self.second = MaskedRecurrent(2 * n_hidden, n_hidden // 2, kind=nn.LSTM)
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Return frames that know of their clip."""
        frames = self.dropout(self.first(frames, lengths))
        frames = self.norm(frames + self.attention(frames, frames, lengths))
        result: Tensor = self.second(frames, lengths)
        return result


class BranchedLSTM(nn.Module):
    """Voice and face each have a branch; each branch's frames then ask the other's.

    `n_face` is the number of the face's features; 0 makes a network of the voice alone. A clip
    without a face (`face_lengths` 0, or no `face` at all) is answered from the voice: nothing of
    the face's branch reaches its logits; and one without a voice is answered from the face. `pool`
    voice frames are averaged to one step: 4 of 16 ms are 64 ms, about a video frame at 15 a second,
    as it was.

    **Source:** the earlier branched LSTM (BiLSTM 128, attention, BiLSTM 64, dense 128 for each,
    cross-modal attention, dense 256 and 128). It reported 78.72 % accuracy on seven labels, on a
    random test side of speakers heard in training; its voice branch read one vector repeated, and a
    clip without a face had zeros for one, which no mask told from padding.
    """

    def __init__(
        self,
        n_features: int,
        n_labels: int,
        *,
        n_face: int = 0,
        pool: int = 4,
        n_hidden: int = 128,
        n_heads: int = 4,
        n_dense: tuple[int, int, int] = (128, 256, 128),
        branch_dropout: float = 0.3,
        dropout: tuple[float, float, float] = (0.5, 0.6, 0.4),
    ) -> None:
        super().__init__()
        if n_hidden % 2:
            raise ValueError(f"n_hidden is {n_hidden}, which two directions cannot halve")
        self.n_face, self.pool = n_face, pool
        self.streams = ("voice", "face") if n_face else ("voice",)
        n_branch, n_fused, n_last = n_dense

        def dense(n_in: int, n_out: int, share: float) -> nn.Sequential:
            return nn.Sequential(
                nn.Linear(n_in, n_out), nn.LayerNorm(n_out), nn.ReLU(), nn.Dropout(share)
            )

        self.voice = Branch(n_features, n_hidden, n_heads, branch_dropout)
        self.voice_dense = dense(n_hidden, n_branch, dropout[0])
        if n_face:
            self.face = Branch(n_face, n_hidden, n_heads, branch_dropout)
            self.face_dense = dense(n_hidden, n_branch, dropout[0])
            self.voice_asks = MultiHeadAttention(n_hidden, n_heads, branch_dropout)
            self.face_asks = MultiHeadAttention(n_hidden, n_heads, branch_dropout)
        self.head = nn.Sequential(
            dense(n_branch * (2 if n_face else 1), n_fused, dropout[1]),
            dense(n_fused, n_last, dropout[2]),
            nn.Linear(n_last, n_labels),
        )

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits [B, K]."""
        voice, lengths, has_voice = stream_of(inputs, "voice", inputs.voice.shape[2])
        voice, lengths = shorten(voice, lengths, self.pool)
        heard = self.voice(voice, lengths)
        if not self.n_face:
            alone: Tensor = self.head(self.voice_dense(masked_mean(heard, lengths)))
            return alone
        face, face_lengths, has_face = stream_of(inputs, "face", self.n_face)
        seen = self.face(face, face_lengths)
        asked = has_face[:, :, None] * self.voice_asks(heard, seen, face_lengths)
        told = has_voice[:, :, None] * self.face_asks(seen, heard, lengths)
        voice_vector = masked_mean(heard + asked, lengths)
        face_vector = masked_mean(seen + told, face_lengths)
        both = [has_voice * self.voice_dense(voice_vector), has_face * self.face_dense(face_vector)]
        logits: Tensor = self.head(torch.cat(both, dim=1))
        return logits
