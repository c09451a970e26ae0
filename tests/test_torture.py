"""Short versions of `make torture`: the fault injections, and that they can find a fault."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from torture.corrupt import torture_by_corruption
from torture.kills import torture_by_kills
from torture.operations import torture_operations
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
