"""Functionals of recordings and of pseudo-speakers made of them, for `voice_model.py`.

A pseudo-speaker is a speaker's recordings played faster or slower (pitch and vocal tract change),
with another tempo, colour and, for half of the kinds, a room, noise and a telephone's band. All
recordings of a pseudo-speaker have these in common, so that it can be adapted to as a person can.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from changes import CHANGES, pass_telephone, resample
from numpy.typing import NDArray
from scipy.signal import fftconvolve, firwin2

from affectus.features.functionals import Functionals
from affectus.manifest import Clip
from affectus.media import read_audio

RATE = 16_000
EXTRACTOR = Functionals(  # up to what a telephone lets through
    speech_db=-26.0, f_max=3_600.0, cycles=False, hop_dur=0.02, correlations=True
)

Waveform = NDArray[np.float32]
Rows = NDArray[np.float32]


def load_rows(clips: Sequence[Clip], corpus: str, view: str, work: Path) -> Rows:
    """Return the functionals [N, D] of clips as one view of them, made once and kept in `work`.

    Views: `clean`; `v1`, `v2`, ... are pseudo-speakers, `h1`, ... those in rooms and on telephones;
    what else there is `CHANGES` tells.
    """
    path = work / "rows" / f"{corpus}.{view}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = np.concatenate([EXTRACTOR(w, RATE) for w in _listen(clips, view)])
        temporary = path.with_suffix(".part.npy")
        np.save(temporary, rows)
        temporary.replace(path)
        print(f"{corpus}: {len(clips):,} clips, view {view}", flush=True)
    rows: Rows = np.load(path)
    return rows


def _listen(clips: Sequence[Clip], view: str) -> Iterator[Waveform]:
    pseudo = view[1:].isdecimal()
    voices: dict[str, PseudoSpeaker] = {}
    for clip in clips:
        waveform = read_audio(clip.path, sample_rate=RATE).waveform
        if pseudo:
            if clip.speaker not in voices:
                seed = list(f"{clip.speaker}.{view}".encode())
                voices[clip.speaker] = PseudoSpeaker(np.random.default_rng(seed), view[0] == "h")
            waveform = voices[clip.speaker](waveform)
        elif view != "clean":
            waveform = CHANGES[view](waveform, RATE)
        yield waveform


class PseudoSpeaker:
    """What the recordings of one pseudo-speaker have in common; call it with a waveform."""

    def __init__(self, rng: np.random.Generator, channel: bool) -> None:
        self._rng = rng
        self._factor = float(np.exp(rng.choice([-1, 1]) * rng.uniform(0.03, 0.18)))
        self._tempo = float(np.exp(rng.uniform(-0.18, 0.18)))
        self._colour = draw_colour(rng, 3.5 if channel else 1.5)
        self._room = draw_room(rng) if channel and rng.random() < 0.6 else None
        self._snr = rng.uniform(12, 40) if channel and rng.random() < 0.7 else None
        self._narrow = channel and rng.random() < 0.3

    def __call__(self, waveform: Waveform) -> Waveform:
        """Return the recording as this pseudo-speaker would have made it."""
        rng = self._rng
        tempo = self._tempo * np.exp(rng.uniform(-0.06, 0.06))
        factor = self._factor * np.exp(rng.uniform(-0.02, 0.02))
        sound = resample(waveform, RATE * factor, RATE)
        sound = change_tempo(sound, tempo / factor)
        if self._room is not None:
            sound = fftconvolve(sound, self._room)[: len(sound)]
        sound = np.convolve(sound, self._colour, "same")
        if self._snr is not None:
            hops = sound[: len(sound) // 160 * 160].reshape(-1, 160)
            power = np.square(hops).mean(axis=1)
            speech = power[power > power.max() * 1e-4].mean()
            noise = draw_noise(rng, len(sound))
            snr = self._snr + rng.uniform(-3, 3)
            sound = sound + noise * np.sqrt(speech * 10 ** (-snr / 10))
        if self._narrow:
            sound = pass_telephone(sound.astype(np.float32), RATE)
        return sound.astype(np.float32)


def change_tempo(
    waveform: Waveform, factor: float, window: int = 480, reach: int = 160
) -> Waveform:
    """Return a waveform `factor` times as fast, its pitch kept.

    **Source:** W. Verhelst and M. Roelands, "An overlap-add technique based on waveform similarity
    (WSOLA)", ICASSP 1993.
    """
    hop = window // 2
    n = int(len(waveform) / factor) // hop
    lead = np.zeros(reach + hop, np.float32)
    tail = np.zeros(window + 2 * reach + hop, np.float32)
    padded = np.concatenate([lead, waveform, tail])
    fade = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)
    out = np.zeros((n + 2) * hop, np.float32)
    last = None
    for k in range(n):
        at = reach + int(k * hop * factor)
        if last is not None:
            wanted = padded[last + hop : last + hop + window]
            around = padded[at - reach : at + reach + window]
            if len(wanted) < window or len(around) < window + 2 * reach:
                break
            likeness = np.correlate(around[::2], wanted[::2], "valid")
            at = at - reach + 2 * int(likeness.argmax())
        out[k * hop : k * hop + window] += fade * padded[at : at + window]
        last = at
    return out[: n * hop]


def draw_colour(rng: np.random.Generator, deviation_db: float) -> Waveform:
    """Return a filter of 129 taps whose response wanders by some dB."""
    hz = np.array([0, 60, 150, 350, 800, 1_800, 3_500, 6_000, 8_000])
    gain = rng.normal(0, deviation_db, len(hz))
    gain = np.clip(gain, -2.5 * deviation_db, 2.5 * deviation_db)
    return firwin2(129, hz / 8_000, 10 ** (gain / 20)).astype(np.float32)


def draw_room(rng: np.random.Generator) -> Waveform:
    """Return a room's response: noise that decays within 0.1 to 0.5 s, 3 to 15 dB below."""
    n = int(rng.uniform(0.1, 0.5) * RATE)
    echo = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    echo[: int(0.002 * RATE)] = 0
    echo *= np.sqrt(10 ** (-rng.uniform(3, 15) / 10) / np.square(echo).sum())
    echo[0] = 1
    return echo.astype(np.float32)


def draw_noise(rng: np.random.Generator, n: int) -> Waveform:
    """Return noise [n] of power 1 that falls by 0 to 5 dB an octave."""
    slope = rng.uniform(0, 1.6)
    size = 1 << int(np.ceil(np.log2(n)))
    spectrum = rng.standard_normal(size // 2 + 1) + 1j * rng.standard_normal(size // 2 + 1)
    spectrum *= np.maximum(np.arange(size // 2 + 1), 3) ** (-slope / 2)
    noise = np.fft.irfft(spectrum)[:n]
    return (noise / np.sqrt(np.square(noise).mean())).astype(np.float32)
