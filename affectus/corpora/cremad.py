"""CREMA-D: 91 North American actors, 12 sentences, six emotions: 7,442 performances, with votes.

Names are `actor_sentence_emotion_level`. One sentence (IEO) was acted at three levels (LO, MD, HI),
the others at none in particular (XX). 20 combinations were never published. Each performance lies
in three forms: `AudioWAV/1001_DFA_ANG_XX.wav`, the same sound as `AudioMP3/….mp3` (what raters
heard), and `VideoFlash/….flv` (what they saw and heard). They share a take. The id is the name for
the wav, and the name with `-mp3` or `-video` for the others, whatever else lies in the folder.
Where a folder holds several forms the wav alone is read, so that each performance counts once;
`parts` asks for others.

About 10 people each judged the voice, the face and both; `votes.py` reads their votes.

Until October 2022 `1040_ITH_SAD_XX.wav` was published as `1040_ITH_SAD_X.wav`; both are read as it.

**Source:** Cao et al. (2014), IEEE Trans. Affective Computing 5: 377; `SentenceFilenames.csv` and
`VideoDemographics.csv` of the corpus; its issues 3, 6, 8 and 11 for the faulty and renamed clips.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from affectus.corpora.corpus import Corpus, choose_field
from affectus.corpora.votes import add_tables
from affectus.errors import LabelError
from affectus.manifest import Clip

SENTENCES = (
    "IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI",
)  # fmt: skip
_EMOTIONS = {
    "ANG": "angry", "DIS": "disgust", "FEA": "fearful", "HAP": "happy", "NEU": "neutral",
    "SAD": "sad",
}  # fmt: skip
_LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": ""}
_GRADED = "IEO"  # but its neutral has no level
_SEX_LETTERS = (  # of actors 1001 to 1091, from VideoDemographics.csv
    "MFFFMFFFFFMFFMMMMFMFFMMFFMMFFFMMMMMMFMMMMMFMMFFMFMMFFFFFMFMFFMFMMMMMMMMFFFFFMFFMMFMFMMMMFMF"
)
_SEXES = {
    str(actor): "male" if letter == "M" else "female"
    for actor, letter in enumerate(_SEX_LETTERS, 1001)
}
_NEVER_PUBLISHED = {
    "1002_TIE_NEU_XX", "1076_ITS_NEU_XX",
    *(f"{cell}_{code}_XX" for cell in ("1008_WSI", "1009_MTI", "1019_ITH") for code in _EMOTIONS),
}  # fmt: skip
_RENAMED = {"1040_ITH_SAD_X": "1040_ITH_SAD_XX"}
_PARTS = {"wav": ("", ("voice",)), "mp3": ("-mp3", ("voice",)),
          "video": ("-video", ("voice", "face"))}  # fmt: skip
_PUBLISHED_AS = {"wav": "AudioWAV/{}.wav", "mp3": "AudioMP3/{}.mp3", "video": "VideoFlash/{}.flv"}
_FILM = {".flv", ".mp4", ".avi", ".mov", ".mkv", ".webm"}
_FAULTY = {
    "1076_MTI_SAD_XX": "no sound; its film has no face",
    "1076_MTI_NEU_XX": "its mp3 and film cannot be played",
    "1064_TIE_SAD_XX": "its film has no duration",
    "1064_IEO_DIS_MD": "61 s, with several emotions",
}


def read_clip(path: Path) -> Clip:
    """Return the clip that a file name describes, or raise LabelError naming the bad field."""
    stem = _RENAMED.get(path.stem, path.stem)
    fields = stem.split("_")
    if len(fields) != 4:
        raise LabelError(
            f"name '{path.name}': {len(fields)} fields; expected four, like 1001_DFA_ANG_XX"
        )
    actor, sentence, code, level = fields
    sex = choose_field(actor, _SEXES, "actor", path.name)
    choose_field(sentence, dict.fromkeys(SENTENCES, ""), "sentence", path.name)
    emotion = choose_field(code, _EMOTIONS, "emotion", path.name)
    intensity = choose_field(level, _LEVELS, "level", path.name)
    if stem in _NEVER_PUBLISHED or level not in _levels(sentence, code):
        raise LabelError(f"name '{path.name}': never published")
    ending, channels = _PARTS[_part(path)]
    return Clip(
        clip_id=f"cremad/{stem}{ending}",
        corpus="cremad",
        file=str(path),
        speaker=f"cremad:{actor}",
        emotion=emotion,
        sex=sex,
        language="en",
        source_label=code,
        intensity=intensity,
        sentence=sentence,
        take=f"cremad/{stem}",
        channels=channels,
    )


def find_part(clip: Clip) -> str:
    """Return wav (any file of sound but mp3), mp3 or video."""
    return _part(clip.path)


def list_names(part: str) -> Iterator[str]:
    """Yield the 7,442 published names of a part."""
    for actor in _SEXES:
        for sentence in SENTENCES:
            for code in _EMOTIONS:
                for level in _levels(sentence, code):
                    stem = f"{actor}_{sentence}_{code}_{level}"
                    if stem not in _NEVER_PUBLISHED:
                        yield _PUBLISHED_AS[part].format(stem)


def _part(path: Path) -> str:
    ending = path.suffix.lower()
    return "video" if ending in _FILM else "mp3" if ending == ".mp3" else "wav"


def _levels(sentence: str, code: str) -> tuple[str, ...]:
    return ("LO", "MD", "HI") if sentence == _GRADED and code != "NEU" else ("XX",)


CORPUS = Corpus(
    name="cremad",
    title="CREMA-D",
    citation=(
        "Cao H, Cooper DG, Keutmann MK, Gur RC, Nenkova A, Verma R (2014). CREMA-D: Crowd-sourced "
        "Emotional Multimodal Actors Dataset. IEEE Transactions on Affective Computing 5: 377-390."
    ),
    licence="ODbL 1.0, contents DbCL 1.0",
    url="GitHub, CheyneyComputerScience/CREMA-D (with Git LFS)",
    layout="files like AudioWAV/1001_DFA_ANG_XX.wav",
    language="en",
    n_speakers=91,
    n_clips=7_442,
    read_clip=read_clip,
    list_names=list_names,
    parts=(tuple(_PARTS),),
    find_part=find_part,
    add_tables=add_tables,
    cautions={
        f"cremad/{stem}{ending}": fault
        for stem, fault in _FAULTY.items()
        for ending, _ in _PARTS.values()
    },
)
