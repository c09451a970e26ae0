"""RAVDESS: 24 North American actors, two sentences, spoken and sung, heard and seen.

Names are seven two-digit fields, `modality-channel-emotion-intensity-statement-repetition-actor`:

    modality    01 sound and picture, 02 picture only, 03 sound only
    channel     01 speech, 02 song
    emotion     01 neutral … 08 surprised; song has no 07, 08
    intensity   01 normal, 02 strong; neutral has no 02
    statement   01 "Kids are talking by the door", 02 "Dogs are sitting by the door"
    repetition  01, 02
    actor       01 to 24; odd are male, even female; actor 18 did not sing

Speech holds 1,440 clips of each modality, song 1,012: 7,356 files. The three files of one
performance (03, 01, 02) share a take. Where a folder holds several, the sound alone is read, of
speech and of song; `parts` asks for others.

**Source:** Livingstone and Russo (2018), PLoS ONE 13(5): e0196391.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

from affectus.corpora.corpus import Corpus, choose_field
from affectus.emotions import EMOTIONS
from affectus.errors import LabelError
from affectus.manifest import Clip

_MODALITIES = {"01": "voice+face", "02": "face", "03": "voice"}
_CHANNELS = {"01": "speech", "02": "song"}
_EMOTIONS = {f"{code:02d}": emotion for code, emotion in enumerate(EMOTIONS, 1)}
_INTENSITIES = {"01": "normal", "02": "strong"}
_STATEMENTS = {"01": "kids", "02": "dogs"}
_REPETITIONS = {"01": "1", "02": "2"}
_ACTORS = {f"{actor:02d}": "female" if actor % 2 == 0 else "male" for actor in range(1, 25)}
_FIELDS = ("modality", "channel", "emotion", "intensity", "statement", "repetition", "actor")
_NOT_SUNG = {"07", "08"}
_DID_NOT_SING = "18"
_PARTS = {
    "speech": ("03", "01"), "speech-video": ("01", "01"), "speech-picture": ("02", "01"),
    "song": ("03", "02"), "song-video": ("01", "02"), "song-picture": ("02", "02"),
}  # fmt: skip
_PART_OF = {codes: part for part, codes in _PARTS.items()}


def split_name(path: Path) -> list[str]:
    """Return the seven fields of a name, unchecked, or raise LabelError."""
    parts = path.stem.split("-")
    if len(parts) != len(_FIELDS):
        raise LabelError(
            f"name '{path.name}': {len(parts)} fields; expected seven, like 03-01-05-01-02-01-12"
        )
    return parts


def read_clip(path: Path) -> Clip:
    """Return the clip that a file name describes, or raise LabelError naming the bad field."""
    parts = split_name(path)
    modality, channel, emotion, intensity, statement, repetition, actor = parts
    voice_or_face = choose_field(modality, _MODALITIES, "modality", path.name)
    kind = choose_field(channel, _CHANNELS, "channel", path.name)
    felt = choose_field(emotion, _EMOTIONS, "emotion", path.name)
    strength = choose_field(intensity, _INTENSITIES, "intensity", path.name)
    sentence = choose_field(statement, _STATEMENTS, "statement", path.name)
    turn = choose_field(repetition, _REPETITIONS, "repetition", path.name)
    sex = choose_field(actor, _ACTORS, "actor", path.name)
    if felt == "neutral" and strength == "strong":
        raise LabelError(f"name '{path.name}': neutral with intensity 02; expected 01")
    if kind == "song" and (emotion in _NOT_SUNG or actor == _DID_NOT_SING):
        raise LabelError(f"name '{path.name}': {felt} by actor {actor} was never sung")
    folder = path.parent.name
    if folder.startswith("Actor_") and folder != f"Actor_{actor}":
        raise LabelError(f"name '{path.name}': actor {actor} in folder {folder}")
    return Clip(
        clip_id=f"ravdess/{path.stem}",
        corpus="ravdess",
        file=str(path),
        speaker=f"ravdess:{actor}",
        emotion=felt,
        sex=sex,
        language="en",
        source_label=emotion,
        intensity=strength,
        sentence=sentence if kind == "speech" else f"{sentence} (sung)",
        repetition=turn,
        take="ravdess/" + "-".join(parts[1:]),
        channels=tuple(voice_or_face.split("+")),
    )


def find_part(clip: Clip) -> str:
    """Return speech or song, with -video or -picture for files that are seen."""
    modality, channel, *_ = split_name(clip.path)
    return _PART_OF[modality, channel]


def list_names(part: str) -> Iterator[str]:
    """Yield the published names of a part, in the folders of their actors."""
    modality, channel = _PARTS[part]
    codes = product(_EMOTIONS, _INTENSITIES, _STATEMENTS, _REPETITIONS, _ACTORS)
    for emotion, intensity, statement, repetition, actor in codes:
        if emotion == "01" and intensity == "02":
            continue
        if channel == "02" and (emotion in _NOT_SUNG or actor == _DID_NOT_SING):
            continue
        fields = (modality, channel, emotion, intensity, statement, repetition, actor)
        ending = ".wav" if modality == "03" else ".mp4"
        yield f"Actor_{actor}/{'-'.join(fields)}{ending}"


CORPUS = Corpus(
    name="ravdess",
    title="RAVDESS",
    citation=(
        "Livingstone SR, Russo FA (2018). The Ryerson Audio-Visual Database of Emotional Speech "
        "and Song (RAVDESS). PLoS ONE 13(5): e0196391."
    ),
    licence="CC BY-NC-SA 4.0 (non-commercial)",
    url="Zenodo record 1188976",
    layout="files like Actor_12/03-01-05-01-02-01-12.wav",
    language="en",
    n_speakers=24,
    n_clips=7_356,
    read_clip=read_clip,
    list_names=list_names,
    parts=(tuple(_PARTS)[:3], tuple(_PARTS)[3:]),
    find_part=find_part,
)
