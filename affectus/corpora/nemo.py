"""nEMO: nine speakers of Polish, 90 sentences, six emotions: 4,481 clips.

Names are `SPEAKER_emotion_sentence`, like `EB0_anger_17.wav`. Not every speaker said every sentence
in every emotion (MK0 is never surprised, MP0 has a part of most), and no rule tells
which: how many clips there are is known, which ones is not, beyond `data.tsv` that comes with them.

**Source:** Christop (2024), arXiv 2404.06292, and the corpus's `data.tsv` (sex, age).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from affectus.corpora.corpus import Corpus, choose_field
from affectus.errors import LabelError
from affectus.manifest import Clip

N_SENTENCES = 90
EMOTIONS = {
    "anger": "angry", "fear": "fearful", "happiness": "happy", "neutral": "neutral",
    "sadness": "sad", "surprised": "surprised",
}  # fmt: skip
SPEAKERS = {
    "EB0": ("female", "27"), "IC0": ("female", "28"), "KD0": ("female", "28"),
    "KS0": ("male", "23"), "MK0": ("female", "23"), "MP0": ("male", "24"),
    "SM0": ("male", "24"), "TP0": ("male", "26"), "WR0": ("male", "23"),
}  # fmt: skip
_SEXES = {speaker: sex for speaker, (sex, _) in SPEAKERS.items()}


def read_clip(path: Path) -> Clip:
    """Return the clip that a file name describes, or raise LabelError naming the bad field."""
    fields = path.stem.split("_")
    if len(fields) != 3:
        raise LabelError(
            f"name '{path.name}': {len(fields)} fields; expected three, like EB0_anger_17"
        )
    speaker, label, sentence = fields
    sex = choose_field(speaker, _SEXES, "speaker", path.name)
    emotion = choose_field(label, EMOTIONS, "emotion", path.name)
    if not (sentence.isdecimal() and str(int(sentence)) == sentence
            and 1 <= int(sentence) <= N_SENTENCES):  # fmt: skip
        raise LabelError(f"name '{path.name}': sentence is '{sentence}'; expected 1 to 90")
    return Clip(
        clip_id=f"nemo/{path.stem}",
        corpus="nemo",
        file=str(path),
        speaker=f"nemo:{speaker}",
        emotion=emotion,
        sex=sex,
        age=SPEAKERS[speaker][1],
        language="pl",
        source_label=label,
        sentence=sentence,
    )


def list_names(part: str) -> Iterator[str]:
    """Yield nothing: the published names follow no rule."""
    yield from ()


CORPUS = Corpus(
    name="nemo",
    title="nEMO",
    citation=(
        "Christop I (2024). nEMO: Dataset of Emotional Speech in Polish. Proc. LREC-COLING 2024; "
        "arXiv 2404.06292."
    ),
    licence="CC BY-NC-SA 4.0 (non-commercial)",
    url="GitHub and Hugging Face, amu-cai/nEMO",
    layout="files like samples/EB0_anger_17.wav",
    language="pl",
    n_speakers=9,
    n_clips=4_481,
    read_clip=read_clip,
    list_names=list_names,
    names_known=False,
)
