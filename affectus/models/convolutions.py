"""The convolutional branch of the earlier parallel networks, for clips of any length."""

from __future__ import annotations

from torch import Tensor, nn

from affectus.models.layers import ConvBlock, pad_frames, stretches

_BAND_POOLS = (2, 4, 4, 4)
_N_STRETCHES = 4


class ConvolutionBranch(nn.Module):
    """Four 3x3 convolution blocks; then the means of the four quarters of each clip.

    The earlier networks flattened an image of fixed size, whose last four time steps became 64
    numbers each. The quarters of a clip's own length take their place: as many numbers, in the same
    order of time, and padding has no part in them. Bands are pooled by 2, 4, 4, 4 as there, or by
    as many as are left.
    """

    def __init__(
        self,
        n_features: int,
        channels: tuple[int, ...],
        time_pools: tuple[int, ...],
        dropout: float,
    ) -> None:
        super().__init__()
        if not len(channels) == len(time_pools) == len(_BAND_POOLS):
            raise ValueError(f"{len(channels)} channels and {len(time_pools)} time_pools, not 4")
        n_bands, n_in, self.multiple = n_features, 1, 1
        blocks = []
        for n_out, time_pool, band_pool in zip(channels, time_pools, _BAND_POOLS, strict=True):
            pool = (time_pool, min(band_pool, n_bands))
            blocks.append(ConvBlock(n_in, n_out, pool=pool, dropout=dropout))
            n_bands, n_in = n_bands // pool[1], n_out
            self.multiple *= time_pool
        self.blocks = nn.ModuleList(blocks)
        self.n_out = _N_STRETCHES * n_in * n_bands

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Return [B, n_out] of [B, T, D]."""
        image = pad_frames(frames, lengths, self.multiple)[:, None]
        for block in self.blocks:
            image, lengths = block(image, lengths)
        return stretches(image.permute(0, 2, 1, 3).flatten(2), lengths, _N_STRETCHES).flatten(1)
