"""Worker processes: whatever a child dies of, the item is known, and everything else is done."""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from affectus.workers import LostItemError, WorkerError, work_through


class Sum(NamedTuple):
    """Items that are added up; some of them harm the child that takes them."""

    items: tuple[object, ...]


def add(task, take):
    total = 0
    lost = []
    for number, item in enumerate(task.items):
        try:
            take(number)
        except LostItemError as error:
            lost.append((number, error.code, error.text))
            continue
        if callable(item):
            item()
        else:
            total += item
    return total, lost


def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


class FirstTime(NamedTuple):
    """Kills the child that takes it first."""

    place: str

    def __call__(self):
        if not Path(self.place).exists():
            Path(self.place).touch()
            kill_itself()


def segfault():
    ctypes.string_at(0)


def leave():
    os._exit(7)


def hang():
    time.sleep(600)


def take_memory():
    try:
        bytearray(8 * 2**30)
    except MemoryError:
        return
    raise AssertionError("8 GiB were given")


def raise_error():
    raise OSError(28, "No space left on device")


def count_threads(task, take):
    return os.environ.get("OPENBLAS_NUM_THREADS")


def run(tasks, workers=2, **options):
    return list(work_through(tasks, add, workers=workers, **options))


def test_every_task_is_done_once():
    tasks = [Sum((n, 1, 2)) for n in range(50)]
    assert sorted(total for total, _ in run(tasks)) == [n + 3 for n in range(50)]


def test_no_tasks_start_no_child():
    assert run([]) == []
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (kill_itself, "its worker was ended by SIGKILL (out of memory?)"),
        (segfault, "its worker was ended by SIGSEGV"),
        (leave, "its worker left with exit code 7"),
    ],
)
def test_a_child_that_dies_costs_one_item_after_two_tries(harm, words):
    began = time.monotonic()
    tasks = [Sum((n,)) for n in range(10)] + [Sum((100, harm, 200))]
    answers = run(tasks)
    assert sorted(total for total, _ in answers) == [*range(10), 300]
    (lost,) = [lost for _, lost in answers if lost]
    assert lost == [(1, "E1603", f"the decoder crashed: {words}, 2 times")]
    assert time.monotonic() - began < 20  # both deaths were noticed, not waited out


def test_an_item_gets_a_second_try(tmp_path):
    assert run([Sum((1, FirstTime(str(tmp_path / "been here")), 2))]) == [(3, [])]


def test_items_of_one_task_are_given_up_each_after_its_own_two_tries():
    ((total, lost),) = run([Sum((1, kill_itself, 2, leave, 4))])
    assert total == 7
    assert [(item, code) for item, code, _ in lost] == [(1, "E1603"), (3, "E1603")]


def test_a_death_is_noticed_within_two_seconds():
    taken = []
    run([Sum((kill_itself, 1))], workers=1, on_item=lambda: taken.append(time.monotonic()))
    assert len(taken) == 3  # once, again, and the item after it
    assert taken[1] - taken[0] < 2


def test_a_child_that_hangs_is_ended_at_the_limit():
    began = time.monotonic()
    answers = run([Sum((1, hang, 2)), Sum((4,))], seconds_per_item=0.5)
    assert sorted(total for total, _ in answers) == [3, 4]
    (lost,) = [lost for _, lost in answers if lost]
    assert lost == [(1, "E1604", "took more than 0.5 s, 2 times")]
    assert time.monotonic() - began < 30


def test_the_time_of_an_item_is_not_that_of_a_start():
    # A child may have to load a model first; on a busy machine that alone takes a second.
    assert list(work_through([1], begin_late, workers=1, seconds_per_item=0.2)) == [1]


def begin_late(task, take):
    time.sleep(0.6)
    take(0)
    return task


def test_memory_is_limited():
    assert run([Sum((1, take_memory, 2))], memory_bytes=4 * 2**30) == [(3, [])]


def test_without_workers_all_is_done_in_this_process():
    taken = []
    tasks = [Sum((1, 2)), Sum((lambda: taken.append("here"), 4))]  # which no child could be given
    answers = run(tasks, workers=0, on_item=lambda: taken.append("item"))
    assert answers == [(3, []), (4, [])]
    assert taken == ["item", "item", "item", "here", "item"]


def test_what_the_work_raises_is_raised_here_and_no_child_is_left():
    with pytest.raises(OSError, match="No space left"):
        run([Sum((raise_error,)), Sum((hang,))])
    assert multiprocessing.active_children() == []


def test_children_that_cannot_begin_are_an_error():
    with pytest.raises(WorkerError) as caught:
        list(work_through([Sum((1,))], _never, workers=1))
    assert str(caught.value) == (
        "worker processes die before they begin (its worker left with exit code 3); expected them "
        "to work. Take fewer --workers, or --workers 0 to see what happens."
    )


def _never(task, take):
    os._exit(3)


def test_the_caller_may_leave_early_and_no_child_is_left():
    answers = work_through([Sum((1,)), Sum((hang,)), Sum((hang,))], add, workers=3)
    assert next(answers) == (1, [])
    answers.close()
    assert multiprocessing.active_children() == []


def test_a_child_that_dies_while_it_has_nothing_to_do_costs_nothing(tmp_path):
    # Killed after it was looked at and before it is given the last task.
    idle = []

    def kill_idle():
        if idle:
            os.kill(idle[0], signal.SIGKILL)
            while _alive(idle[0]):
                time.sleep(0.001)
            idle.clear()

    tasks = [(1, tmp_path), (100, tmp_path), (2, tmp_path)]
    answers = work_through(tasks, take_naps, workers=2, on_item=kill_idle)
    first = next(answers)
    while len(list(tmp_path.iterdir())) < 2:  # the other has taken an item; `on_item` will hear
        time.sleep(0.01)
    idle.append(first)
    assert len([first, *answers]) == 3
    assert not idle


def take_naps(task, take):
    n_items, folder = task
    for item in range(n_items):
        take(item)
        (folder / str(os.getpid())).touch()
        time.sleep(0.01)
    return os.getpid()


def test_a_script_need_not_guard_its_main(tmp_path):
    # Else it would run again in every child: "An attempt has been made to start a new process".
    script = tmp_path / "script.py"
    script.write_text(f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_workers
print("once")
print(test_workers.run([test_workers.Sum((1, 2))]))
""")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "once\n[(3, [])]\n"


def test_tasks_are_asked_for_as_children_are_free():
    asked = []

    def tasks():
        for number in range(100):
            asked.append(number)
            yield Sum((number,))

    answers = work_through(tasks(), add, workers=2)
    next(answers)
    assert len(asked) <= 4
    assert len(list(answers)) == 99


def list_blocked(task, take):
    return [signal.Signals(number).name for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())]


def test_a_child_does_not_hear_ctrl_c_even_while_it_loads():
    # The terminal sends SIGINT to all; what a child inherits as blocked holds from its first step.
    assert list(work_through([0], list_blocked, workers=1)) == [["SIGINT"]]
    assert list_blocked(0, None) == []


def test_numpy_has_one_thread_in_each_child(monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    script = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_workers
from affectus.workers import work_through
if __name__ == "__main__":
    print(list(work_through([0], test_workers.count_threads, workers=1)))
    print(os.environ.get("OPENBLAS_NUM_THREADS"))
"""
    done = subprocess.check_output([sys.executable, "-c", script], text=True)
    assert done.split() == ["['1']", "None"]


def test_children_leave_when_the_parent_is_killed(tmp_path):
    marks = tmp_path / "pids"
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from affectus.workers import work_through
import test_workers
if __name__ == "__main__":
    os.environ["MARKS"] = {str(marks)!r}
    tasks = [test_workers.Sum((test_workers.mark, test_workers.hang))] * 2
    list(work_through(tasks, test_workers.add, workers=2))
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    parent = subprocess.Popen([sys.executable, str(script)])
    pids = []
    for _ in range(600):
        pids = marks.read_text().split() if marks.exists() else []
        if len(pids) == 2:
            break
        time.sleep(0.05)
    assert len(pids) == 2
    parent.kill()
    parent.wait()
    for _ in range(100):
        if not any(_alive(int(pid)) for pid in pids):
            return
        time.sleep(0.05)
    raise AssertionError("a child outlives its parent by 5 s")


def mark():
    with Path(os.environ["MARKS"]).open("a") as file:
        file.write(f"{os.getpid()}\n")


def _alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or after
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
