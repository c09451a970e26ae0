"""What the corpora hold and how their files are named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

from affectus.emotions import EMOTIONS, parse_emotion


class Take(NamedTuple):
    """One file of a corpus, and what is spoken in it."""

    file: str  # below the corpus's folder, without ending
    emotion: str
    speaker: int
    sex: str
    sentence: int
    intensity: str = "normal"
    repetition: int = 1


_CREMAD_SENTENCES = "IEO TIE IOM IWW TAI MTI IWL ITH DFA ITS TSI WSI"
_CREMAD_SEXES = (  # of actors 1001 to 1091, from VideoDemographics.csv
    "MFFFMFFFFFMFFMMMMFMFFMMFFMMFFFMMMMMMFMMMMMFMMFFMFMMFFFFFMFMFFMFMMMMMMMMFFFFFMFFMMFMFMMMMFMF"
)
_SAVEE_CODES = {
    "a": "angry", "d": "disgust", "f": "fearful", "h": "happy", "n": "neutral", "sa": "sad",
    "su": "surprised",
}  # fmt: skip
_TESS_FOLDERS = {
    "OAF": "angry disgust Fear happy neutral Pleasant_surprise Sad",
    "YAF": "angry disgust fear happy neutral pleasant_surprised sad",
}
_TESS_CODES = "angry disgust fear happy neutral ps sad"
# Northwestern University Auditory Test No. 6 (Tillman and Carhart, 1966), by alphabet.
_TESS_WORDS = """
    back bar base bath bean beg bite boat bone book bought burn cab calm came cause chain chair
    chalk chat check cheek chief choice cool dab date dead death deep dime dip ditch dodge dog
    doll door fail fall far fat fit five food gap gas gaze germ get gin goal good goose gun
    half hall hash hate have haze hire hit hole home hurl hush jail jar join judge jug juice
    keen keep keg kick kill king kite knock late laud lean learn lease lid life limb live loaf
    long lore lose lot love luck make match merge mess met mill mob mode mood moon mop mouse
    nag name near neat nice note numb pad page pain pass pearl peg perch phone pick pike pole
    pool puff rag raid rain raise rat reach read red ring ripe road room rose rot rough rush
    said sail search seize sell shack shall shawl sheep shirt should shout size soap soup sour
    south sub such sure take talk tape team tell thin third thought thumb time tip tire ton
    tool tough turn vine voice void vote wag walk wash week wheat when which whip white wife
    wire witch yearn yes young youth
"""


def _list_cremad(n_speakers: int, n_sentences: int) -> Iterator[Take]:
    graded = (("LO", "low"), ("MD", "normal"), ("HI", "strong"))
    for actor, letter in enumerate(_CREMAD_SEXES[:n_speakers], 1001):
        sex = "male" if letter == "M" else "female"
        for sentence, code in enumerate(_CREMAD_SENTENCES.split()[:n_sentences]):
            for emotion in ("angry", "disgust", "fearful", "happy", "neutral", "sad"):
                levels = graded if code == "IEO" and emotion != "neutral" else (("XX", "normal"),)
                for level, intensity in levels:
                    file = f"AudioWAV/{actor}_{code}_{emotion[:3].upper()}_{level}"
                    yield Take(file, emotion, actor, sex, sentence, intensity)


def _list_ravdess(n_speakers: int, n_sentences: int) -> Iterator[Take]:
    for actor, (code, emotion) in product(range(1, n_speakers + 1), enumerate(EMOTIONS, 1)):
        sex = "male" if actor % 2 else "female"
        levels = ("normal",) if emotion == "neutral" else ("normal", "strong")
        takes = product(enumerate(levels, 1), range(n_sentences), (1, 2))
        for (level, intensity), sentence, repetition in takes:
            numbers = (3, 1, code, level, sentence + 1, repetition, actor)
            file = f"Actor_{actor:02d}/" + "-".join(f"{number:02d}" for number in numbers)
            yield Take(file, emotion, actor, sex, sentence, intensity, repetition)


def _list_savee(n_speakers: int, n_sentences: int) -> Iterator[Take]:
    for speaker, initials in enumerate(("DC", "JE", "JK", "KL")[:n_speakers]):
        for code, emotion in _SAVEE_CODES.items():
            for sentence in range(n_sentences * (2 if emotion == "neutral" else 1)):
                file = f"AudioData/{initials}/{code}{sentence + 1:02d}"
                yield Take(file, emotion, speaker, "male", sentence)


def _list_tess(n_speakers: int, n_sentences: int) -> Iterator[Take]:
    for speaker, (actress, folders) in enumerate(list(_TESS_FOLDERS.items())[:n_speakers]):
        for code, folder in zip(_TESS_CODES.split(), folders.split(), strict=True):
            for sentence, word in enumerate(_TESS_WORDS.split()[:n_sentences]):
                file = f"{actress}_{folder}/{actress}_{word}_{code}"
                file = file.replace("/OAF_bite_neutral", "/OA_bite_neutral")  # as published
                yield Take(file, parse_emotion(code), speaker, "female", sentence)


# corpus: (its files, speakers, sentences)
LAYOUTS: dict[str, tuple[Callable[[int, int], Iterator[Take]], int, int]] = {
    "cremad": (_list_cremad, 91, 12),
    "ravdess": (_list_ravdess, 24, 2),
    "savee": (_list_savee, 4, 15),
    "tess": (_list_tess, 2, 200),
}
