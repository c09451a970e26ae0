"""The same tasks on a Ray cluster; Ray itself is replaced where it is not what is tested."""

import importlib.util
import sys
from types import ModuleType

import pytest

from affectus.cluster import run_on_ray
from affectus.errors import ExtractionError


class RayError(Exception):
    pass


@pytest.fixture
def ray(monkeypatch):
    """A Ray of one process, that does a task when it is asked for its result."""
    module, exceptions = ModuleType("ray"), ModuleType("ray.exceptions")
    module.started, module.cancelled = [], []
    exceptions.RayError = RayError

    class Remote:
        def __init__(self, work):
            self.work = work

        def remote(self, task):
            return self.work, task

    def init(address, **options):
        module.started.append(address)

    module.init = init
    module.remote = lambda **options: Remote
    module.wait = lambda waiting: (waiting[-1:], waiting[:-1])  # the last is ready first
    module.get = lambda pair: pair[0](pair[1])
    module.cancel = lambda pair, force: module.cancelled.append(pair[1])
    monkeypatch.setitem(sys.modules, "ray", module)
    monkeypatch.setitem(sys.modules, "ray.exceptions", exceptions)
    return module


def double(task):
    if task == "lost":
        raise RayError("The node died.\nMore about it.")
    return 2 * task


def test_every_task_is_done_in_the_order_in_which_they_are_ready(ray):
    assert list(run_on_ray([1, 2, 3], double, address="a:1")) == [6, 4, 2]
    assert (ray.started, ray.cancelled) == (["a:1"], [])


def test_no_tasks_need_no_work(ray):
    assert list(run_on_ray([], double)) == []


def test_what_is_not_wanted_any_more_is_cancelled(ray):
    results = run_on_ray([1, 2, 3], double)
    assert next(results) == 6
    results.close()
    assert sorted(ray.cancelled) == [1, 2]


def test_a_task_that_no_node_can_do_is_one_line(ray):
    with pytest.raises(ExtractionError) as caught:
        list(run_on_ray([1, "lost"], double))
    assert str(caught.value) == (
        "ExtractionError: Ray: a task could not be done (The node died.); expected it done. What "
        "was committed is safe: run the command again."
    )


def test_a_cluster_that_cannot_be_reached_is_one_line(ray):
    def refuse(address, **options):
        raise ConnectionError("Could not find any running Ray instance.\nLong advice.")

    ray.init = refuse
    with pytest.raises(ExtractionError) as caught:
        list(run_on_ray([1], double, address="10.0.0.1:6379"))
    assert str(caught.value) == (
        "ExtractionError: Ray at '10.0.0.1:6379': Could not find any running Ray instance.; "
        "expected a cluster. Start one with: ray start --head"
    )


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_extra_is_named(tmp_path, capsys):
    from affectus.cli import run

    table = tmp_path / "own.csv"
    table.write_text("file,emotion,speaker\na.wav,happy,1\n")
    (tmp_path / "a.wav").write_bytes(b"x")
    manifest = str(tmp_path / "m.csv")
    assert run(["import", "table", str(table), "-o", manifest]) == 0
    assert run(["extract", manifest, "--store", str(tmp_path / "s"), "--cluster", "ray"]) == 2
    assert "pip install 'affectus[ray]'" in capsys.readouterr().err
