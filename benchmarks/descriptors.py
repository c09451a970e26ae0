"""Functionals of a voice clip, one core: ours beside openSMILE's, from the same waveforms.

openSMILE is an extra of its own, since its licence allows research only: without it ours are
timed alone. The clips are synthetic speech with near-silence around it, 3.7 s like RAVDESS's;
`--folder` times recordings of one's own.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectus.console import print_table
from affectus.features import create_extractor
from affectus.media import SAMPLE_RATE, list_media, read_audio
from affectus.memory import keep_freed_memory
from affectus.synthesis import synthesize_voice
from benchmarks.timing import alternate, on_one_core

N_CLIPS, SECONDS, ROUNDS = 24, 3.7, 7
Waveform = NDArray[np.float32]


def main() -> None:
    on_one_core()
    keep_freed_memory()  # as in workers and predictors
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="recordings to time instead")
    waves = load_clips(parser.parse_args().folder)
    ours = {name: create_extractor(name) for name in ("descriptors", "functionals")}
    peers = load_peers()
    rows = []
    for name, extractor in ours.items():
        columns = len(extractor.columns)
        for peer, call in peers.items():
            mine, their, ratio = alternate(
                lambda extract=extractor: [extract(wave, SAMPLE_RATE) for wave in waves],  # type: ignore[misc]
                lambda call=call: [call(wave) for wave in waves],  # type: ignore[misc]
                ROUNDS,
            )
            rows.append(
                (name, columns, 1e3 * mine / len(waves), peer, 1e3 * their / len(waves), ratio)
            )
    print_table(
        ("ours", "columns", "ms a clip", "theirs", "ms a clip", "times as fast"),
        rows,
        title=f"{len(waves)} clips of {np.mean([len(w) for w in waves]) / SAMPLE_RATE:.1f} s, "
        f"one core, from waveforms",
    )


def load_clips(folder: Path | None) -> list[Waveform]:
    if folder:
        files = list_media(folder)
        return [read_audio(path).waveform for path in files[:: max(1, len(files) // N_CLIPS)]]
    rng = np.random.default_rng(0)
    waves = []
    for number in range(N_CLIPS):
        emotion = ("happy", "sad", "angry", "neutral")[number % 4]
        voice = synthesize_voice(emotion, speaker=number % 20 + 1)
        wave = rng.normal(0, 1e-4, int(SECONDS * SAMPLE_RATE)).astype(np.float32)
        start = (len(wave) - min(len(voice), len(wave))) // 2
        wave[start : start + len(voice)] += voice[: len(wave) - start]
        waves.append(wave)
    return waves


def load_peers() -> dict[str, Callable[[Waveform], Any]]:
    if importlib.util.find_spec("opensmile") is None:
        print("openSMILE is not installed (pip install 'affectus[opensmile]'): ours alone")
        return {"none": lambda wave: None}
    opensmile = importlib.import_module("opensmile")

    def peer(features: Any, level: Any) -> Callable[[Waveform], Any]:
        smile = opensmile.Smile(features, level)
        return lambda wave: smile.process_signal(wave, SAMPLE_RATE)

    sets, levels = opensmile.FeatureSet, opensmile.FeatureLevel
    return {
        "eGeMAPSv02 functionals": peer(sets.eGeMAPSv02, levels.Functionals),
        "ComParE_2016 functionals": peer(sets.ComParE_2016, levels.Functionals),
    }


if __name__ == "__main__":
    main()
