"""What ended connections leave is freed soon, not once there is much of it."""

import asyncio
import gc
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
