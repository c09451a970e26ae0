"""What a synthetic corpus holds: the published files of a real one, and what is spoken in each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

from affectus.corpora import find_corpus, list_corpora, nemo
from affectus.corpora.corpus import Corpus
from affectus.manifest import Clip, natural_key

CORPORA = tuple(corpus.name for corpus in list_corpora())
_INTENSITIES = {"low": "low", "high": "strong", "strong": "strong"}  # any other: normal
_VOICED_AS = "calm"  # what has no emotion of ours, like EMO-DB's boredom


class Take(NamedTuple):
    """One file of a corpus, and what is spoken in it."""

    file: str  # below the corpus's folder, without ending
    emotion: str
    speaker: int
    sex: str
    sentence: int
    intensity: str = "normal"
    repetition: int = 1


class Layout(NamedTuple):
    """The files of a corpus, who speaks and what: speakers and sentences are counted from 0."""

    takes: tuple[tuple[int, int, Take], ...]  # (speaker's place, sentence's place, take)
    n_speakers: int
    n_sentences: int

    def choose(self, n_speakers: int, n_sentences: int) -> Iterator[Take]:
        """Yield the takes of the first speakers and sentences."""
        for speaker, sentence, take in self.takes:
            if speaker < n_speakers and sentence < n_sentences:
                yield take


def read_layout(name: str, part: str = "") -> Layout:
    """Return what a corpus was published with, in its first part (sound, and speech) or another."""
    corpus = find_corpus(name)
    clips = [(file, corpus.read_clip(Path(file))) for file in _list_files(corpus, part)]
    speakers = sorted({clip.speaker for _, clip in clips}, key=natural_key)
    texts = list(dict.fromkeys(clip.sentence for _, clip in clips))
    takes = []
    for file, clip in clips:
        place = speakers.index(clip.speaker)
        # SAVEE counts sentences within an emotion, and has twice as many neutral ones.
        number = int(clip.sentence[-2:]) - 1 if name == "savee" else texts.index(clip.sentence)
        limit = number // 2 if name == "savee" and clip.emotion == "neutral" else number
        takes.append((place, limit, _make_take(file, clip, place, number)))
    n_sentences = 1 + max(limit for _, limit, _ in takes)
    return Layout(tuple(takes), len(speakers), n_sentences)


def _make_take(file: str, clip: Clip, place: int, number: int) -> Take:
    code = clip.speaker.partition(":")[2]
    return Take(
        file=str(Path(file).with_suffix("")),
        emotion=clip.emotion or _VOICED_AS,
        speaker=int(code) if code.isdecimal() else place,
        sex=clip.sex,
        sentence=number,
        intensity=_INTENSITIES.get(clip.intensity, "normal"),
        repetition=_count_repetition(clip.repetition),
    )


def _count_repetition(repetition: str) -> int:
    """Return 1 for '', '1' and EMO-DB's version 'a', 2 for '2' and 'b'."""
    if re.fullmatch("[a-z]", repetition):
        return ord(repetition) - ord("a") + 1
    return int(repetition or 1)


def _list_files(corpus: Corpus, part: str) -> Iterator[str]:
    if corpus.names_known:
        yield from corpus.list_names(part or corpus.parts[0][0])
    else:  # nEMO: every name that its rule allows, the published ones among them
        sentences = range(1, nemo.N_SENTENCES + 1)
        for speaker, label, sentence in product(nemo.SPEAKERS, nemo.EMOTIONS, sentences):
            yield f"samples/{speaker}_{label}_{sentence}.wav"
