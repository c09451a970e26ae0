"""A small synthetic corpus: speech-like voices whose emotion is audible; for demo and tests.

A voice is a train of glottal pulses and two noises (breath, consonants) through moving resonances.
It says syllables of no language. Speakers differ in pitch, vocal tract, rate, level, brightness and
breath, and each shows an emotion in a measure of their own: an unseen speaker is a real test, and
no single cue gives the emotion away. No person's recording is in it. A score on it says that a
chain works, and nothing about people.

**Source:** synthesis and consonants: Klatt (1980), J. Acoust. Soc. Am. 67: 971, tables II and III;
vowels: Peterson and Barney (1952), J. Acoust. Soc. Am. 24: 175, men; directions of the cues: Juslin
and Laukka (2003), Psychol. Bull. 129: 770 (calm as their tenderness), Scherer (2003), Speech
Commun. 40: 227, and for disgust Murray and Arnott (1993), J. Acoust. Soc. Am. 93: 1097. Surprise,
which these leave out, is high and wide and rises at the end.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from affectus.errors import CorpusError, nearest
from affectus.media import FRAME_RATE, SAMPLE_RATE, Waveform, write_audio, write_video
from affectus.synthesis.face import draw_faces
from affectus.synthesis.layouts import CORPORA, read_layout
from affectus.synthesis.voice import expect, expect_rate, seeded, synthesize_voice

__all__ = ["synthesize_voice", "write_corpus"]

_SOUND = (".wav", ".flac")
_FILMS = {".mp4": "speech-video"}  # the part of RAVDESS that is films
_ENDINGS = {"ravdess": (*_SOUND, *_FILMS)}
_SIZE = 144, 192  # height and width of a film


def write_corpus(
    corpus: str,
    folder: Path | str,
    *,
    n_speakers: int | None = None,
    n_sentences: int | None = None,
    seed: int = 0,
    sample_rate: int = SAMPLE_RATE,
    ending: str = ".wav",
) -> list[Path]:
    """Write synthetic clips under the names and folders of a published corpus; return their paths.

    `corpus` is a name of `affectus corpora`; its sound is written, of RAVDESS the speech.
    `n_speakers` and `n_sentences` keep the first ones: of CREMA-D's 91 speakers and 12 sentences,
    RAVDESS's 24 and 2, SAVEE's 4 and 15 (twice as many for neutral), TESS's 2 and 200 words,
    EMO-DB's 10 and 10, BanglaSER's 34 and 3, nEMO's 9 and 90.
    `sample_rate` in Hz; `ending` is .wav or .flac, 16 bits, or for RAVDESS .mp4: films of the one
    who speaks, 192 x 144 pixels at 15 a second, whose face shows the emotion, too. A clip's bytes
    depend on the seed, the corpus and its name only. Files that are there already are written over.

    Names are the published ones, as the corpus's reader lists them. nEMO's are known by their rule
    only: 4,860 clips, 379 of which were never published.

    Raises CorpusError for an unknown corpus, ConfigError for a value out of range.
    """
    if corpus not in CORPORA:
        raise CorpusError(
            f"no synthetic corpus '{corpus}'; known corpora: {', '.join(CORPORA)}."
            f"{nearest(corpus, CORPORA)}"
        )
    if Path(folder).exists() and not Path(folder).is_dir():
        raise CorpusError(f"{folder}: a file; expected a folder to write to. Give another.")
    endings = _ENDINGS.get(corpus, _SOUND)
    expect("ending", ending, ending in endings, " or ".join(endings))
    films = ending in _FILMS
    layout = read_layout(corpus, _FILMS.get(ending, ""))
    speakers = _limit("n_speakers", n_speakers, layout.n_speakers, corpus)
    sentences = _limit("n_sentences", n_sentences, layout.n_sentences, corpus)
    expect_rate(sample_rate)
    own_seed = int(seeded(seed, corpus).integers(1 << 62))  # each corpus has its own people
    paths = []
    for take in layout.choose(speakers, sentences):
        spoken = take._asdict()
        path = Path(folder) / (spoken.pop("file") + ending)
        path.parent.mkdir(parents=True, exist_ok=True)
        waveform = synthesize_voice(**spoken, seed=own_seed, sample_rate=sample_rate)
        if films:
            _write_film(path, spoken, waveform, own_seed, sample_rate)
        else:
            write_audio(path, waveform, sample_rate)
        paths.append(path)
    return paths


def _write_film(
    path: Path, spoken: dict[str, Any], waveform: Waveform, seed: int, sample_rate: int
) -> None:
    """Write a film of a take: as long as its sound, the mouth as open as it is loud."""
    n_frames = math.ceil(len(waveform) / sample_rate * FRAME_RATE)
    power = np.array([np.square(part).mean() for part in np.array_split(waveform, n_frames)])
    loudness = np.sqrt(power / power.max())
    frames = draw_faces(**spoken, n_frames=n_frames, seed=seed, size=_SIZE, loudness=loudness)
    write_video(path, frames, waveform, sample_rate=sample_rate)


def _limit(what: str, wanted: int | None, known: int, corpus: str) -> int:
    limit = known if wanted is None else wanted
    expect(what, limit, 1 <= limit <= known, f"1 to {known} for {corpus}")
    return limit
