"""What the study is made on: corpora, changed copies of their clips, and a row of features each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import soxr
from numpy.typing import NDArray

from affectus.corpora import load_corpus
from affectus.emotions import LabelScheme
from affectus.extraction import extract_features, near_pairs, sound_hashes
from affectus.features import create_extractor
from affectus.manifest import Clip, Manifest, join_manifests, with_hashes
from affectus.media import read_audio, write_audio
from affectus.store import FeatureStore

FEATURES = "functionals"
PLAIN = "logmel"  # of RAVDESS, too: the mean and deviation of each band
LAST_ACTOR = 20  # of RAVDESS: the study is on 1 to 20
SNR_DB = 20.0
FASTER = 2 ** (1 / 12)  # as a tape would: a semitone higher and 6 % shorter

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Clips:
    """Clips with their features [N, D] and labels [N]; `near` and `audio` are what a guard asks."""

    manifest: Manifest
    labels: tuple[str, ...]
    features: Floats
    truth: Ints
    audio: dict[str, str]
    near: tuple[tuple[str, str], ...] = ()

    @property
    def speakers(self) -> NDArray[np.str_]:
        """Who speaks, [N]."""
        return np.array([clip.speaker for clip in self.manifest])

    @property
    def ids(self) -> NDArray[np.str_]:
        """The clips' names, [N]."""
        return np.array([clip.clip_id for clip in self.manifest])


def read_corpora(corpora: Path, folder: Path, workers: int) -> dict[str, Manifest]:
    """Read RAVDESS (speech, actors 1 to 20) and TESS, and extract what is not in the store yet."""
    found = {}
    for name, parts in (("ravdess", ("speech",)), ("tess", None)):
        manifest = load_corpus(name, corpora / name, parts=parts)
        if name == "ravdess":
            manifest = manifest.filter(lambda clip: actor(clip) <= LAST_ACTOR)
        found[name] = Manifest(tuple(clip for clip in manifest if not clip.fault))
        extract(found[name], folder, workers)
    extract(found["ravdess"], folder, workers, PLAIN)
    return found


def extract(manifest: Manifest, folder: Path, workers: int, features: str = FEATURES) -> None:
    """Extract features of clips into the study's store."""
    report = extract_features(
        manifest, create_extractor(features), folder / "store", workers=workers
    )
    if not report.ok:
        raise SystemExit(f"{folder / 'store'}: {report}")


def make_copies(manifest: Manifest, folder: Path) -> Manifest:
    """Write a noisy and a faster copy of every clip, and name them as the careless do.

    White noise, 20 dB below the clip; and the clip played 6 % faster, a semitone higher. Nothing
    in their names or rows says what they were made from.
    """
    copies: list[Clip] = []
    for clip in manifest:
        place = folder / "copies" / clip.speaker.replace(":", "_")
        place.mkdir(parents=True, exist_ok=True)
        for kind in ("noisy", "faster"):
            stem = clip.clip_id.rpartition("/")[2]
            path = place / f"{stem}-{kind}.wav"
            if not path.is_file():
                recording = read_audio(clip.path, sample_rate=16_000)
                rng = np.random.default_rng(int(clip.sha256[:16], 16))
                write_audio(path, change(recording.waveform, kind, rng))
            copies.append(
                msgspec.structs.replace(
                    clip, clip_id=f"{clip.clip_id}-{kind}", file=str(path), take="", sha256=""
                )
            )
    return with_hashes(Manifest(tuple(copies)))


def change(
    waveform: NDArray[np.float32], kind: str, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return a waveform [T] at 16 kHz with noise, or played faster."""
    if kind == "faster":
        return np.asarray(soxr.resample(waveform, 16_000 * FASTER, 16_000), np.float32)
    power = float(np.mean(waveform.astype(np.float64) ** 2))
    added = rng.standard_normal(len(waveform)) * np.sqrt(power / 10 ** (SNR_DB / 10))
    return np.clip(waveform + added, -1, 1).astype(np.float32)


def load_clips(
    manifests: Sequence[Manifest], scheme: LabelScheme, folder: Path, features: str = FEATURES
) -> Clips:
    """Return clips that the scheme has a label for, with features and what a guard needs."""
    joined = join_manifests(manifests)
    kept = Manifest(tuple(clip for clip in joined if scheme.label(clip.emotion) is not None))
    with FeatureStore(folder / "store") as store:
        rows = [summarise(store.get(features, clip.content_key)) for clip in kept]
        audio = dict(sound_hashes(kept, store, features))
        prints = store.fingerprints(features)
        near = near_pairs(kept, store, features, prints, audio)
    truth = [scheme.labels.index(str(scheme.label(clip.emotion))) for clip in kept]
    return Clips(kept, scheme.labels, np.stack(rows), np.array(truth), audio, tuple(near))


def summarise(frames: NDArray[np.float32]) -> Floats:
    """Return a clip's row: its only frame [D], or mean and deviation [2 D] of frames [T, D]."""
    exact = frames.astype(np.float64)
    return exact[0] if len(exact) == 1 else np.concatenate([exact.mean(0), exact.std(0)])


def twice(clips: Clips) -> Clips:
    """Return every clip twice, as of a folder that holds a second copy of itself."""
    again = [
        msgspec.structs.replace(clip, clip_id=f"{clip.clip_id}-again") for clip in clips.manifest
    ]
    audio = {f"{name}-again": digest for name, digest in clips.audio.items()}
    return Clips(
        Manifest((*clips.manifest.clips, *again)),
        clips.labels,
        np.concatenate([clips.features] * 2),
        np.concatenate([clips.truth] * 2),
        {**clips.audio, **audio},
    )


def actor(clip: Clip) -> int:
    """Return the number of a speaker of RAVDESS."""
    return int(re.sub(r"\D", "", clip.speaker))
