"""TESS: two women, 26 and 64 years old, say 200 words in seven emotions: 2,800 clips.

Names are `SPEAKER_word_emotion`: OAF is the older, YAF the younger; `ps` is pleasant surprise.
`OA_bite_neutral` was published without its F and is read as OAF's. Folders, where there are any,
are spelled in several ways (`OAF_Fear`, `YAF_pleasant_surprised`); one that contradicts the name is
a fault. The words are those of a hearing test, each in "Say the word …".

Some archives hold everything twice, one folder within the other: second copies with the same bytes
are passed over. Two speakers: no speaker-independent score can be had on TESS alone.

**Source:** Pichora-Fuller and Dupuis (2020), Toronto emotional speech set, and its archive; words:
Northwestern University Auditory Test No. 6, Tillman and Carhart (1966).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from affectus.corpora.corpus import Corpus, choose_field
from affectus.emotions import parse_emotion
from affectus.errors import LabelError
from affectus.manifest import Clip

_AGES = {"OAF": "64", "YAF": "26"}
_CODES = {
    "angry": "angry", "disgust": "disgust", "fearful": "fear", "happy": "happy",
    "neutral": "neutral", "surprised": "ps", "sad": "sad",
}  # fmt: skip
_FOLDERS = {
    "OAF": "angry disgust Fear happy neutral Pleasant_surprise Sad",
    "YAF": "angry disgust fear happy neutral pleasant_surprised sad",
}
_WORDS = """
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
WORDS = tuple(_WORDS.split())
_SPEAKERS = {"OAF": "OAF", "OA": "OAF", "YAF": "YAF"}


def read_clip(path: Path) -> Clip:
    """Return the clip that a file name describes, or raise LabelError naming the bad field."""
    fields = path.stem.split("_", 2)
    if len(fields) != 3:
        raise LabelError(
            f"name '{path.name}': {len(fields)} fields; expected three, like OAF_back_angry"
        )
    speaker = choose_field(fields[0].upper(), _SPEAKERS, "speaker", path.name)
    word = fields[1].lower()
    if word not in WORDS:
        raise LabelError(f"name '{path.name}': word '{word}'; expected one of its 200")
    try:
        emotion = parse_emotion(fields[2])
    except LabelError:
        emotion = ""
    if emotion not in _CODES:
        raise LabelError(
            f"name '{path.name}': emotion is '{fields[2]}'; expected {', '.join(_CODES.values())}"
        )
    _check_folder(path, speaker, emotion)
    return Clip(
        clip_id=f"tess/{speaker}_{word}_{_CODES[emotion]}",
        corpus="tess",
        file=str(path),
        speaker=f"tess:{speaker}",
        emotion=emotion,
        sex="female",
        age=_AGES[speaker],
        language="en",
        source_label=fields[2],
        sentence=word,
    )


def list_names(part: str) -> Iterator[str]:
    """Yield the published names, in the published folders."""
    for speaker, folders in _FOLDERS.items():
        for code, folder in zip(_CODES.values(), folders.split(), strict=True):
            for word in WORDS:
                name = f"{speaker}_{folder}/{speaker}_{word}_{code}.wav"
                yield name.replace("/OAF_bite_neutral", "/OA_bite_neutral")  # as published


def _check_folder(path: Path, speaker: str, emotion: str) -> None:
    """Raise LabelError for a folder like `OAF_Sad` that is of another speaker or emotion."""
    front, _, rest = path.parent.name.partition("_")
    try:
        told = (_SPEAKERS[front.upper()], parse_emotion(rest))
    except (KeyError, LabelError):
        return  # a folder of the user's own name
    if told != (speaker, emotion):
        raise LabelError(f"name '{path.name}': {emotion} of {speaker} in folder {path.parent.name}")


CORPUS = Corpus(
    name="tess",
    title="TESS",
    citation=(
        "Pichora-Fuller MK, Dupuis K (2020). Toronto emotional speech set (TESS). Borealis, "
        "doi 10.5683/SP2/E8H2MF."
    ),
    licence="CC BY-NC-ND 4.0 (non-commercial, no changed copies)",
    url="Borealis, University of Toronto: doi 10.5683/SP2/E8H2MF",
    layout="files like OAF_angry/OAF_back_angry.wav",
    language="en",
    n_speakers=2,
    n_clips=2_800,
    read_clip=read_clip,
    list_names=list_names,
)
