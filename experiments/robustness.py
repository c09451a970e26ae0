"""How often does a model change its mind over what should not matter?

    python experiments/robustness.py FOLDER_OF_CLIPS [--model voice] [--clips 200]

Real clips, drawn evenly from the sorted folder, are answered as they are and 12 dB louder and
softer (a louder one may clip, as a recorder would), through 8 kHz, as MP3 of 64 kbit/s, and with
0.2 s of room before them. The share whose best label changes is printed; the aim is 10 % at most.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from affectus.console import print_table
from affectus.media import list_media, read_audio
from affectus.predictor import load_model

Waveform = NDArray[np.float32]


def louder(decibels: float) -> Callable[[Waveform, int], Waveform]:
    """Return a change of level; what leaves full scale is cut off."""
    return lambda wave, rate: np.clip(wave * 10 ** (decibels / 20), -1, 1).astype(np.float32)


def through_telephone_rate(wave: Waveform, rate: int) -> Waveform:
    """Resample to 8 kHz and back."""
    low = soxr.resample(wave, rate, 8_000)
    back: Waveform = soxr.resample(low, 8_000, rate)[: len(wave)]
    return back


def through_mp3(wave: Waveform, rate: int) -> Waveform:
    """Code as MP3 and back."""
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format="MP3", subtype="MPEG_LAYER_III",
                    compression_level=0.8, bitrate_mode="CONSTANT")  # fmt: skip
    found: Waveform = read_audio(file.getvalue(), sample_rate=rate).waveform
    return found


def later(wave: Waveform, rate: int) -> Waveform:
    """Begin 0.2 s earlier, in the noise that the clip has where it is quietest."""
    size = rate // 5
    pieces = wave[: len(wave) // size * size].reshape(-1, size)
    quiet = pieces[np.argmin((pieces**2).sum(axis=1))]
    return np.concatenate([quiet[::-1], wave])


CHANGES: dict[str, Callable[[Waveform, int], Waveform]] = {
    "12 dB louder": louder(12),
    "12 dB softer": louder(-12),
    "through 8 kHz": through_telephone_rate,
    "MP3": through_mp3,
    "0.2 s later": later,
}


def main() -> None:
    """Print a row a change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="voice")
    parser.add_argument("--clips", type=int, default=200)
    given = parser.parse_args()
    model = load_model(given.model, speech="off")
    files = list_media(given.folder)
    files = files[:: max(1, len(files) // given.clips)][: given.clips]
    recordings = [read_audio(file, sample_rate=None) for file in files]
    pairs = [(found.waveform, found.sample_rate) for found in recordings]
    plain = best(model.predict_many(pairs, abstain=0))
    rows = []
    for name, change in CHANGES.items():
        changed = [(change(wave, rate), rate) for wave, rate in pairs]
        answers = best(model.predict_many(changed, abstain=0))
        share = np.mean([one != other for one, other in zip(plain, answers, strict=True)])
        rows.append((name, f"{share:.1%}"))
    print_table(("change", "other best label"), rows, title=f"{len(files)} clips, {given.model}")


def best(answers: object) -> list[str | None]:
    """Return the emotion of each answer."""
    return [answer.emotion for answer in answers]  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
