"""Parts that several networks share. All of them keep padding out of the result.

A padded frame is zero before every convolution, exactly as the world beyond the last frame is, so
a clip's numbers do not depend on the clips it was batched with.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from affectus.models.inputs import Inputs


def check_bands(n_bands: int, n_blocks: int) -> None:
    """Refuse (ValueError) more blocks than the bands can be halved."""
    if n_bands < 2**n_blocks:
        raise ValueError(f"{n_blocks} blocks halve {n_bands} bands to nothing")


def frame_mask(lengths: Tensor, n_frames: int) -> Tensor:
    """Return [B, T] booleans: true where a frame belongs to the clip. `lengths` is [B]."""
    return torch.arange(n_frames, device=lengths.device) < lengths[:, None]


def stream_of(inputs: Inputs, name: str, n_columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return a stream [B, T, D], lengths of 1 or more, and [B, 1] of 1 where there is one, or 0.

    A clip without it has a frame of padding to compute on, whose effect is to be multiplied by 0.
    """
    frames, lengths = getattr(inputs, name), getattr(inputs, f"{name}_lengths")
    if frames is None or lengths is None:
        frames = inputs.voice.new_zeros(inputs.voice.shape[0], 1, n_columns)
        lengths = torch.zeros_like(inputs.voice_lengths)
    return frames, lengths.clamp(min=1), (lengths > 0)[:, None].to(frames.dtype)


def pad_frames(frames: Tensor, lengths: Tensor, multiple: int) -> Tensor:
    """Zero what lies beyond each length and append `multiple` - 1 zero frames.

    `frames` is [B, T, D]. After pooling by `multiple` in all, no frame of a clip is then cut off,
    and the shortest clip still has one.
    """
    frames = frames * frame_mask(lengths, frames.shape[1])[:, :, None]
    return torch.nn.functional.pad(frames, (0, 0, 0, multiple - 1))


class ConvBlock(nn.Module):
    """Convolution, batch normalisation, ReLU, max pooling; then padding is zeroed again.

    `kernel`, `stride` and `pool` are (time, bands); the latter two say what each is shrunk by.
    Takes [B, C, T, D] and lengths [B]; gives the smaller image and the lengths, rounded up.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        kernel: tuple[int, int] = (3, 3),
        stride: tuple[int, int] = (1, 1),
        pool: tuple[int, int] = (1, 1),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.convolution = nn.Conv2d(
            n_in, n_out, kernel, stride=stride, padding=padding, bias=False
        )
        self.norm = nn.BatchNorm2d(n_out)
        self.pool = nn.MaxPool2d(pool) if pool != (1, 1) else nn.Identity()
        self.dropout = nn.Dropout2d(dropout)
        self.shrink = (stride[0], pool[0])

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the shrunk image and its lengths."""
        image = torch.relu(self.norm(self.convolution(image)))
        lengths = _shrunk(lengths, self.shrink[0])
        image = image * frame_mask(lengths, image.shape[2])[:, None, :, None]
        return self.dropout(self.pool(image)), _shrunk(lengths, self.shrink[1])


def _shrunk(lengths: Tensor, factor: int) -> Tensor:
    """Return lengths after time has shrunk by a factor, rounded up: no frame is cut off."""
    return torch.div(lengths + factor - 1, factor, rounding_mode="floor")


class MaskedRecurrent(nn.Module):
    """A bidirectional GRU or LSTM that starts backwards at each clip's own last frame."""

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        n_layers: int = 1,
        dropout: float = 0.0,
        *,
        kind: type[nn.GRU] | type[nn.LSTM] = nn.GRU,
    ) -> None:
        super().__init__()
        self.recurrent = kind(
            n_in, n_hidden, n_layers, batch_first=True, bidirectional=True,
            dropout=dropout if n_layers > 1 else 0.0,
        )  # fmt: skip

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Return [B, T, 2 * n_hidden] of [B, T, D], zero beyond each length."""
        packed = pack_padded_sequence(frames, lengths.cpu(), batch_first=True, enforce_sorted=False)
        output, _ = self.recurrent(packed)
        padded: Tensor = pad_packed_sequence(output, batch_first=True)[0]
        return padded


def last_states(frames: Tensor, lengths: Tensor) -> Tensor:
    """Return where each direction ends: forwards at a clip's last frame, backwards at its first.

    `frames` [B, T, 2 H] are a `MaskedRecurrent`'s; the result is [B, 2 H].
    """
    forwards, backwards = frames.chunk(2, dim=2)
    last = (lengths - 1)[:, None, None].expand(-1, 1, forwards.shape[2])
    return torch.cat([forwards.gather(1, last)[:, 0], backwards[:, 0]], dim=1)


class AttentionPooling(nn.Module):
    """Mean over time weighted by a learnt score of each frame: [B, T, D] to [B, D].

    **Source:** Bahdanau, Cho and Bengio (2015), "Neural Machine Translation by Jointly Learning to
    Align and Translate", in the short form of the earlier systems: the score is one linear layer.
    """

    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.score = nn.Linear(n_in, 1)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Return the pooled vector; frames beyond each length have no weight."""
        mask = frame_mask(lengths, frames.shape[1])
        scores = self.score(frames).squeeze(2).float().masked_fill(~mask, -1e9)
        weights = torch.softmax(scores, dim=1)[:, :, None].to(frames.dtype)
        return (weights * frames).sum(1)


class AttentiveStatisticsPooling(nn.Module):
    """Attention-weighted mean and standard deviation over time: [B, T, D] to [B, 2 D].

    **Source:** Okabe, Koshinaka and Shinoda (2018), "Attentive Statistics Pooling for Deep Speaker
    Embedding", Interspeech, equations 3 to 6.
    """

    def __init__(self, n_in: int, n_hidden: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(n_in, n_hidden), nn.Tanh(), nn.Linear(n_hidden, 1))

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Return the pooled vector; frames beyond each length have no weight."""
        mask = frame_mask(lengths, frames.shape[1])
        scores = self.score(frames).squeeze(2).float().masked_fill(~mask, -1e9)
        weights = torch.softmax(scores, dim=1)[:, :, None].to(frames.dtype)
        mean = (weights * frames).sum(1)
        variance = (weights * torch.square(frames - mean[:, None])).sum(1)
        return torch.cat([mean, torch.sqrt(variance + 1e-5)], dim=1)


def masked_mean(frames: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean over time of [B, T, D] up to each length: [B, D]."""
    mask = frame_mask(lengths, frames.shape[1])[:, :, None].to(frames.dtype)
    return (frames * mask).sum(1) / lengths[:, None].to(frames.dtype)


def shorten(frames: Tensor, lengths: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Average every `factor` frames of [B, T, D] to one; return them and their lengths, rounded up.

    A clip's last one is the mean of the frames that are left, not of padding.
    """
    if factor == 1:
        return frames, lengths
    sums = pad_frames(frames, lengths, factor).permute(0, 2, 1)
    sums = nn.functional.avg_pool1d(sums, factor).permute(0, 2, 1) * factor
    shorter = _shrunk(lengths, factor)
    start = torch.arange(sums.shape[1], device=lengths.device) * factor
    counts = (lengths[:, None] - start).clamp(min=1, max=factor)
    return sums / counts[:, :, None].to(sums.dtype), shorter


def peaks(frames: Tensor, lengths: Tensor, factor: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Keep the largest of every `factor` (frames, bands) of [B, T, D]; padding is never it."""
    mask = frame_mask(lengths, frames.shape[1])[:, :, None]
    low = nn.functional.pad(frames.masked_fill(~mask, -1e9), (0, 0, 0, factor[0] - 1), value=-1e9)
    largest = nn.functional.max_pool2d(low[:, None], factor)[:, 0]
    lengths = _shrunk(lengths, factor[0])
    return largest.masked_fill(~frame_mask(lengths, largest.shape[1])[:, :, None], 0.0), lengths


def stretches(frames: Tensor, lengths: Tensor, n_stretches: int) -> Tensor:
    """Return the means of each clip's first, second, ... part of equal length: [B, n, D].

    `frames` is [B, T, D]. A frame on a boundary counts on either side with its share, so a clip
    may have fewer frames than stretches.
    """
    place = torch.arange(frames.shape[1], device=frames.device, dtype=torch.float32)
    size = lengths[:, None, None].to(torch.float32) / n_stretches
    start = torch.arange(n_stretches, device=frames.device)[None, :, None] * size
    overlap = torch.minimum(place + 1, start + size) - torch.maximum(place, start)
    weights = (overlap.clamp(min=0) / size).to(frames.dtype)
    return weights @ frames
