"""EMO-DB: ten speakers of German, ten sentences, seven emotions: 535 clips.

Names are `03a01Fa.wav`: speaker, sentence, emotion, version. The emotion's letter is of its German
name: W anger, L boredom, E disgust, A fear, F happiness, T sadness, N neutral. What listeners did
not recognise was left out, so no rule gives the names; they are listed here.

Boredom is none of our eight emotions. Its 81 clips are kept with their label and without an
emotion: nothing is trained on them, and nothing is made of them.

**Source:** Burkhardt et al. (2005), Proc. Interspeech: 1517; sex, age and letters: the corpus's own
documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from affectus.corpora.corpus import Corpus, choose_field
from affectus.errors import LabelError
from affectus.manifest import Clip

_BOREDOM = "L"
_EMOTIONS = {
    "W": "angry", _BOREDOM: "", "E": "disgust", "A": "fearful", "F": "happy", "T": "sad",
    "N": "neutral",
}  # fmt: skip
_SEXES = {
    "03": "male", "08": "female", "09": "female", "10": "male", "11": "male", "12": "male",
    "13": "female", "14": "female", "15": "male", "16": "female",
}  # fmt: skip
_AGES = {
    "03": "31", "08": "34", "09": "21", "10": "32", "11": "26", "12": "30", "13": "32", "14": "35",
    "15": "25", "16": "31",
}  # fmt: skip
_SENTENCES = dict.fromkeys(
    ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10"), ""
)
_NAME = re.compile(r"(\d\d)([ab]\d\d)([A-Z])([a-f])")

# One row a speaker, one column a sentence, in the order of `_SENTENCES`.
_PUBLISHED = {
    "03": "FaNcWa FcNcTaWbWc AdFdLcNcTaWc AaFcNdTcWaWb FaFbLaNcWc FaLbNbTdWaWc AaLaNaTbWb NbTcWc "
          "LaNcTcWa AbEcNaNcWbWc",
    "08": "AbFdLcNaWaWc AbAcFeLaNaTbWc FfLaNcTbWc FeLcNbTaWa FdLaNaTaTbWc AaFdFeLbNaWa FfLaNbTcWd "
          "FeLcNbTcWd AbFdLcNbTbWaWc AaFdLaNcTcWa",
    "09": "EaFaNbWb EaEbLaWb FdLaNbWa EdLcNbTbWbWc EbNaTaWbWd EaNaWb NaTbWcWd EdFaFdLbNbTaWb "
          "EaNdWa AaNdWa",
    "10": "AcNbWa AbFaLbNaWa FdNbWaWb AaLdTbWb AaAdLaTaWb AaEaFaLb AaLaNaWb LaTbWb AdLbWb FcLcWa",
    "11": "AaAbLdNdWc EcFbLdNcTcWc AcFdNdWc AdFbFcLcNaTdWd AcLdTaWc AbEbFcLbNcWd AbFdNaTdWb "
          "FcLcNbTdWaWb AdFdLdNaTdWa AdAeLdNcTdWa",
    "12": "FbLbNbWc AcEcNbWaWc Wc AbLbNdTaWb AcLaWa TaWa AdEaFbNaWaWbWd LaTa AcTdWc AcLdWa",
    "13": "AcEaEcFdLbNbWb AdEcFaLcNcTaWa AcFcLbTaWc AaEaLcNbTcWaWc FdLbNaTcWb AbEcFcLdNcWa "
          "FbLcNbWa AcEdFdLbNaTdWc AbEcFbFcLaNaWa EcFaLaNcWaWc",
    "14": "AaAcEaNaWaWc AbEaFdLaNcTbWaWc AaEdLbTbTcWbWc AaAcFaFbLbNaTaTcWaWb AaEbFdLcLdNaTcWc "
          "AcEbFaFcNaWc AaFbNaTcWbWd AdEdLbTaWb AcEaFcLbTdWaWc AdEbLbNbTcWc",
    "15": "EaFbLaNbWa AcEaLaNaTaWbWd AbAcFdNcWaWb EbFbLbNaWa AcEbFaFbLdNc EcLbNaWc AaLbNdTcWaWc "
          "AaLcNbTcWaWb AcFaLaNbTaWb AcLcNbNcWa",
    "16": "EcFcLbNcTbWb EaEcLbNbTcWb AbEaFaLaLcNcTcWbWc AbEaFcLaTbWbWc EaFaFbLaLbNbTdWa "
          "AaEbFaLaLcTbWaWb AaEbFdLbWb AdEaFaFdLaNbTaWb AbEbFbLaLbWb AaEbFbLbTbTdWaWb",
}  # fmt: skip


def read_clip(path: Path) -> Clip:
    """Return the clip that a file name describes, or raise LabelError naming the bad field."""
    match = _NAME.fullmatch(path.stem)
    if match is None:
        raise LabelError(
            f"name '{path.name}': not a speaker, sentence, emotion and version; expected one "
            f"like 03a01Fa"
        )
    speaker, sentence, letter, version = match.groups()
    sex = choose_field(speaker, _SEXES, "speaker", path.name)
    choose_field(sentence, _SENTENCES, "sentence", path.name)
    emotion = choose_field(letter, _EMOTIONS, "emotion", path.name)
    return Clip(
        clip_id=f"emodb/{path.stem}",
        corpus="emodb",
        file=str(path),
        speaker=f"emodb:{speaker}",
        emotion=emotion or None,
        sex=sex,
        age=_AGES[speaker],
        language="de",
        source_label=letter,
        sentence=sentence,
        repetition=version,
    )


def list_names(part: str) -> Iterator[str]:
    """Yield the published names."""
    for speaker, columns in _PUBLISHED.items():
        for sentence, codes in zip(_SENTENCES, columns.split(), strict=True):
            for code in re.findall("..", codes):
                yield f"wav/{speaker}{sentence}{code}.wav"


CORPUS = Corpus(
    name="emodb",
    title="EMO-DB",
    citation=(
        "Burkhardt F, Paeschke A, Rolfes M, Sendlmeier WF, Weiss B (2005). A Database of German "
        "Emotional Speech. Proc. Interspeech 2005, Lisbon: 1517-1520."
    ),
    licence="CC0 1.0, as audEERING publishes it",
    url="Technische Universität Berlin: Berlin Database of Emotional Speech; audb 'emodb' 1.4.1",
    layout="files like wav/03a01Fa.wav",
    language="de",
    n_speakers=10,
    n_clips=535,
    read_clip=read_clip,
    list_names=list_names,
    unmapped={_BOREDOM: "boredom"},
)
