"""Streams are taken as long as the answers of all of them come in time, and not beyond."""

import asyncio
import time

import pytest

from affectus.server.children import Child, Job
from affectus.server.counters import Counters
from affectus.server.messages import Answer, Feed
from affectus.server.pace import Pace
from affectus.server.pool import Pool
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


class Room:
    behind, n_ready = False, 2

    def __init__(self, most):
        self.most = most

    def can_keep(self, n_answers):
        return n_answers <= self.most


@pytest.mark.parametrize(("most", "taken"), [(10, 10), (4.5, 4), (0, 2)])
def test_a_stream_that_would_make_others_late_is_refused(most, taken):
    counters = Counters()
    streams = Streams(Settings({}), Room(most), counters)
    for n_open in range(taken):
        streams._check_room(1.0)
        counters.n_streams, streams._n_answers = n_open + 1, n_open + 1.0
    with pytest.raises(RequestError, match="too many streams already"):
        streams._check_room(1.0)


def test_samples_that_bring_no_answer_say_nothing_of_how_long_one_takes():
    # A stream's last samples are too few for a window: done at once, and no answer.
    async def hear(*bodies):
        pool = Pool({}, n_children=1, max_waiting=1, max_seconds=1.0, memory_bytes=1)
        child = Child(pool, None, None, ready=True)
        pool._children.append(child)
        for number, body in enumerate(bodies):
            future = asyncio.get_running_loop().create_future()
            given = time.monotonic() - (0.0 if body == b"[]" else 1.0)
            child.answered = 0.0
            child.jobs[number] = Job(Feed(number, 1), b"", future, given=given)
            pool.hear(child, Answer(number), body)
            assert await future == body
        return pool

    assert asyncio.run(hear(b"[]")).can_keep(1e9)  # still nothing is known
    pool = asyncio.run(hear(b"[{}]", *[b"[]"] * 50))
    assert pool.can_keep(0.5) and not pool.can_keep(0.71)  # 0.7 s, by one second each
