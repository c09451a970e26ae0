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

from affectus.workers import Loss, WorkerError, work_through


class Sum(NamedTuple):
    """Items that are added up; some of them harm the child that takes them."""

    items: tuple[object, ...]
    without: tuple[int, ...] = ()
    losses: tuple[Loss, ...] = ()


def add(task, take):
    total = 0
    for number, item in enumerate(task.items):
        if number in task.without:
            continue
        take(number)
        if callable(item):
            item()
        else:
            total += item
    return total, task.losses


def leave_out(task, loss):
    """Give every item one more try."""
    losses = (*task.losses, loss)
    again = sum(past.item == loss.item for past in losses) < 2
    return task._replace(losses=losses, without=task.without + (() if again else (loss.item,)))


def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


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


def run(tasks, workers=2, **options):
    return list(work_through(tasks, add, workers=workers, revise=leave_out, **options))


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
    (losses,) = [losses for _, losses in answers if losses]
    assert losses == (Loss(1, False, words), Loss(1, False, words))
    assert time.monotonic() - began < 20  # both deaths were noticed, not waited out


def test_a_death_is_noticed_within_two_seconds():
    heard = []

    def revise(task, loss):
        heard.append(time.monotonic())
        return task._replace(without=(0,))

    began = []
    tasks = [Sum((kill_itself, 1))]
    options = {"revise": revise, "on_item": lambda: began.append(time.monotonic())}
    list(work_through(tasks, add, workers=1, **options))
    assert heard[0] - began[0] < 2


def test_a_child_that_hangs_is_ended_at_the_limit():
    began = time.monotonic()
    answers = run([Sum((1, hang, 2)), Sum((4,))], seconds_per_item=0.5)
    assert sorted(total for total, _ in answers) == [3, 4]
    (losses,) = [losses for _, losses in answers if losses]
    assert losses == (Loss(1, True, "took more than 0.5 s"),) * 2
    assert time.monotonic() - began < 30


def test_memory_is_limited():
    assert run([Sum((1, take_memory, 2))], memory_bytes=4 * 2**30) == [(3, ())]


def test_what_the_work_raises_is_raised_here_and_no_child_is_left():
    with pytest.raises(OSError, match="No space left"):
        run([Sum((raise_error,)), Sum((hang,))])
    assert multiprocessing.active_children() == []


def test_children_that_cannot_begin_are_an_error():
    with pytest.raises(WorkerError, match="its worker left with exit code"):
        list(work_through([Sum((1,))], _never, workers=1, revise=leave_out))


def _never(task, take):
    os._exit(3)


def test_the_caller_may_leave_early_and_no_child_is_left():
    answers = work_through(
        [Sum((1,)), Sum((hang,)), Sum((hang,))], add, workers=3, revise=leave_out
    )
    assert next(answers) == (1, ())
    answers.close()
    assert multiprocessing.active_children() == []


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
    assert done.stdout == "once\n[(3, ())]\n"


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
    list(work_through(tasks, test_workers.add, workers=2, revise=test_workers.leave_out))
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
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
