"""One row of the table: a recording, or a stretch of one, with what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec


class Clip(msgspec.Struct, frozen=True, gc=False):
    """One recording, or one stretch of a recording, with what is known of it.

    `clip_id` is unique in a manifest and begins with the corpus; so does `speaker` ('ravdess:12'),
    so that speakers of two corpora never share a name. `file` is where the recording lies.
    `start` and `end` are seconds; an `end` of None means the end of the file. `emotion` is
    canonical, or None where it is not known; `source_label` is what the corpus calls it.

    `take` names the performance that was recorded, where several clips may come of one: the sound
    file and the video of it, a copy with noise and what it was made from. Clips of one take are
    never on two sides of a split. `split` is a side (train, dev, test) that came with the table.
    `votes` counts raters by the emotion they chose. `sha256` is the hash of the file's bytes at
    import.
    """

    clip_id: str
    corpus: str
    file: str
    speaker: str = ""
    emotion: str | None = None
    start: float = 0.0
    end: float | None = None
    sex: str = ""
    age: str = ""
    ethnicity: str = ""
    language: str = ""
    source_label: str = ""
    intensity: str = ""
    sentence: str = ""
    repetition: str = ""
    take: str = ""
    split: str = ""
    votes: Mapping[str, int] | None = None
    channels: tuple[str, ...] = ("voice",)
    sha256: str = ""
    fault: str = ""

    @property
    def path(self) -> Path:
        """Where the recording lies."""
        return Path(self.file)

    @property
    def content_key(self) -> str:
        """What identifies the clip's content: the file's hash, and the stretch taken from it."""
        if self.start == 0.0 and self.end is None:
            return self.sha256
        start, end = float(self.start) or 0.0, None if self.end is None else float(self.end)
        return f"{self.sha256}:{start!r}-{end!r}"  # -0.0 is 0.0
