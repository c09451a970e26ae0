"""Log-mel extraction of 200 clips of 48 kHz, one core, end to end: ours beside librosa's.

Ours: `extract_features`, that is read, hash, decode, resample to 16 kHz, log-mel, write the store
(synced), commit. Theirs: `librosa.load` at its 22.05 kHz, `melspectrogram` of 128 bands,
`power_to_db`, and nothing written. The clips are synthetic speech with a second of near-silence
around it, like RAVDESS's.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import librosa
import numpy as np

from affectus.console import print_table
from affectus.corpora import load_corpus
from affectus.extraction import extract_features
from affectus.features import create_extractor
from affectus.manifest import Manifest
from affectus.media import write_audio
from affectus.synthesis import synthesize_voice
from benchmarks.timing import alternate, on_one_core

N_CLIPS, RATE, SECONDS = 200, 48_000, 3.7


def main() -> None:
    on_one_core()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_clips(folder / "happy")
        manifest = load_corpus("folder", folder)
        features: dict[str, dict[str, object]] = {
            "logmel, 64 bands": {},
            "logmel, 64 bands, no trimming": {"trim_db": None},
            "logmel, 128 bands, no trimming": {"trim_db": None, "n_mels": 128, "n_fft": 1024},
        }
        rows = [measure(folder, manifest, files, *item) for item in features.items()]
    print_table(
        ("ours", "ms a clip", "librosa 128 bands, ms a clip", "times as fast"),
        rows,
        title=f"{N_CLIPS} clips of {SECONDS} s at {RATE:,} Hz, one core, store included",
    )


def write_clips(folder: Path) -> list[Path]:
    """Write clips of one length: quiet, speech, quiet."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    files = []
    for number in range(N_CLIPS):
        emotion = ("happy", "sad", "angry", "neutral")[number % 4]
        voice = synthesize_voice(emotion, speaker=number % 20 + 1, sample_rate=RATE)
        wave = rng.normal(0, 1e-4, int(SECONDS * RATE)).astype(np.float32)
        start = (len(wave) - min(len(voice), len(wave))) // 2
        wave[start : start + len(voice)] += voice[: len(wave)]
        files.append(folder / f"{number:03d}.wav")
        write_audio(files[-1], wave, RATE)
    return files


def measure(
    folder: Path, manifest: Manifest, files: list[Path], name: str, parameters: dict[str, object]
) -> tuple[object, ...]:
    extractor = create_extractor("logmel", **parameters)

    def ours() -> None:
        shutil.rmtree(folder / "store", ignore_errors=True)
        assert extract_features(manifest, extractor, folder / "store").ok

    def theirs() -> None:
        for file in files:
            wave, rate = librosa.load(file)
            librosa.power_to_db(librosa.feature.melspectrogram(y=wave, sr=rate, n_mels=128))

    for warm in (ours, theirs):
        warm()
    mine, peer, ratio = alternate(ours, theirs, 5)
    return name, 1e3 * mine / N_CLIPS, 1e3 * peer / N_CLIPS, ratio


if __name__ == "__main__":
    main()
