"""Copies found, and what is found that is none, among the recordings of folders.

    python -m benchmarks.fingerprint FOLDER...

False alarms: every pair found among all recordings, with the correlation of the two waveforms at
4 kHz at the best lag, which is what a person would listen for: copies have 0.75 or more, other
takes of a sentence by its speaker stay below. Hits: 500 recordings, chosen by chance with a fixed
seed, each changed in the ways below; all of them and all the changed ones are compared.
"""

from __future__ import annotations

import io
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from affectus.console import print_table
from affectus.features import create_extractor
from affectus.fingerprint import find_near_identical, fingerprint
from affectus.media import SAMPLE_RATE, list_media, read_audio

Waveform = NDArray[np.float32]
Change = Callable[[Waveform, np.random.Generator], Waveform]

N_CLIPS, THRESHOLD, SHOWN = 500, 0.62, 0.45


def main() -> None:
    files = [file for folder in sys.argv[1:] for file in list_media(Path(folder))]
    if not files:
        raise SystemExit("expected folders of recordings: python -m benchmarks.fingerprint FOLDER")
    taken, costs = {}, []
    log_mel = create_extractor("logmel")
    for file in files:
        waveform = read_audio(file).waveform
        times = [time.perf_counter()]
        taken[str(file)] = fingerprint(waveform, SAMPLE_RATE)
        times.append(time.perf_counter())
        log_mel(waveform, SAMPLE_RATE)
        times.append(time.perf_counter())
        costs.append(np.diff(times))
    own, theirs = (1e3 * statistics.median(cost) for cost in zip(*costs, strict=True))
    began = time.perf_counter()
    pairs = find_near_identical(taken, SHOWN)
    seconds = time.perf_counter() - began
    print_table(
        ("recordings", "bytes each", "ms each", "log-mel, ms", "pairs compared", "seconds"),
        [(len(files), np.mean([len(item) for item in taken.values()]), own, theirs,
          len(files) * (len(files) - 1) // 2, seconds)],
    )  # fmt: skip
    print_table(
        ("found", "similarity", "waveforms", "", ""),
        [
            ("yes" if similarity >= THRESHOLD else "no", similarity, correlate(one, other),
             Path(one).name, Path(other).name)
            for one, other, similarity in pairs
        ],
        title=f"pairs of similarity {SHOWN} and more; found are those from {THRESHOLD}",
    )  # fmt: skip
    print_table(
        ("change", "found", "lowest similarity", "median", "wrong ones found"), hits(files, taken)
    )


def correlate(one: str, other: str) -> float:
    """Return the highest correlation of two waveforms at any lag, 100 Hz to 2 kHz."""
    waves = [read_audio(name, sample_rate=4_000).waveform for name in (one, other)]
    length = 2 * max(map(len, waves))
    spectra = np.fft.rfft(np.stack([np.resize(np.pad(w, (0, length)), length) for w in waves]))
    spectra[:, : length // 40] = 0
    norm = np.sqrt(np.square(np.fft.irfft(spectra)).sum(axis=1)).prod()
    lags = np.fft.irfft(spectra[0] * spectra[1].conj())
    return float(np.abs(lags).max() / norm)


def hits(files: list[Path], taken: dict[str, bytes]) -> list[tuple[object, ...]]:
    """Return a row for each change."""
    rng = np.random.default_rng(0)
    chosen = [str(files[i]) for i in rng.choice(len(files), min(N_CLIPS, len(files)), False)]
    known = {frozenset(pair[:2]) for pair in find_near_identical(taken)}
    rows: list[tuple[object, ...]] = []
    for name, change in CHANGES.items():
        copies = {
            f"copy:{file}": fingerprint(change(read_audio(file).waveform, rng), SAMPLE_RATE)
            for file in chosen
        }
        found = find_near_identical({**{f: taken[f] for f in chosen}, **copies})
        similarity = {one: value for other, one, value in found if one == f"copy:{other}"}
        similarity |= {one: value for one, other, value in found if one == f"copy:{other}"}
        wrong = {
            frozenset(name.removeprefix("copy:") for name in pair[:2]) for pair in found
        } - known
        values = [similarity.get(name, 0.0) for name in copies]
        share = sum(value > 0 for value in values) / len(values)
        rows.append(
            (name, f"{share:.1%}", min(filter(None, values)), statistics.median(values),
             sum(len(pair) > 1 for pair in wrong))
        )  # fmt: skip
    return rows


def resample(rate: int) -> Change:
    def change(wave: Waveform, rng: np.random.Generator) -> Waveform:
        back: Waveform = soxr.resample(soxr.resample(wave, SAMPLE_RATE, rate), rate, SAMPLE_RATE)
        return back

    return change


def through(container: str, subtype: str, rate: int = SAMPLE_RATE) -> Change:
    def change(wave: Waveform, rng: np.random.Generator) -> Waveform:
        file = io.BytesIO()
        wave = soxr.resample(wave, SAMPLE_RATE, rate)
        soundfile.write(file, wave, rate, format=container, subtype=subtype)
        return read_audio(file.getvalue()).waveform

    return change


def coded(codec: str, container: str, bits: int) -> Change:
    def change(wave: Waveform, rng: np.random.Generator) -> Waveform:
        file = io.BytesIO()
        with av.open(file, "w", format=container) as output:
            stream = output.add_stream(codec, rate=SAMPLE_RATE, layout="mono")
            assert isinstance(stream, av.AudioStream)
            stream.bit_rate = bits
            context = stream.codec_context
            resampler = av.AudioResampler(
                context.format, "mono", SAMPLE_RATE, frame_size=context.frame_size or None
            )
            frame = av.AudioFrame.from_ndarray(wave[None], format="flt", layout="mono")
            frame.rate = SAMPLE_RATE
            for whole in (frame, None):
                for part in resampler.resample(whole):
                    output.mux(stream.encode(part))
            output.mux(stream.encode(None))
        return read_audio(file.getvalue()).waveform

    return change


def add_noise(decibels: float) -> Change:
    def change(wave: Waveform, rng: np.random.Generator) -> Waveform:
        level = np.sqrt(np.mean(np.square(wave)) / 10 ** (decibels / 10))
        noisy: Waveform = wave + level * rng.standard_normal(len(wave), np.float32)
        return noisy

    return change


def trim(wave: Waveform, rng: np.random.Generator) -> Waveform:
    loud = np.flatnonzero(np.abs(wave) > 0.01 * np.abs(wave).max())
    return wave[loud[0] : loud[-1] + 1]


def mixed(wave: Waveform, rng: np.random.Generator) -> Waveform:
    for change in (resample(8_000), add_noise(20), through("OGG", "VORBIS"), trim):
        wave = 0.5 * change(wave, rng)
    return wave


CHANGES: dict[str, Change] = {
    "to 48 kHz and back": resample(48_000),
    "to 22.05 kHz and back": resample(22_050),
    "to 8 kHz and back": resample(8_000),
    "mp3, 64 kb/s": coded("libmp3lame", "mp3", 64_000),
    "Ogg Vorbis": through("OGG", "VORBIS"),
    "Opus, 16 kb/s": coded("libopus", "ogg", 16_000),
    "24 bits, then 16": lambda wave, rng: through("WAV", "PCM_16")(
        through("WAV", "PCM_24")(wave, rng), rng
    ),
    "mu-law, 8 kHz": through("WAV", "ULAW", 8_000),
    "-12 dB": lambda wave, rng: wave * np.float32(10 ** (-12 / 20)),
    "50 ms of silence before": lambda wave, rng: np.pad(wave, (SAMPLE_RATE // 20, 0)),
    "1 s of silence before and after": lambda wave, rng: np.pad(wave, SAMPLE_RATE),
    "silence trimmed, 40 dB": trim,
    "0.1 s cut at both ends": lambda wave, rng: wave[SAMPLE_RATE // 10 : -SAMPLE_RATE // 10],
    "noise, 20 dB": add_noise(20),
    "noise, 10 dB": add_noise(10),
    "8 kHz, noise 20 dB, Ogg, trimmed, softer": mixed,
}

if __name__ == "__main__":
    main()
