"""SAVEE: four native English men, seven emotions, 120 sentences each; sound, and film of the same.

Names are an emotion code and a number, in a folder of the speaker or with the speaker in front:
`AudioData/DC/a01.wav` as published, `ALL/DC_a01.wav` as it is often passed on. So `a01.wav` of two
speakers are two clips. Codes: a anger, d disgust, f fear, h happiness, n neutral, sa sadness,
su surprise. Numbers run to 15, of neutral to 30: 480 clips of sound.

A number is a sentence within its emotion: `a05` and `d05` are different words. The film lies in
`AudioVisualClip/DC/a1.avi`, without the zero; it shares the take of the sound.

**Source:** Haq and Jackson (2009), Proc. AVSP: 53; the corpus's own `AudioData/Info.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from affectus.corpora.corpus import Corpus
from affectus.errors import LabelError
from affectus.manifest import Clip

SPEAKERS = ("DC", "JE", "JK", "KL")
_EMOTIONS = {
    "a": "angry", "d": "disgust", "f": "fearful", "h": "happy", "n": "neutral", "sa": "sad",
    "su": "surprised",
}  # fmt: skip
_NAME = re.compile(r"(?:(DC|JE|JK|KL)_)?(sa|su|[adfhn])(\d\d?)")
_FILM = {".avi", ".mp4", ".mov", ".mkv", ".webm"}


def read_clip(path: Path) -> Clip:
    """Return the clip that a file name and its folder describe, or raise LabelError."""
    match = _NAME.fullmatch(path.stem)
    if match is None:
        raise LabelError(
            f"name '{path.name}': not a speaker, emotion and number; expected DC/a01 or DC_a01"
        )
    named, code, digits = match.groups()
    folder = path.parent.name
    speaker = named or folder
    if speaker not in SPEAKERS:
        raise LabelError(
            f"name '{path.name}': no speaker in it or in folder '{folder}'; expected DC, JE, JK "
            f"or KL"
        )
    if folder in SPEAKERS and folder != speaker:
        raise LabelError(f"name '{path.name}': speaker {speaker} in folder {folder}")
    number, last = int(digits), _count(code)
    if not 1 <= number <= last:
        raise LabelError(f"name '{path.name}': sentence {number}; expected 1 to {last}")
    film = path.suffix.lower() in _FILM
    take = f"savee/{speaker}_{code}{number:02d}"
    return Clip(
        clip_id=f"{take}-video" if film else take,
        corpus="savee",
        file=str(path),
        speaker=f"savee:{speaker}",
        emotion=_EMOTIONS[code],
        sex="male",
        language="en",
        source_label=code,
        sentence=f"{code}{number:02d}",
        take=take,
        channels=("voice", "face") if film else ("voice",),
    )


def find_part(clip: Clip) -> str:
    """Return audio or video."""
    return "video" if "face" in clip.channels else "audio"


def list_names(part: str) -> Iterator[str]:
    """Yield the published names of a part, in the folders of their speakers."""
    for speaker in SPEAKERS:
        for code in _EMOTIONS:
            for number in range(1, _count(code) + 1):
                if part == "audio":
                    yield f"AudioData/{speaker}/{code}{number:02d}.wav"
                else:
                    yield f"AudioVisualClip/{speaker}/{code}{number}.avi"


def _count(code: str) -> int:
    return 30 if code == "n" else 15


CORPUS = Corpus(
    name="savee",
    title="SAVEE",
    citation=(
        "Haq S, Jackson PJB (2009). Speaker-dependent audio-visual emotion recognition. Proc. "
        "International Conference on Auditory-Visual Speech Processing (AVSP), Norwich: 53-58."
    ),
    licence="research only, on registration with its authors",
    url="University of Surrey, CVSSP: SAVEE database, on registration",
    layout="files like AudioData/DC/a01.wav or DC_a01.wav",
    language="en",
    n_speakers=4,
    n_clips=480,
    read_clip=read_clip,
    list_names=list_names,
    parts=(("audio", "video"),),
    find_part=find_part,
)
