"""Streams are taken as long as the answers of all of them come in time, and not beyond."""

import pytest

from affectus.server.counters import Counters
from affectus.server.pace import Pace
from affectus.server.replies import RequestError
from affectus.server.settings import Settings
from affectus.server.streams import Streams


def test_answers_are_promised_for_seven_tenths_of_the_childrens_time():
    pace = Pace()
    assert pace.allows(1e9, 1)  # nothing is known yet
    pace.learn(0.005)
    assert pace.allows(279, 2) and not pace.allows(281, 2)  # 0.7 · 2 / 5 ms
    assert pace.allows(139, 1) and not pace.allows(141, 1)


def test_the_pace_follows_the_machine_and_not_one_hiccup():
    pace = Pace()
    pace.learn(0.005)
    pace.learn(0.5)
    assert pace.seconds == pytest.approx(0.005 + 0.02 * 0.495)
    for _ in range(300):
        pace.learn(0.02)
    assert pace.seconds == pytest.approx(0.02, rel=0.02)


class Pool:
    behind, n_ready = False, 2

    def __init__(self, most):
        self.most = most

    def can_keep(self, n_answers):
        return n_answers <= self.most


@pytest.mark.parametrize(("most", "taken"), [(10, 10), (4.5, 4), (0, 2)])
def test_a_stream_that_would_make_others_late_is_refused(most, taken):
    counters = Counters()
    streams = Streams(Settings({}), Pool(most), counters)
    for n_open in range(taken):
        streams._check_room(1.0)
        counters.n_streams, streams._n_answers = n_open + 1, n_open + 1.0
    with pytest.raises(RequestError, match="too many streams already"):
        streams._check_room(1.0)
