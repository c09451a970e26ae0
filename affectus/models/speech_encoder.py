"""A pretrained speech encoder with a head of its own, from the waveform to the logits.

The encoder may stay as it is, be tuned from the top, or be given low-rank adapters; the head mixes
its layers by learnt weights, pools over time and is linear.

**Source:** layers mixed by a softmax of learnt weights: Yang et al. (2021), "SUPERB", Interspeech;
attentive statistics pooling: Okabe et al. (2018). Layer-wise rates: Howard and Ruder (2018),
"Universal Language Model Fine-tuning", section 3.2. Adapters: Hu et al. (2022), "LoRA".
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from affectus.encoders import find_encoder
from affectus.encoders.loading import create_encoder, load_encoder
from affectus.models.inputs import Inputs
from affectus.models.layers import AttentiveStatisticsPooling, frame_mask, masked_mean

_POOLINGS = ("attention", "mean", "statistics")


class SpeechEncoder(nn.Module):
    """An encoder and a head on features `waveform`.

    `encoder` is a folder or a hub name. `layer` is one layer's number, or -1 for a learnt mix of
    all. `pooling` is attention (attentive statistics, over `n_attention` hidden units), mean or
    statistics. `finetune` is how many layers are tuned, from the top: 0 leaves the encoder as it
    is, all of them tunes everything but the convolutions at its bottom. `lora_rank` above 0 gives
    each layer's queries and values adapters of that rank, whose part is `lora_alpha` / rank; the
    layers themselves then stay. The top layer's learning rate is `encoder_rate` times the head's,
    and each layer's below is `layer_decay` times that of the one above it; adapters learn as fast
    as the head. `config`, `preprocessor` and `weights` are filled in: what the encoder is, so that
    a saved model needs its files no more.
    """

    takes_raw = True  # the encoder scales the sound as it was taught

    def __init__(
        self,
        n_features: int,
        n_labels: int,
        *,
        encoder: str = "",
        layer: int = -1,
        pooling: str = "attention",
        n_attention: int = 64,
        dropout: float = 0.2,
        finetune: int = 0,
        lora_rank: int = 0,
        lora_alpha: float = 16.0,
        encoder_rate: float = 0.02,
        layer_decay: float = 0.9,
        config: dict[str, Any] | None = None,
        preprocessor: dict[str, Any] | None = None,
        weights: str = "",
    ) -> None:
        super().__init__()
        if n_features != 1:
            raise ValueError("it takes features.name = 'waveform'")
        if config is None or preprocessor is None:
            if not encoder:
                raise ValueError("no encoder; give model.encoder a folder or a hub name")
            files = find_encoder(encoder)
            if weights not in ("", files.sha256):
                raise ValueError(f"the encoder is {files.sha256[:12]}…, not {weights[:12]}…")
            config, preprocessor, weights = files.config, files.preprocessor, files.sha256
            self.encoder = load_encoder(files)
        else:
            self.encoder = create_encoder(config, preprocessor)
        self.filled = {"config": config, "preprocessor": preprocessor, "weights": weights}
        n_layers, n_hidden = self.encoder.n_layers, self.encoder.n_features
        checks = {
            "layer": (-1 <= layer <= n_layers, f"-1 to {n_layers}"),
            "pooling": (pooling in _POOLINGS, f"one of {', '.join(_POOLINGS)}"),
            "finetune": (0 <= finetune <= n_layers, f"0 to {n_layers}"),
            "lora_rank": (0 <= lora_rank <= n_hidden, f"0 to {n_hidden}"),
            "layer_decay": (0 < layer_decay <= 1, "above 0, to 1"),
            "encoder_rate": (0 < encoder_rate <= 10, "above 0, to 10"),
        }
        for setting, (fine, expected) in checks.items():
            if not fine:
                raise ValueError(f"{setting} is {locals()[setting]}, which is not {expected}")
        if finetune and lora_rank:
            raise ValueError("both finetune and lora_rank are set; choose one")
        self.layer, self.pooling = layer, pooling
        self.encoder_rate, self.layer_decay = encoder_rate, layer_decay
        self.deepest = n_layers if layer < 0 else layer
        self.tuned = _choose_tuned(self.encoder, finetune, self.deepest)
        self.encoder.requires_grad_(False)
        for module in self.tuned:
            module.requires_grad_(True)
        self.mix = nn.Parameter(torch.zeros(n_layers + 1)) if layer < 0 else None
        self.attention = (
            AttentiveStatisticsPooling(n_hidden, n_attention) if pooling == "attention" else None
        )
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(n_hidden * (1 if pooling == "mean" else 2), n_labels)
        if lora_rank:
            _adapt(self.encoder, lora_rank, lora_alpha)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits [B, K] of waveforms [B, T, 1]."""
        return self.classify(*self.encode(inputs))

    def encode(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Return the frames [B, T', D] that are pooled, and their lengths."""
        lengths = inputs.voice_lengths
        sound = self.encoder.prepare(inputs.voice[:, :, 0], lengths)
        states, steps = self.encoder(sound, lengths, self.deepest)
        if self.mix is None:
            return states[-1], steps
        shares = torch.softmax(self.mix, 0)
        mixed = sum(share * state for share, state in zip(shares, states, strict=True))
        assert isinstance(mixed, Tensor)
        return mixed, steps

    def classify(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Return logits [B, K] of what `encode` gives."""
        frames = self.dropout(frames)
        if self.attention is not None:
            pooled = self.attention(frames, lengths)
        else:
            pooled = pool_statistics(frames, lengths)[:, : self.output.in_features]
        logits: Tensor = self.output(pooled)
        return logits

    def train(self, mode: bool = True) -> SpeechEncoder:
        """Set the mode; what is not tuned stays in evaluation, without dropout."""
        super().train(mode)
        self.encoder.eval()
        for module in self.tuned:
            module.train(mode)
        return self

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return what is learnt, and the share of the learning rate at which."""
        layers = list(self.encoder.layers)
        groups = []
        known: set[int] = set()
        for depth, layer in enumerate(reversed(layers[: self.deepest])):
            tuned = [p for p in layer.parameters() if p.requires_grad and layer in self.tuned]
            if tuned:
                groups.append((tuned, self.encoder_rate * self.layer_decay**depth))
                known |= {id(p) for p in tuned}
        below = [p for m in self.tuned for p in m.parameters() if id(p) not in known]
        if below:
            groups.append((below, self.encoder_rate * self.layer_decay**self.deepest))
            known |= {id(p) for p in below}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in known]
        return [(rest, 1.0), *groups]


class _Adapter(nn.Module):
    """A weight plus the product of two thin matrices, of which one begins at zero."""

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(rank, weight.shape[1]))
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.scale = alpha / rank

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.scale * (self.up @ self.down)


def _adapt(encoder: Any, rank: int, alpha: float) -> None:
    for name, module in encoder.layers.named_modules():
        if name.endswith(("q_proj", "v_proj")) and isinstance(module, nn.Linear):
            parametrize.register_parametrization(
                module, "weight", _Adapter(module.weight, rank, alpha)
            )


def merge_adapters(network: nn.Module) -> None:
    """Make adapters part of the weights that they change; the answers stay the same."""
    for module in network.modules():
        if isinstance(module, nn.Linear) and parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")


def _choose_tuned(encoder: Any, n_layers: int, deepest: int) -> list[nn.Module]:
    """Return the modules that are tuned: the top layers; with all, what lies below the first too.

    The convolutions of wav2vec 2.0's kind stay as they are, as is usual.
    """
    if not n_layers:
        return []
    tuned = list(encoder.layers[:deepest][-n_layers:])
    inner = getattr(encoder.model, "encoder", encoder.model)
    if n_layers >= deepest:
        below = ("feature_projection",), ("pos_conv_embed", "layer_norm", "conv1", "conv2")
        for home, names in zip((encoder.model, inner), below, strict=True):
            tuned += [getattr(home, name) for name in names if hasattr(home, name)]
    return tuned


def pool_statistics(frames: Tensor, lengths: Tensor) -> Tensor:
    """Return mean and standard deviation over time of [B, T, D] up to each length: [B, 2 D]."""
    mean = masked_mean(frames, lengths)
    inside = frame_mask(lengths, frames.shape[1])[:, :, None].to(frames.dtype)
    squares = ((frames - mean[:, None]) * inside).square().sum(1)
    deviation = torch.sqrt(squares / lengths[:, None].to(frames.dtype) + 1e-12)
    return torch.cat([mean, deviation], dim=1)


class EncodedNetwork(nn.Module):
    """An encoder in front of a network that was trained on its frames, as one from the waveform on.

    What the features `wavlm` and the like are, with these `layer`s (None: all) and this `pooling`,
    computed in the network, so that it can be exported whole.
    """

    has_frames = False
    n_face = 0
    streams = ("voice",)

    def __init__(self, encoder: Any, network: Any, *, layer: int | None, pooling: str) -> None:
        super().__init__()
        self.encoder, self.network = encoder, network
        self.layer, self.pooling = layer, pooling
        self.mean, self.deviation = torch.zeros(1), torch.ones(1)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits [B, K] of waveforms [B, T, 1]."""
        lengths = inputs.voice_lengths
        sound = self.encoder.prepare(inputs.voice[:, :, 0], lengths)
        states, steps = self.encoder(sound, lengths, self.layer)
        states = states if self.layer is None else states[-1:]
        if self.pooling == "none":
            logits: Tensor = self.network(Inputs(torch.cat(states, dim=2), steps))
            return logits
        rows = [
            masked_mean(s, steps) if self.pooling == "mean" else pool_statistics(s, steps)
            for s in states
        ]
        pooled = torch.cat(rows, dim=1)[:, None]
        logits = self.network(Inputs(pooled, torch.ones_like(steps)))
        return logits
