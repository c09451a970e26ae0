"""How many live answers a second the children can promise, learnt from how long theirs took.

A stream too many makes the answers of all streams late; refused at its beginning, it costs nobody
else anything. 500 streams on a busy machine: without this all had their answers after six seconds.
"""

from __future__ import annotations

_SHARE = 0.7  # of the children's time: the process in front, clients and bad luck need the rest
_NEWEST = 0.02  # its weight in the mean


class Pace:
    """The mean time of a stream's answer, the older the less it counts."""

    def __init__(self) -> None:
        self.seconds: float | None = None  # none was given yet

    def learn(self, seconds: float) -> None:
        """Take in how long a child took for an answer."""
        before = seconds if self.seconds is None else self.seconds
        self.seconds = before + _NEWEST * (seconds - before)

    def allows(self, n_answers: float, n_children: int) -> bool:
        """Whether so many children can give so many answers a second, as far as is known."""
        return self.seconds is None or n_answers * self.seconds <= _SHARE * n_children
