"""An encoder at work on many recordings: in windows, in batches of like length, pooled or not."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from affectus.encoders.loading import Encoder, load_encoder
from affectus.encoders.weights import SAMPLE_RATE, EncoderFiles, find_encoder

Waveform = NDArray[np.float32]
Frames = NDArray[np.float32]
Pooling = Literal["mean", "statistics", "none"]

# Of sound, padding included. On a processor, where one clip already fills it, larger batches only
# leave its caches: 55 s of sound a second in batches of 16 s, 58 in batches of 4 to 8, as clip by
# clip (6 layers of 256, one thread).
_BATCH_SECONDS = {"cpu": 8, "cuda": 512}


class Window(NamedTuple):
    """A stretch of a recording, and which of its frames are kept.

    `start` and `end` are samples; frames `first` to `last`, counted from the stretch's own first,
    are those in its middle half of each overlap.
    """

    start: int
    end: int
    first: int
    last: int


def open_encoder(name: str) -> Encoder:
    """Return an encoder on the fastest device there is, loaded once a process."""
    return _open(find_encoder(name), os.getpid())


@cache
def _open_known(name: str, sha256: str, settings_hash: str, process: int) -> Encoder:
    if multiprocessing.parent_process() is not None:  # a worker has its share of the machine
        torch.set_num_threads(1)
    encoder = load_encoder(find_encoder(name)).to(_device()).requires_grad_(False)
    return encoder


def _open(files: EncoderFiles, process: int) -> Encoder:
    return _open_known(files.name, files.sha256, files.settings_hash, process)


def compute(
    encoder: Encoder,
    waveforms: Sequence[Waveform],
    *,
    layer: int | None = None,
    pooling: Pooling = "mean",
    window: float = 30.0,
    overlap: float = 5.0,
    precision: str = "float32",
) -> list[Frames]:
    """Return the frames [T', D] of each waveform [T]; without a `layer`, all of them side by side.

    With `pooling` there is one row a recording: the mean over its frames, or for each layer the
    mean and then the standard deviation. Beyond `window` seconds a recording is heard in windows
    that overlap by `overlap` seconds. Clips of like length are computed together; padding changes
    a number by 1e-5 at most.
    """
    tensors, pieces = [], []
    for place, waveform in enumerate(waveforms):
        tensor = torch.from_numpy(np.array(waveform, np.float32))[None]
        tensors.append(encoder.prepare(tensor, torch.tensor([len(waveform)]))[0])
        found = cut(encoder, len(waveform), window, overlap)
        pieces += [(place, number, piece) for number, piece in enumerate(found)]
    lengths = [piece.end - piece.start for _, _, piece in pieces]
    parts: list[dict[int, Tensor]] = [{} for _ in waveforms]
    for group in batches(lengths):
        sounds = [tensors[pieces[i][0]][pieces[i][2].start : pieces[i][2].end] for i in group]
        for i, states in zip(group, _encode(encoder, sounds, layer, precision), strict=True):
            place, number, piece = pieces[i]
            parts[place][number] = states[piece.first : piece.last]
    return [_pool(torch.cat([part[number] for number in sorted(part)]), pooling) for part in parts]


def batches(lengths: Sequence[int]) -> list[list[int]]:
    """Return which waveforms of [N] samples are computed together: the longest first, like by like.

    The order of the places does not depend on anything but the lengths.
    """
    most = _BATCH_SECONDS[_device().type] * SAMPLE_RATE
    groups: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        if groups and lengths[groups[-1][0]] * (len(groups[-1]) + 1) <= most:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


def cut(encoder: Encoder, n_samples: int, window: float, overlap: float) -> list[Window]:
    """Return the windows of a recording; together they keep as many frames as the whole has.

    Windows begin at whole frames. Of an overlap, the first half is the earlier window's.
    """
    n_frames = _count(encoder, n_samples)
    hop = encoder.hop
    size = max(1, int(window * SAMPLE_RATE) // hop)
    shared = min(round(overlap * SAMPLE_RATE / hop), size - 1)
    if n_frames <= size:
        return [Window(0, n_samples, 0, n_frames)]
    found = []
    for start in range(0, n_frames, size - shared):
        end, first = start + size, shared // 2 if start else 0
        if end >= n_frames:
            found.append(Window(start * hop, n_samples, first, n_frames - start))
            break
        samples = (size - 1) * hop + encoder.shortest
        found.append(Window(start * hop, start * hop + samples, first, size - shared + shared // 2))
    return found


def _count(encoder: Encoder, n_samples: int) -> int:
    return int(encoder.n_frames(torch.tensor([n_samples]))[0])


@torch.inference_mode()
def _encode(
    encoder: Encoder, sounds: Sequence[Tensor], layer: int | None, precision: str
) -> list[Tensor]:
    """Return the frames [T', L, D] of prepared sounds [T], computed as one batch."""
    device = _device()
    lengths = torch.tensor([len(sound) for sound in sounds])
    batch = torch.nn.utils.rnn.pad_sequence(list(sounds), batch_first=True).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        states, steps = encoder(batch, lengths.to(device), layer)
    chosen = torch.stack(states if layer is None else states[-1:], dim=2).float()
    return [row[:n] for row, n in zip(chosen, steps.tolist(), strict=True)]


def _pool(frames: Tensor, pooling: Pooling) -> Frames:
    """Return [1, L D] or [1, L 2 D] of frames [T', L, D]; [T', L D] without pooling."""
    if pooling == "mean":
        frames = frames.mean(0, keepdim=True)
    elif pooling == "statistics":
        deviation = frames.std(0, correction=0, keepdim=True)
        frames = torch.cat([frames.mean(0, keepdim=True), deviation], dim=2)
    found: Frames = np.ascontiguousarray(frames.flatten(1).cpu().numpy(), np.float32)
    return found


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
