"""Encoders of wav2vec 2.0's kind: wav2vec2 and XLS-R, HuBERT, WavLM, data2vec.

Their weights and layers are transformers'; the way through them is walked here, with each clip's
own length, so that a clip's numbers do not depend on the clips it is batched with. transformers
itself gives other numbers to a padded clip where the first convolution is normalised over time
(`feat_extract_norm` "group": wav2vec2-base, hubert-base, wavlm-base), and in data2vec's positional
convolutions.

**Source:** Baevski et al. (2020), "wav2vec 2.0", NeurIPS; Hsu et al. (2021), "HuBERT"; Chen et al.
(2022), "WavLM"; Baevski et al. (2022), "data2vec". Agrees with transformers on single clips to
1e-5.
"""

from __future__ import annotations

import math
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class WaveformEncoder(nn.Module):
    """One of transformers' models, `model`, walked clip by clip length."""

    def __init__(self, model: Any, *, normalise: bool) -> None:
        super().__init__()
        self.model = model
        self.normalises = normalise
        model.masked_spec_embed = None  # of pre-training alone
        if model.config.model_type == "wavlm":
            for layer in model.encoder.layers:
                attention = layer.attention
                attention.torch_multi_head_self_attention = MethodType(_attend_biased, attention)
        config = model.config
        self.n_layers = int(config.num_hidden_layers)
        self.n_features = int(config.hidden_size)
        self.kernels = tuple(zip(config.conv_kernel, config.conv_stride, strict=True))
        self.shortest = 1  # samples that make one frame
        for kernel, stride in reversed(self.kernels):
            self.shortest = (self.shortest - 1) * stride + kernel
        self.hop = math.prod(stride for _, stride in self.kernels)  # samples from frame to frame

    @property
    def layers(self) -> nn.ModuleList:
        """The hidden layers, from the first."""
        found: nn.ModuleList = self.model.encoder.layers
        return found

    def n_frames(self, lengths: Tensor) -> Tensor:
        """Return how many frames waveforms of [B] samples become."""
        lengths = lengths.clamp(min=self.shortest)
        for kernel, stride in self.kernels:
            lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
        return lengths

    def prepare(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Return waveforms [B, T] of mean 0 and variance 1 each, where the encoder was so taught.

        **Source:** transformers' Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm.
        """
        inside = _mask(lengths, waveforms.shape[1]).to(waveforms.dtype)
        if not self.normalises:
            return waveforms * inside
        count = lengths[:, None].to(waveforms.dtype)
        mean = (waveforms * inside).sum(1, keepdim=True) / count
        centred = (waveforms - mean) * inside
        variance = centred.square().sum(1, keepdim=True) / count
        return centred / torch.sqrt(variance + 1e-7)

    def forward(
        self, waveforms: Tensor, lengths: Tensor, deepest: int | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """Return hidden states [B, T', D] of layer 0 to `deepest` (all), and their lengths [B].

        `waveforms` [B, T] are as `prepare` gives them. The last layer is what the model itself
        gives as its last hidden state.
        """
        deepest = self.n_layers if deepest is None else deepest
        waveforms = F.pad(waveforms, (0, self.shortest))  # so that the shortest has a frame
        steps = self.n_frames(lengths)
        frames = self._convolve(waveforms, lengths)
        frames = frames[:, : longest_of(steps)]
        mask = _mask(steps, frames.shape[1])
        projected = self.model.feature_projection(frames)
        hidden = projected[0] if isinstance(projected, tuple) else projected
        hidden = hidden * mask[:, :, None].to(hidden.dtype)
        hidden = hidden + self._positions(hidden, mask)
        encoder = self.model.encoder
        stable = bool(getattr(self.model.config, "do_stable_layer_norm", False))
        if not stable:
            hidden = encoder.layer_norm(hidden)
        hidden = encoder.dropout(hidden)
        states = [hidden, *self._attend(hidden, mask, deepest)]
        if stable and deepest == self.n_layers:
            states[-1] = encoder.layer_norm(states[-1])
        return states, steps

    def _convolve(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Return the frames [B, T', C] of waveforms; those inside see nothing beyond the length."""
        hidden = waveforms[:, None]
        lengths = lengths.clamp(min=self.shortest)
        for layer, (kernel, stride) in zip(
            self.model.feature_extractor.conv_layers, self.kernels, strict=True
        ):
            lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
            norm = getattr(layer, "layer_norm", None)
            if isinstance(norm, nn.GroupNorm):
                hidden = layer.activation(_norm_over_time(layer.conv(hidden), lengths, norm))
            else:
                hidden = layer(hidden)
        return hidden.transpose(1, 2)

    def _positions(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the positional convolution of hidden states [B, T', D], zero beyond the mask."""
        embed = self.model.encoder.pos_conv_embed
        inside = mask[:, None].to(hidden.dtype)
        values = hidden.transpose(1, 2)
        if hasattr(embed, "layers"):  # data2vec: several, one after the other
            for layer in embed.layers:
                values = layer(values) * inside
        else:
            if getattr(embed, "batch_norm", None) is not None:
                values = embed.batch_norm(values) * inside
            values = embed.activation(embed.padding(embed.conv(values))) * inside
        return values.transpose(1, 2)

    def _attend(self, hidden: Tensor, mask: Tensor, deepest: int) -> list[Tensor]:
        """Return what comes out of each layer up to `deepest`."""
        states, bias = [], None
        lowest = torch.finfo(hidden.dtype).min
        added = torch.zeros_like(mask, dtype=hidden.dtype).masked_fill(~mask, lowest)
        added = added[:, None, None]
        for layer in self.layers[:deepest]:
            if self.model.config.model_type == "wavlm":
                hidden, bias = layer(hidden, attention_mask=added, position_bias=bias)
            else:
                hidden = layer(hidden, attention_mask=added)
            states.append(hidden)
        return states


def _mask(lengths: Tensor, n: int) -> Tensor:
    return torch.arange(n, device=lengths.device) < lengths[:, None]


def longest_of(lengths: Tensor) -> Any:
    """Return the largest of lengths, as a number, or as a tensor where the network is exported."""
    longest = lengths.max()
    return longest if torch._C._get_tracing_state() else int(longest)


def _attend_biased(
    attention: Any, hidden: Tensor, added: Tensor, bias: Tensor
) -> tuple[Tensor, None]:
    """Return WavLM's attention [B, T, D] with a bias [B H, T, T] of its gated positions.

    As WavLMAttention.torch_multi_head_self_attention, which always makes the weights, too, and
    wants masks that torch warns of.
    """
    size = (*hidden.shape[:2], attention.num_heads, attention.head_dim)
    query, key, value = (
        layer(hidden).view(size).transpose(1, 2)
        for layer in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    bias = bias.view(hidden.shape[0], -1, *bias.shape[1:]) + added
    dropout = attention.dropout if attention.training else 0.0
    heard = F.scaled_dot_product_attention(query, key, value, bias.to(query.dtype), dropout)
    answer: Tensor = attention.out_proj(heard.transpose(1, 2).flatten(2))
    return answer, None


def _norm_over_time(hidden: Tensor, lengths: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Return what `norm`, of one group a channel, makes of each clip alone: [B, C, T]."""
    inside = _mask(lengths, hidden.shape[2])[:, None]
    values = hidden.float()
    count = lengths[:, None, None].float()
    mean = (values * inside).sum(2, keepdim=True) / count
    centred = values - mean
    variance = (centred * inside).square().sum(2, keepdim=True) / count
    normed = centred * torch.rsqrt(variance + norm.eps)
    weight, bias = norm.weight[:, None].float(), norm.bias[:, None].float()
    return (normed * weight + bias).to(hidden.dtype)
