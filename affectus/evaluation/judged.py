"""What an evaluation leaves in a run's folder, and how it is found again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from affectus.errors import EvaluationError
from affectus.evaluation.predictions import Predictions
from affectus.evaluation.results import Evaluation
from affectus.files import decode_json


def judged_name(side: str, *, adapted: bool = False) -> str:
    """Return what follows `evaluation_`, `predictions_` and `report_` in a run's folder."""
    return f"{side}_adapted" if adapted else side


def read_evaluation(path: Path) -> Evaluation:
    """Read an evaluation that was written as JSON. Raises EvaluationError if it is none."""
    try:
        found: Evaluation = decode_json(path.read_bytes(), Evaluation)
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f"{path}: {error}; expected what 'affectus evaluate' writes. Evaluate again."
        ) from None
    return found


def read_judged(places: Sequence[Path], name: str) -> tuple[dict[str, Predictions], list[str]]:
    """Return the predictions of runs that were evaluated, by name, and what to know of them.

    `places` are runs' folders, or files of predictions. `name` is `judged_name` of the side.

    Raises EvaluationError for a run that was not evaluated so, and for two of one name.
    """
    named: dict[str, Predictions] = {}
    cautions = []
    for place in places:
        path = place / f"predictions_{name}.csv" if place.is_dir() else place
        if place.is_dir() and not path.is_file():
            side = name.partition("_")[0]
            how = " --adapted" if name.endswith("_adapted") else ""
            raise EvaluationError(
                f"{place}: no {path.name}; expected a run that was evaluated. Run: affectus "
                f"evaluate {place} --on {side}{how}"
            )
        title = place.resolve().name if place.is_dir() else place.stem
        if title in named:
            raise EvaluationError(f"{place}: a second '{title}'; expected names that differ.")
        named[title] = Predictions.read(path)
        record = place / f"evaluation_{name}.json"
        if place.is_dir() and record.is_file():
            found = read_evaluation(record)
            if found.protocol.get("leaky"):
                cautions.append(
                    f"{title} is LEAKY ({found.protocol.get('name')}): what it gains over the "
                    f"others may be the leak."
                )
            if found.adapted:
                cautions.append(f"{title} is adapted: it knew the speakers' other clips.")
    return named, cautions
