"""How far the pitch of `descriptors` agrees with librosa's pYIN on recordings.

    python experiments/pitch_agreement.py FOLDER --clips 40

Gross errors are frames that both call voiced and whose F0 differs by more than 20 %; voicing
errors are frames that one calls voiced and the other does not. pYIN is a peer, not the truth.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import librosa
import numpy as np

from affectus.features import create_extractor
from affectus.media import SAMPLE_RATE, list_media, read_audio

LOUD = -60.0  # dB of full scale, above which a frame is likely speech


def main() -> None:
    """Print the agreement over every frame of some recordings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=40)
    given = parser.parse_args()
    files = list_media(given.folder)
    order = np.random.default_rng(0).permutation(len(files))[: given.clips]
    extractor = create_extractor("descriptors", trim_db=None)
    places = [extractor.columns.index(name) for name in ("f0_hz", "level_db")]
    parts = []
    for number in order:
        waveform = read_audio(files[number]).waveform
        ours, level = extractor(waveform, SAMPLE_RATE)[:, places].T
        theirs, voiced, _ = librosa.pyin(  # frames of 64 ms about the centres of ours, of 48 ms
            np.pad(waveform, (128, 1_024)), fmin=62.5, fmax=750, sr=SAMPLE_RATE,
            frame_length=1_024, hop_length=160, center=False,
        )  # fmt: skip
        theirs = np.where(voiced, theirs, 0)[: len(ours)]
        parts.append(np.stack([ours, theirs, level]))
    ours, theirs, level = np.concatenate(parts, axis=1)
    both = (ours > 0) & (theirs > 0)
    gross = np.abs(ours[both] / theirs[both] - 1) > 0.2
    differ = (ours > 0) != (theirs > 0)
    print(f"{len(order)} recordings, {len(ours):,} frames, {both.sum():,} voiced for both")
    print(f"gross pitch errors {gross.mean():.2%}; voicing errors {differ.mean():.1%}, "
          f"{differ[level > LOUD].mean():.1%} of frames above {LOUD:g} dB")  # fmt: skip


if __name__ == "__main__":
    main()
