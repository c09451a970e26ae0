"""What every waveform passes, whole or block by block: checks, then the resampler."""

from __future__ import annotations

import numpy as np
import soxr

from affectus.errors import MediaError
from affectus.media.decoding import check_length
from affectus.media.recording import SAMPLE_RATE, Limits, MediaWarning, Waveform

_SILENCE_DB = -70.0  # peak, dB of full scale, below which a recording counts as silent
_MAX_AMPLITUDE = 1e4
_FULL_SCALE = 0.999
_OFF_CENTRE = 0.05  # of full scale: a fault of the sound card
_MAX_CLIPPED = 0.01  # share of samples at full scale


class Inspector:
    """Refuses what is not finite or absurdly large; warns of silence, clipping, narrow band."""

    def __init__(self, rate: int, name: str) -> None:
        self.n_samples = 0
        self._rate, self._name = rate, name
        self._highest, self._lowest, self._sum = -np.inf, np.inf, 0.0
        self._n_clipped = 0

    def look(self, block: Waveform) -> None:
        """Take in the next block [t]; raises MediaError E1301, E1302."""
        if len(block) == 0:
            return
        highest, lowest = float(block.max()), float(block.min())  # NaN if one sample is
        peak = max(highest, -lowest)
        if not np.isfinite(peak):
            bad = np.flatnonzero(~np.isfinite(block))
            raise MediaError(
                "E1301",
                self._name,
                f"{len(bad):,} of {len(block):,} samples are not finite, the first at "
                f"{(self.n_samples + bad[0]) / self._rate:.3f} s; expected numbers. Export it "
                f"again.",
            )
        if peak > _MAX_AMPLITUDE:
            raise MediaError(
                "E1302",
                self._name,
                f"amplitude {peak:.3g}; expected about 1. Export it again, scaled.",
            )
        if peak >= _FULL_SCALE:
            self._n_clipped += int(np.count_nonzero(np.abs(block) >= _FULL_SCALE))
        self._highest, self._lowest = max(self._highest, highest), min(self._lowest, lowest)
        self._sum += float(block.sum())  # in pairs: as exact as a mean needs, in half the time
        self.n_samples += len(block)

    def check(self, limits: Limits) -> list[MediaWarning]:
        """Return the warnings at the end; raises MediaError E1004, E1201 if there is too little."""
        if self.n_samples == 0:
            raise MediaError("E1004", self._name, "no samples; expected sound. Record it again.")
        seconds = self.n_samples / self._rate
        if seconds < limits.min_seconds:
            raise MediaError(
                "E1201",
                self._name,
                f"lasts {seconds:.3f} s; expected at least {limits.min_seconds:g} s. "
                f"Give a longer recording.",
            )
        warnings = []
        if self._rate < SAMPLE_RATE:
            text = f"recorded at {self._rate:,} Hz: sound above {self._rate // 2:,} Hz is missing"
            warnings.append(MediaWarning("W1105", text))
        peak = max(self._highest, -self._lowest)
        swing = (self._highest - self._lowest) / 2  # a constant is no sound
        if 20 * np.log10(max(swing, 1e-10)) < _SILENCE_DB:
            warnings.append(
                MediaWarning("W1304", f"silence: nothing louder than {_SILENCE_DB:g} dB")
            )
        elif peak > 1.0:
            text = f"beyond full scale: amplitude {peak:.2f}"
            warnings.append(MediaWarning("W1303", text))
        mean = self._sum / self.n_samples
        if abs(mean) > _OFF_CENTRE:
            text = f"not centred: its mean is {mean:.2f}; expected 0"
            warnings.append(MediaWarning("W1305", text))
        share = self._n_clipped / self.n_samples
        if share > _MAX_CLIPPED:
            warnings.append(MediaWarning("W1306", f"clipped: {share:.0%} of samples at full scale"))
        return warnings


class Intake:
    """Takes a mono waveform [t] block by block; what comes out is checked and resampled.

    Together the blocks give the same samples as the whole at once, on every path. `seconds` is how
    much came in so far.
    """

    def __init__(self, source_rate: int, sample_rate: int, name: str, limits: Limits) -> None:
        self._rates = source_rate, sample_rate
        self._name, self._limits = name, limits
        self._inspector = Inspector(source_rate, name)
        self._resampler = None
        if source_rate != sample_rate:
            self._resampler = soxr.ResampleStream(
                source_rate, sample_rate, 1, dtype="float32", quality="HQ"
            )

    @property
    def seconds(self) -> float:
        """Seconds taken in."""
        return self._inspector.n_samples / self._rates[0]

    def take(self, block: Waveform) -> Waveform:
        """Return what is ready of the waveform after this block; it lags by a few milliseconds.

        Raises MediaError for samples that cannot be used, LimitError beyond the limits.
        """
        self._inspector.look(block)
        check_length(self._inspector.n_samples, self._rates[0], 1, self._name, self._limits)
        if self._resampler is None:
            return block
        ready: Waveform = self._resampler.resample_chunk(np.ascontiguousarray(block))
        return ready

    def finish(self) -> tuple[Waveform, list[MediaWarning]]:
        """Return the last samples, and what is to be said of the whole."""
        warnings = self._inspector.check(self._limits)
        if self._resampler is None:
            return np.zeros(0, np.float32), warnings
        rest: Waveform = self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        return rest, warnings
