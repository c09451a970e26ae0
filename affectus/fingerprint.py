"""Fingerprints of sound: which recordings are copies of one another, although no byte agrees.

A copy that was resampled, encoded again, made louder, shifted, trimmed or made noisy keeps the wave
of its voice at low frequencies; another take of the same sentence by the same speaker does not. So
a fingerprint is a sketch of that wave: 150 to 600 Hz, 1,500 values a second, each only up, down or
quiet, five to a byte, for at most 3.3 s around the middle of the energy, which is where copies
still agree.

Two are compared in steps. Their spectrograms, laid on top of each other at the middle of the
energy, give candidates by products of matrices; among clips of about the same spread in time only,
and first along the few directions in which they vary most, with a bound for the others, so that no
pair is lost. Of candidates, the sketches themselves are correlated at every lag up to 0.25 s. It is
not for music, for clips that lost more than 0.1 s of speech, or for another speed or pitch.

**Measured** (`python -m benchmarks.fingerprint FOLDER...`) on 7,704 clips of RAVDESS, nEMO,
BanglaSER and TESS, 29.7 million pairs. Found: 29 pairs of similarity 0.74 to 1.00, all of them
copies by their waveforms, whose correlation is 0.79 or more. False alarms: none; the likest other
takes, of TESS's one carrier phrase, have 0.52, and the threshold was set between the two. Of 500
clips, changed as below, all were found, in one case 499; the lowest similarity is

    to 48 or 22.05 kHz and back     0.998    mp3, 64 kb/s                     0.988
    to 8 kHz and back               0.974    Ogg Vorbis                       0.960
    24 bits, then 16                0.995    Opus, 16 kb/s (499 of 500)       0.725
    -12 dB                          1.000    mu-law, 8 kHz                    0.889
    50 ms or 1 s of silence added   0.999    noise, 20 dB                     0.971
    silence trimmed                 0.754    noise, 10 dB                     0.914
    0.1 s cut at both ends          0.952    8 kHz, noise, Ogg, trimmed       0.728

**Cost:** 0.3 ms and 510 bytes a clip; 3 s of one core and 5 kB a clip to compare 7,704. Most of
that grows with their number; the rest, with its square, is a sixth of what it is without the bound
(candidates of 30,816 fingerprints: 10 s, without it 17 s). What is known is not compared again.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence, Set

import numpy as np
from numpy.typing import NDArray

from affectus.errors import StoreError

Floats = NDArray[np.float32]
Trits = NDArray[np.int8]

VERSION = 1  # of the comparison: raised whenever it would find other pairs

_RATE = 1_500  # values a second
_BAND = (120.0, 150.0, 600.0, 700.0)  # Hz: from nothing to all, from all to nothing
_LENGTH = 5_000  # values at most: 3.3 s in 1,000 bytes
_LOUD = 300  # the loudest values, 0.2 s in all, are loud: no click is as long
_QUIET = 0.3  # of the softest loud value: what is below is neither up nor down
_SILENCE = 1e-5  # softest loud value below which there is no sound: -100 dB
_HEAD = struct.Struct("<BHh")  # form, spread in ms, place of the first value beside the middle
_FORM = 1
_POWERS = np.array([1, 3, 9, 27, 81], np.uint8)

_FRAME, _HOP, _N_FRAMES, _N_BANDS = 192, 64, 64, 16  # of the spectrograms, in values
_SHIFT = 1  # hops, 43 ms, that the middles of two candidates may be apart
_LIKE = 0.6  # correlation of spectrograms above which two are candidates
_AXES, _SAMPLE = 224, 2_048  # directions that outlines vary in most, by so many of them
_MARGIN = 1e-3  # more than sums in single precision may be wrong by
_SPREADS = 1.25  # ratio of spreads up to which two are compared
_LAG = 375  # values, 0.25 s, up to which two sketches are shifted
_PEAK = 45  # values, 30 ms: a pitch period or two
_REPEATED = 0.8  # of the highest correlation; found again elsewhere, it is hum or a tone
_ROWS, _COLUMNS, _PAIRS = 512, 4_096, 128  # how much is compared at once
_N_FFT = 5_400  # at least _LENGTH + _LAG, and quick


def fingerprint(waveform: NDArray[np.float32], sample_rate: int) -> bytes:
    """Return the fingerprint of a waveform [T]: at most 1,005 bytes; none (b"") of silence.

    A clip with less than about 0.2 s of sound has none either. It does not depend on the level, and
    hardly on the sample rate: those of the same clip at 8 and at 48 kHz are found to be copies.
    """
    sketch = _low_band(np.asarray(waveform, np.float32), sample_rate)
    if len(sketch) < _LOUD:
        return b""
    loudness = np.abs(sketch)
    loud = float(np.partition(loudness, -_LOUD)[-_LOUD])
    if loud < _SILENCE:
        return b""
    heard = loudness > _QUIET * loud
    # Weighted by energy, so that silence before and after changes nothing; a click's is capped.
    energy = np.square(np.minimum(loudness, loud), dtype=np.float64) * heard
    total = float(energy.sum())
    times = np.arange(len(sketch))
    middle = float((times * energy).sum()) / total
    spread = math.sqrt(float((np.square(times - middle) * energy).sum()) / total) / _RATE
    trits = np.sign(sketch) * heard
    start = max(0, round(middle) - _LENGTH // 2)
    trits = trits[start : round(middle) + _LENGTH // 2]
    sounding = np.flatnonzero(trits)
    if len(sounding) == 0:
        return b""
    first, last = int(sounding[0]), int(sounding[-1]) + 1
    head = _HEAD.pack(_FORM, min(round(1e3 * spread), 65_535), start + first - round(middle))
    return head + _pack(trits[first:last].astype(np.int8))


def find_near_identical(
    fingerprints: Mapping[str, bytes],
    threshold: float = 0.62,
    *,
    known: Set[str] = frozenset(),
) -> list[tuple[str, str, float]]:
    """Return the pairs of ids whose sound is a copy of each other's, with a similarity, best first.

    The similarity is the correlation of two sketches at the best lag, 0 to 1. Silence is like
    nothing, and so is a hum or a tone, which is found again at every period. Ids that are `known`
    are compared with the others, not with each other.

    Raises StoreError for a fingerprint that another version of Affectus made.
    """
    for name, item in fingerprints.items():
        if item and item[0] != _FORM:
            raise StoreError(
                f"fingerprint of '{name}': form {item[0]}; expected {_FORM}. Extract it again."
            )
    ids = [name for name, item in fingerprints.items() if item]
    ids.sort(key=lambda name: (_HEAD.unpack_from(fingerprints[name])[1], name))
    data = [fingerprints[name] for name in ids]
    found = []
    new = np.array([name not in known for name in ids], bool)
    for one, other in _candidates(data, new):
        for i, j, similarity in _compare(data, one, other):
            if similarity >= threshold:
                first, second = sorted((ids[i], ids[j]))
                found.append((first, second, similarity))
    return sorted(found, key=lambda pair: (-pair[2], pair[0], pair[1]))


def _low_band(waveform: Floats, sample_rate: int) -> Floats:
    """Return the waveform's low band, at _RATE."""
    factor = max(1, sample_rate // 4_000)
    n_kept = len(waveform) // factor
    if n_kept == 0:
        return np.zeros(0, np.float32)
    # Sums of a few samples: coarse, but the band that is kept lies far below. Nothing here is by
    # BLAS, whose sums depend on the number of threads.
    samples = waveform[: n_kept * factor]
    sums = samples[::factor].copy()
    for place in range(1, factor):
        sums += samples[place::factor]
    sums -= sums.mean(dtype=np.float64)
    step = sample_rate // math.gcd(sample_rate, factor * _RATE)  # whose length is whole at _RATE
    length = _quick(-(-(n_kept + sample_rate // factor // 20) // step)) * step
    n_out = length * factor * _RATE // sample_rate
    spectrum = np.fft.rfft(sums, length)[: n_out // 2 + 1]
    hertz = np.arange(len(spectrum)) * (_RATE / n_out)
    gain = np.interp(hertz, _BAND, (0, 1, 1, 0)) * (n_out / length / factor)
    return np.fft.irfft(spectrum * gain, n_out).astype(np.float32)


def _quick(number: int) -> int:
    """Return the next whole number with no prime factor beyond 5, whose transform is quick."""
    while True:
        rest = number
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return number
        number += 1


def _pack(trits: Trits) -> bytes:
    """Return values -1, 0, 1, five to a byte."""
    padded = np.zeros(-(-len(trits) // 5) * 5, np.uint8)
    padded[: len(trits)] = trits + 1
    padded[len(trits) :] = 1
    return (padded.reshape(-1, 5) @ _POWERS).astype(np.uint8).tobytes()


def _unpack(data: Sequence[bytes]) -> Floats:
    """Return sketches [N, _LENGTH], their middles in the middle."""
    out = np.zeros((len(data), _LENGTH), np.float32)
    for row, item in enumerate(data):
        _, _, first = _HEAD.unpack_from(item)
        packed = np.frombuffer(item, np.uint8, offset=_HEAD.size)
        trits = (packed[:, None] // _POWERS % 3).ravel().astype(np.float32) - 1
        start = first + _LENGTH // 2
        trits = trits[: _LENGTH - start]
        out[row, start : start + len(trits)] = trits
    return out


def _outline(sketches: Floats) -> Floats:
    """Return spectrograms [N, _N_FRAMES, _N_BANDS] about the middle, of length 1."""
    span = _HOP * (_N_FRAMES - 1) + _FRAME
    start = (_LENGTH - span) // 2
    frames = np.lib.stride_tricks.sliding_window_view(sketches[:, start : start + span], _FRAME, 1)
    spectra = np.fft.rfft(frames[:, ::_HOP] * np.hanning(_FRAME).astype(np.float32))
    lowest, highest = (round(hertz * _FRAME / _RATE) for hertz in _BAND[1:3])
    edges = np.linspace(lowest, highest, _N_BANDS + 1).round().astype(int)
    power = np.square(spectra.real) + np.square(spectra.imag)
    bands = np.sqrt(np.add.reduceat(power[:, :, :highest], edges[:-1], axis=2))
    bands = np.diff(bands, axis=2)
    bands -= bands.mean(axis=1, keepdims=True)
    bands /= np.sqrt(np.square(bands).sum(axis=(1, 2), keepdims=True)) + 1e-9
    return bands.astype(np.float32)


def _candidates(
    data: Sequence[bytes], new: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the places, in the order of spread, of pairs that look alike and are not both old."""
    spreads = np.array([_HEAD.unpack_from(item)[1] for item in data])
    outlines = np.empty((len(data), _N_FRAMES, _N_BANDS - 1), np.float32)
    for start in range(0, len(data), _ROWS):
        outlines[start : start + _ROWS] = _outline(_unpack(data[start : start + _ROWS]))
    axes = _find_axes(outlines)
    short = _shorten(outlines, axes)
    at, old = np.flatnonzero(new), np.flatnonzero(~new)
    for start in range(0, len(at), _ROWS):
        rows = at[start : start + _ROWS]
        first, end = rows[0], np.searchsorted(spreads, spreads[rows[-1]] * _SPREADS, "right")
        before = np.searchsorted(spreads, spreads[first] / _SPREADS)
        columns = np.concatenate([old[(old >= before) & (old < first)], np.arange(first, end)])
        wide = np.pad(outlines[rows], ((0, 0), (_SHIFT, _SHIFT), (0, 0)))
        moved = [wide[:, shift : shift + _N_FRAMES] for shift in range(2 * _SHIFT + 1)]
        short_moved = [_shorten(outline, axes) for outline in moved]
        for left in range(0, len(columns), _COLUMNS):
            here = columns[left : left + _COLUMNS]
            facing = np.ascontiguousarray(short[here].T)
            bound = np.full((len(rows), len(here)), -1, np.float32)
            for shortened in short_moved:
                np.maximum(bound, shortened @ facing, out=bound)
            row, column = np.nonzero(bound > _LIKE - _MARGIN)
            one, other = rows[row], here[column]
            near = np.maximum(spreads[one], spreads[other]) <= _SPREADS * np.minimum(
                spreads[one], spreads[other]
            )
            kept = near & ((other > one) | ~new[other])
            yield _keep_alike(moved, outlines, row[kept], one[kept], other[kept])


def _find_axes(outlines: Floats) -> Floats | None:
    """Return the directions [960, _AXES] in which outlines vary most; None if they are few."""
    if len(outlines) <= _SAMPLE:
        return None
    some = outlines[:: -(-len(outlines) // _SAMPLE)].reshape(-1, outlines[0].size)
    _, directions = np.linalg.eigh(some.T @ some)
    return np.ascontiguousarray(directions[:, ::-1][:, :_AXES])


def _shorten(outlines: Floats, axes: Floats | None) -> Floats:
    """Return outlines [N, _AXES + 1] whose products are never below those of the whole ones.

    The last value is the length of what the axes leave out: the product of two such rests is at
    most that of their lengths (Cauchy and Schwarz). So no pair is lost, and the sums are a quarter.
    """
    whole = outlines.reshape(len(outlines), _N_FRAMES * (_N_BANDS - 1))
    if axes is None:
        return whole
    short = whole @ axes
    rest = np.square(whole).sum(axis=1) - np.square(short).sum(axis=1)
    return np.concatenate([short, np.sqrt(np.maximum(rest, 0))[:, None]], axis=1)


def _keep_alike(
    moved: Sequence[Floats],
    outlines: Floats,
    row: NDArray[np.intp],
    one: NDArray[np.intp],
    other: NDArray[np.intp],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return those of the pairs whose outlines are alike; `row` is where `one` is in `moved`."""
    alike = np.zeros(len(one), bool)
    for start in range(0, len(one), _COLUMNS):
        stretch = slice(start, start + _COLUMNS)
        facing = outlines[other[stretch]]
        for outline in moved:
            like = np.einsum("ntb,ntb->n", outline[row[stretch]], facing)
            alike[stretch] |= like > _LIKE
    return one[alike], other[alike]


def _compare(
    data: Sequence[bytes], one: NDArray[np.intp], other: NDArray[np.intp]
) -> Iterator[tuple[int, int, float]]:
    """Yield each pair of places with the highest correlation of their sketches."""
    if len(one) == 0:
        return
    places, at = np.unique(np.concatenate([one, other]), return_inverse=True)
    spectra = np.empty((len(places), _N_FFT // 2 + 1), np.complex64)
    for start in range(0, len(places), _ROWS):
        sketches = _unpack([data[place] for place in places[start : start + _ROWS]])
        sketches /= np.sqrt(np.square(sketches).sum(axis=1, keepdims=True))
        spectra[start : start + _ROWS] = np.fft.rfft(sketches, _N_FFT)
    first, second = at[: len(one)], at[len(one) :]
    shifts = np.arange(-2 * _LAG, 2 * _LAG + 1)  # in halves of a value
    for start in range(0, len(one), _PAIRS):
        stretch = slice(start, start + _PAIRS)
        product = spectra[first[stretch]] * spectra[second[stretch]].conj()
        # A copy of the other polarity is a copy.
        lags = 2 * np.abs(np.fft.irfft(product, 2 * _N_FFT)[:, shifts])
        peak = lags.argmax(axis=1)
        best = lags.max(axis=1)
        lags[np.abs(np.arange(len(shifts)) - peak[:, None]) < 2 * _PEAK] = 0
        alone = lags.max(axis=1) < _REPEATED * best
        for row in np.flatnonzero(alone):
            yield int(one[start + row]), int(other[start + row]), min(1.0, float(best[row]))
