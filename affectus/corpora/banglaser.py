"""BanglaSER: 34 speakers of Bengali, five emotions, three sentences: 1,467 clips.

Names look like RAVDESS's but mean other things,
`modality-channel-emotion-intensity-statement-repetition-actor`:

    modality    03 sound only; three clips of actor 15 begin with 01, and are sound only too
    channel     01 speech
    emotion     01 happy, 02 sad, 03 angry, 04 surprised, 05 neutral
    intensity   follows the emotion: 01 normal for 01, 02, 05; 02 strong for 03, 04
    statement   01, 02, 03
    repetition  01, 02, 03
    actor       01 to 34; odd are male, even female

Seven actors have no neutral, so it has 243 clips and each other emotion 306.

**Source:** Das et al. (2022), Data in Brief 42: 108091, and the names of the published files.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

from affectus.corpora.corpus import Corpus, choose_field
from affectus.corpora.ravdess import split_name
from affectus.errors import LabelError
from affectus.manifest import Clip

_MODALITIES = {"01": "voice", "03": "voice"}
_CHANNELS = {"01": "speech"}
_EMOTIONS = {"01": "happy", "02": "sad", "03": "angry", "04": "surprised", "05": "neutral"}
_STRONG = {"03", "04"}
_INTENSITIES = {"01": "normal", "02": "strong"}
_THREE = {"01": "1", "02": "2", "03": "3"}
_ACTORS = {f"{actor:02d}": "female" if actor % 2 == 0 else "male" for actor in range(1, 35)}
_NEVER_NEUTRAL = {"11", "12", "13", "16", "18", "20", "29"}
_ODD_ONES = ("04", "03", "15")  # emotion, statement, actor of the clips that begin with 01


def read_clip(path: Path) -> Clip:
    """Return the clip that a file name describes, or raise LabelError naming the bad field."""
    modality, channel, emotion, intensity, statement, repetition, actor = split_name(path)
    choose_field(modality, _MODALITIES, "modality", path.name)
    choose_field(channel, _CHANNELS, "channel", path.name)
    felt = choose_field(emotion, _EMOTIONS, "emotion", path.name)
    strength = choose_field(intensity, _INTENSITIES, "intensity", path.name)
    sentence = choose_field(statement, _THREE, "statement", path.name)
    turn = choose_field(repetition, _THREE, "repetition", path.name)
    sex = choose_field(actor, _ACTORS, "actor", path.name)
    if (strength == "strong") != (emotion in _STRONG):
        raise LabelError(f"name '{path.name}': {felt} with intensity {intensity} was never spoken")
    if felt == "neutral" and actor in _NEVER_NEUTRAL:
        raise LabelError(f"name '{path.name}': neutral by actor {actor} was never spoken")
    return Clip(
        clip_id=f"banglaser/{path.stem}",
        corpus="banglaser",
        file=str(path),
        speaker=f"banglaser:{actor}",
        emotion=felt,
        sex=sex,
        language="bn",
        source_label=emotion,
        intensity=strength,
        sentence=sentence,
        repetition=turn,
    )


def list_names(part: str) -> Iterator[str]:
    """Yield the published names."""
    codes = product(_ACTORS, _EMOTIONS, _THREE, _THREE)
    for actor, emotion, statement, repetition in codes:
        if emotion == "05" and actor in _NEVER_NEUTRAL:
            continue
        modality = "01" if (emotion, statement, actor) == _ODD_ONES else "03"
        intensity = "02" if emotion in _STRONG else "01"
        fields = (modality, "01", emotion, intensity, statement, repetition, actor)
        yield "-".join(fields) + ".wav"


CORPUS = Corpus(
    name="banglaser",
    title="BanglaSER",
    citation=(
        "Das RK, Islam N, Ahmed MR, Islam S, Shatabda S, Islam AKMM (2022). BanglaSER: A speech "
        "emotion recognition dataset for the Bangla language. Data in Brief 42: 108091."
    ),
    licence="CC BY 4.0",
    url="Mendeley Data t9h6p943xy, version 5",
    layout="files like 03-01-03-02-01-02-21.wav",
    language="bn",
    n_speakers=34,
    n_clips=1_467,
    read_clip=read_clip,
    list_names=list_names,
)
