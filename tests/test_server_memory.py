"""What ended connections leave is freed soon, not once there is much of it."""

import asyncio
import gc
import time
import weakref

from affectus.server import serving


class Ended:
    """Like a connection and its protocol: two that hold each other."""

    def __init__(self):
        self.other = Ended.__new__(Ended)
        self.other.other = self


def test_cycles_of_ended_connections_are_freed_and_what_was_there_before_is_not_looked_at(monkeypatch):  # fmt: skip  # noqa: E501
    monkeypatch.setattr(serving, "_COLLECT_SECONDS", 0.01)

    async def run():
        collecting = asyncio.create_task(serving.collect_ended())
        await asyncio.sleep(0)
        frozen = gc.get_freeze_count()
        ended = weakref.ref(Ended())
        gc.disable()  # Python's own looks
        try:
            for _ in range(200):
                await asyncio.sleep(0.01)
                if ended() is None:
                    break
        finally:
            gc.enable()
            collecting.cancel()
            await asyncio.wait([collecting])
        return frozen, ended()

    frozen, ended = asyncio.run(run())
    assert ended is None
    assert frozen > 10_000 and gc.get_freeze_count() == 0


def test_looks_that_take_long_are_few(monkeypatch):
    looks = []

    def look_long():
        looks.append(time.monotonic())
        time.sleep(0.005)

    monkeypatch.setattr(serving, "_COLLECT_SECONDS", 0.01)
    monkeypatch.setattr(serving, "_COLLECT_SHARE", 0.05)
    monkeypatch.setattr(serving.gc, "collect", look_long)

    async def run():
        collecting = asyncio.create_task(serving.collect_ended())
        await asyncio.sleep(0.5)
        collecting.cancel()
        await asyncio.wait([collecting])

    asyncio.run(run())
    # 5 ms are 5 % of 0.1 s; each hundredth of a second it would be dozens.
    assert 1 <= len(looks) <= 5
