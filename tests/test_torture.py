"""Short versions of `make torture`: the fault injections, and that they can find a fault."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import load
from torture.__main__ import main
from torture.corrupt import torture_by_corruption
from torture.kills import torture_by_kills
from torture.operations import torture_operations
from torture.soak import find_slope, torture_service
from torture.training import torture_training_by_kills


def test_killed_at_any_moment_a_run_ends_with_the_same_store(tmp_path):
    result = torture_by_kills(tmp_path, n_kills=4, n_clips=600)
    assert result["kills"] >= 4
    assert result["faults"] == []


def test_an_index_that_runs_ahead_of_its_shards_is_found_out(tmp_path):
    # The negative control: without it, the tests above would prove nothing.
    result = torture_by_kills(
        tmp_path, n_kills=80, n_clips=1_500, program=("-m", "torture.careless")
    )
    assert result["faults"] != []


@pytest.mark.parametrize("what", ["kill", "ENOSPC", "EIO"])
def test_an_operation_may_be_the_last_or_fail(tmp_path, what):
    result = torture_operations(tmp_path, n_clips=30, what=what, every=4)
    assert result["operations"] >= 15
    assert result["faults"] == []


def test_a_training_that_is_killed_ends_with_the_same_weights(tmp_path):
    result = torture_training_by_kills(tmp_path, n_kills=2, epochs=12)
    assert result["kills"] >= 2 and result["inside a fold"] >= 1
    assert result["faults"] == []


def test_twelve_kinds_of_damage_fail_alone_each_with_its_code(tmp_path):
    result = torture_by_corruption(tmp_path, n_clips=260, n_damaged=12)
    assert (result["equal"], result["faults"]) == (248, [])


def test_a_service_under_mixed_load_answers_as_at_first(tmp_path):
    result = torture_service(tmp_path, seconds=6, rate=10, round_seconds=3)
    assert result["replies"][200] > 10 and result["stream answers"] > 0
    assert result["replies to films"][200] > 0
    # Memory settles in minutes: `make torture` judges it.
    assert [fault for fault in result["faults"] if "memory" not in fault] == []


@pytest.mark.parametrize(
    ("closes", "how"), [(True, "closed"), (False, "no reply within 0.2 s of the end")]
)
def test_requests_without_a_reply_are_counted_once_and_it_is_told_when_they_were_due(
    monkeypatch, closes, how
):
    monkeypatch.setattr(load, "_PATIENCE", 0.2)

    async def be_asked(reader, writer):
        n_asked = 0
        while await reader.readuntil(b"\r\n\r\n"):
            n_asked += 1
            if n_asked == 1:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            elif closes:
                writer.close()
                return

    async def run():
        server = await asyncio.start_server(be_asked, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            outcome = await load.send_load(port, [load.post(b"", port)], 10.0, 0.2)
            await asyncio.sleep(0.05)  # for what the client closed itself
        return outcome

    outcome = asyncio.run(run())
    assert len(outcome.seconds[200]) == 1
    ((due, found),) = outcome.losses  # of the second request, due 0.1 s after the first
    assert (found, outcome.lost) == (how, 1)
    assert due == pytest.approx(0.1, abs=0.001)


def test_the_slope_of_memory_is_that_of_the_line_and_not_of_what_strays():
    stats = pytest.importorskip("scipy.stats")
    line = [(float(t), 100 + 0.5 * t + (40 if t in (3, 17) else 0) + t % 3) for t in range(30)]
    slope, highest = find_slope(line)
    expected = stats.theilslopes([y for _, y in line], [x for x, _ in line], 0.95)
    assert slope == pytest.approx(expected.slope) == pytest.approx(0.5, abs=0.05)
    assert highest == pytest.approx(expected.high_slope, abs=0.01)


def test_an_unknown_torture_is_refused_in_a_line_with_the_known_ones(capsys):
    assert main(["kills", "kilns"]) == 2
    said = capsys.readouterr().out
    assert said.startswith("torture 'kilns': not known; expected one of kills, operations,")
    assert said.count("\n") == 1
