"""Whisper's encoder, from the waveform on: its log-mel spectrogram is part of the network.

It always hears the same stretch, 30 s in the published models, of which a shorter clip fills the
beginning; so no clip depends on the clips it is batched with. Frames beyond a clip's own end are
cut off afterwards.

**Source:** Radford et al. (2023), "Robust Speech Recognition via Large-Scale Weak Supervision";
spectrogram as transformers' WhisperFeatureExtractor makes it, to 1e-4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from affectus.encoders.wav2vec import longest_of


class SpectrogramEncoder(nn.Module):
    """transformers' WhisperEncoder, `model`, behind its spectrogram."""

    basis: Tensor
    filters: Tensor

    def __init__(
        self, model: Any, *, filters: NDArray[np.float64], n_fft: int, hop_length: int
    ) -> None:
        super().__init__()
        self.model = model
        self.n_layers = int(model.config.encoder_layers)
        self.n_features = int(model.config.d_model)
        self.shortest = 1
        self.n_fft, self.hop_length = n_fft, hop_length
        self.hop = 2 * hop_length
        self.n_steps = int(model.config.max_source_positions)
        self.n_samples = 2 * hop_length * self.n_steps
        self.register_buffer("basis", _fourier(n_fft), persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters.T).float(), persistent=False)

    @property
    def layers(self) -> nn.ModuleList:
        """The hidden layers, from the first."""
        found: nn.ModuleList = self.model.layers
        return found

    def n_frames(self, lengths: Tensor) -> Tensor:
        """Return how many frames waveforms of [B] samples become, rounded up."""
        step = 2 * self.hop_length
        rounded = torch.div(lengths + step - 1, step, rounding_mode="floor")
        return rounded.clamp(min=1, max=self.n_steps)

    def prepare(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Return waveforms [B, T] silent beyond their lengths."""
        inside = torch.arange(waveforms.shape[1], device=lengths.device) < lengths[:, None]
        return waveforms * inside.to(waveforms.dtype)

    def forward(
        self, waveforms: Tensor, lengths: Tensor, deepest: int | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """Return hidden states [B, T', D] of layer 0 to `deepest` (all), and their lengths [B].

        The last layer is after the encoder's last normalisation, as transformers gives it.
        """
        deepest = self.n_layers if deepest is None else deepest
        mel = self.spectrogram(waveforms)
        hidden = F.gelu(self.model.conv2(F.gelu(self.model.conv1(mel)))).transpose(1, 2)
        hidden = hidden + self.model.embed_positions.weight
        hidden = F.dropout(hidden, self.model.dropout, self.training)
        states = [hidden]
        for layer in self.layers[:deepest]:
            hidden = layer(hidden, None)
            states.append(hidden)
        if deepest == self.n_layers:
            states[-1] = self.model.layer_norm(states[-1])
        steps = self.n_frames(lengths)
        last = longest_of(steps)
        return [state[:, :last] for state in states], steps

    def spectrogram(self, waveforms: Tensor) -> Tensor:
        """Return the scaled log-mel spectrogram [B, M, 2 T'] of waveforms [B, T]."""
        sound = F.pad(waveforms.float(), (0, self.n_samples))[:, : self.n_samples]
        half = self.n_fft // 2
        sound = F.pad(sound[:, None], (half, half), mode="reflect")
        spectrum = F.conv1d(sound, self.basis, stride=self.hop_length)[:, :, :-1]
        real, imaginary = spectrum.chunk(2, dim=1)
        power = self.filters @ (real.square() + imaginary.square())
        logs = torch.log10(power.clamp(min=1e-10))
        logs = torch.maximum(logs, logs.amax((1, 2), keepdim=True) - 8.0)
        return (logs + 4.0) / 4.0


def _fourier(n_fft: int) -> Tensor:
    """Return the Fourier transform of a Hann window as a convolution: [2 (n_fft / 2 + 1), 1, n]."""
    time, bins = np.arange(n_fft), np.arange(n_fft // 2 + 1)[:, None]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * time / n_fft)
    angle = -2 * np.pi * bins * time / n_fft
    both = np.concatenate([np.cos(angle), np.sin(angle)]) * window
    return torch.from_numpy(both[:, None]).float()
