"""Which published figures a score may be held against."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

import msgspec

from affectus.evaluation import Evaluation


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of published.toml; see there."""

    corpus: str
    labels: int
    metric: str
    value: float
    system: str
    protocol: str
    source: str
    seen: str
    low: float | None = None
    high: float | None = None
    apart: bool = True
    adapted: bool = False


def find_published(found: Evaluation) -> list[Published]:
    """Return the figures for the same corpus and as many labels, those most alike first.

    A score of unknown speakers is held against such scores alone, and a leaky one against leaky
    ones. Adapted and strict figures are both given, for each other's sake: the same kind first.
    """
    if len(found.corpora) != 1:
        return []
    (corpus,) = found.corpora
    leaky = bool(found.protocol.get("leaky"))
    same = [
        figure
        for figure in _figures()
        if figure.corpus == corpus
        and figure.labels == len(found.labels) == found.n_present
        and figure.apart != leaky
    ]
    return sorted(same, key=lambda figure: figure.adapted != found.adapted)


@cache
def _figures() -> tuple[Published, ...]:
    text = files("affectus.report").joinpath("published.toml").read_text(encoding="utf-8")
    return tuple(msgspec.convert(tomllib.loads(text)["figure"], list[Published]))
