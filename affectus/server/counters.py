"""What the service counts, and how it tells: Prometheus's text format, nothing of any client."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

_BOUNDS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24)  # s


class Counters:
    """Counts since the start."""

    def __init__(self) -> None:
        self.requests: Counter[int] = Counter()  # by status
        self.refused: Counter[str] = Counter()  # by code
        self.n_answers = self.n_stream_answers = self.n_busy = 0
        self.n_streams = 0  # open now
        self._seconds = [0] * (len(_BOUNDS) + 1)
        self._sum = 0.0

    def took(self, seconds: float) -> None:
        """Note how long an answer took."""
        self.n_answers += 1
        self._sum += seconds
        self._seconds[bisect_left(_BOUNDS, seconds)] += 1

    def render(self, gauges: dict[str, float]) -> str:
        """Return all counts as text, and the given values of this moment.

        **Source:** prometheus.io, Exposition formats, text-based format 0.0.4.
        """
        lines = list(_series("requests_total", "counter", "status", self.requests.items()))
        lines += _series("refused_total", "counter", "code", self.refused.items())
        counts = {
            "answers_total": self.n_answers,
            "stream_answers_total": self.n_stream_answers,
            "stream_busy_total": self.n_busy,
        }
        for name, count in counts.items():
            lines += _series(name, "counter", "", [("", count)])
        for name, value in {"streams": self.n_streams, **gauges}.items():
            lines += _series(name, "gauge", "", [("", value)])
        lines.append("# TYPE affectus_answer_seconds histogram")
        total = 0
        for bound, n_answers in zip((*_BOUNDS, "+Inf"), self._seconds, strict=True):
            total += n_answers
            lines.append(f'affectus_answer_seconds_bucket{{le="{bound}"}} {total}')
        lines += [f"affectus_answer_seconds_sum {self._sum:.6f}"]
        lines += [f"affectus_answer_seconds_count {total}"]
        return "\n".join(lines) + "\n"


def _series(
    name: str, kind: str, label: str, values: Iterable[tuple[object, float]]
) -> Iterable[str]:
    yield f"# TYPE affectus_{name} {kind}"
    for key, value in values:
        shown = f'{{{label}="{key}"}}' if label else ""
        yield f"affectus_{name}{shown} {value:g}"
