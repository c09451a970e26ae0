"""What makes a score weaker, or not comparable, in words."""

from __future__ import annotations

from affectus.evaluation.results import Evaluation

_FEW_CLIPS = 20  # in a class or group: its figure says little
_FEW_SPEAKERS = 10


def write_cautions(found: Evaluation) -> list[str]:
    """Say what a reader must know before the figures are compared with any others."""
    texts = []
    if found.protocol.get("leaky"):
        texts.append(
            "LEAKY: speakers or recordings of this side are in training, or in that of the "
            "encoder, too, or the model was chosen by it. The score says how well what is known is "
            "recognised; it must not be compared with speaker-independent ones."
        )
    if found.adapted:
        texts.append(
            "ADAPTED: the features of each speaker here were standardised by that speaker's own "
            "clips, without their labels. That takes many recordings of a person before the first "
            "answer; compare with adapted scores alone."
        )
    if found.side == "dev":
        texts.append(
            "These are dev clips: the epoch was chosen on them, so the score is optimistic."
        )
    if found.n_failed:
        texts.append(f"{found.n_failed:,} of {found.n_planned:,} clips got no answer.")
    empty = [c.label for c in found.classes if c.n == 0]
    if empty:
        texts.append(f"No clip is {', '.join(empty)}: UAR is the mean over the other classes.")
    few = [f"{c.label} ({c.n})" for c in found.classes if 0 < c.n < _FEW_CLIPS]
    if few:
        texts.append(f"Classes with fewer than {_FEW_CLIPS} clips: {', '.join(few)}.")
    if found.n_speakers == 0:
        texts.append("Speakers are not known: no interval can be given.")
    elif found.n_speakers < _FEW_SPEAKERS:
        people = "one speaker" if found.n_speakers == 1 else f"{found.n_speakers} speakers"
        none = found.uar.low is None
        interval = "no interval can be given" if none else "the interval itself is uncertain"
        texts.append(f"Only {people}: {interval}.")
    if found.uar.value > 0.995 and found.n_answered >= 50:
        texts.append("Nearly perfect. Real speech is not: look for a leak before believing it.")
    predicted = [c.label for c in found.classes if c.precision is not None]
    if len(predicted) == 1:
        texts.append(f"Every answer is {predicted[0]}: the model has learnt nothing.")
    elif found.control.n_reached > found.control.n_draws // 20:
        texts.append(
            f"No better than luck: {found.control.n_reached:,} of {found.control.n_draws:,} "
            f"shuffles of the labels reach this UAR."
        )
    return texts
