"""How often does a model change its mind over what should not matter?

    python experiments/robustness.py FOLDER_OF_CLIPS [--model voice] [--clips 200]

Real clips, drawn evenly from the sorted folder, are answered as they are, at their own rate, and
after each of `CHANGES`. The share whose best label changes is printed; the aim is 10 % at most.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from changes import CHANGES, WORDS

from affectus.console import print_table
from affectus.media import list_media, read_audio
from affectus.predictor import load_model


def main() -> None:
    """Print a row a change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="voice")
    parser.add_argument("--clips", type=int, default=200)
    given = parser.parse_args()
    model = load_model(given.model, speech="off")
    files = list_media(given.folder)
    files = files[:: max(1, len(files) // given.clips)][: given.clips]
    recordings = [read_audio(file, sample_rate=None) for file in files]
    pairs = [(found.waveform, found.sample_rate) for found in recordings]
    plain = best(model.predict_many(pairs, abstain=0))
    rows = []
    for name, change in CHANGES.items():
        changed = [(change(wave, rate), rate) for wave, rate in pairs]
        answers = best(model.predict_many(changed, abstain=0))
        share = np.mean([one != other for one, other in zip(plain, answers, strict=True)])
        rows.append((WORDS[name].format(rate=recordings[0].sample_rate), f"{share:.1%}"))
    print_table(("change", "other best label"), rows, title=f"{len(files)} clips, {given.model}")


def best(answers: object) -> list[str | None]:
    """Return the emotion of each answer."""
    return [answer.emotion for answer in answers]  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
