"""The service under load on this machine, server and client together: requests, overload, streams.

The model is a default crnn with fresh weights, another `--network` with such, or `--model`.
Processor time is of the server with all its children, and of this client, so that figures from a
busy machine can be read: what the machine would do alone is its cores divided by the milliseconds
of both.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
from numpy.typing import NDArray

from affectus.console import print_table
from affectus.media import write_audio
from affectus.synthesis import synthesize_voice
from benchmarks.fresh import write_model
from benchmarks.load import Outcome, post, send_closed, send_load, send_streams

_CLIENTS = 24  # in a closed loop: fewer than may wait, so that none is refused
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Server:
    """A running `affectus serve`."""

    def __init__(self, model: Path, port: int, *options: str) -> None:
        began = time.perf_counter()
        command = ["-m", "affectus", "serve", "--model", str(model), "--port", str(port)]
        self._process = subprocess.Popen(
            [sys.executable, *command, *options], stderr=subprocess.DEVNULL
        )
        self.port = port
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=1):
                    break
            except (URLError, OSError):
                if self._process.poll() is not None:
                    raise SystemExit("affectus serve has ended") from None
                time.sleep(0.01)
        self.seconds_to_ready = time.perf_counter() - began

    def processes(self) -> Iterator[int]:
        """Yield the server's number and its children's."""
        yield self._process.pid
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        yield from map(int, children.read_text().split())

    def cpu_seconds(self) -> float:
        """Processor time of the server and its children so far."""
        # Of the server also what children used that have ended.
        ends = ((process, 15 if process == self._process.pid else 13) for process in
                self.processes())  # fmt: skip
        return sum(_cpu_seconds(process, end) for process, end in ends)

    def front_seconds(self) -> float:
        """Processor time so far of the process that takes requests, alone."""
        return _cpu_seconds(self._process.pid, 13)

    def own_memory(self) -> list[float]:
        """Resident MB that no file lies behind, of the server and then of each child."""
        found = []
        for process in self.processes():
            status = Path(f"/proc/{process}/status").read_text()  # see proc(5); in KiB
            kinds = (status.partition(f"{kind}:")[2].split()[0] for kind in ("RssAnon", "RssShmem"))
            found.append(sum(map(int, kinds)) * 1024 / 1e6)
        return found

    def memory(self) -> float:
        """Resident MB of the server and its children."""
        pages = (int(Path(f"/proc/{p}/statm").read_text().split()[1]) for p in self.processes())
        return sum(pages) * _PAGE / 1e6

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            print("the server did not end within 30 s of SIGTERM")


def _cpu_seconds(process: int, end: int) -> float:
    """Return the processor time of a process: fields 14 to `end` + 2 of proc(5)'s stat."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return sum(map(int, fields[11:end])) / _TICK


@contextmanager
def served(model: Path, port: int, *options: str) -> Iterator[Server]:
    server = Server(model, port, *options)
    try:
        yield server
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, help="a model folder")
    parser.add_argument("--network", default="crnn", help="the network with fresh weights")
    parser.add_argument("--int8", action="store_true", help="that network in eight bits")
    parser.add_argument("--port", type=int, default=8799)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load")
    parser.add_argument("--only", choices=("requests", "overload", "streams"))
    parser.add_argument("--rates", default="100,250", help="requests a second, one after another")
    parser.add_argument("--streams", default="200,500,1000")
    parser.add_argument("--together", action="store_true", help="streams that all begin at once")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        model = options.model or Path(name) / "model"
        if options.model is None:
            write_model(model, options.network, int8=options.int8)
        recordings = write_recordings(Path(name))
        with served(model, options.port) as server:
            print(f"ready after {server.seconds_to_ready:.2f} s, {server.memory():.0f} MB; load "
                  f"average before {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")  # fmt: skip
            found = [("ready after, s", server.seconds_to_ready, "2")]
            if options.only in (None, "requests"):
                requests = [post(data, server.port) for data in recordings]
                found += show_requests(server, requests, options)
            if options.only in (None, "overload"):
                requests = [post(data, server.port) for data in recordings]
                found += show_overload(server, requests, options)
            if options.only in (None, "streams"):
                found += show_streams(server, options)
        print_table(("measured", "value", "goal"), found, title="in short")


def write_recordings(folder: Path) -> list[bytes]:
    """Return WAV files of 3 s of speech-like voices, 16 kHz."""
    found = []
    for speaker in range(1, 9):
        wave = np.zeros(48_000, np.float32)
        voice = synthesize_voice("happy", speaker=speaker, sample_rate=16_000)[: len(wave)]
        wave[: len(voice)] = voice
        write_audio(folder / "clip.wav", wave, 16_000)
        found.append((folder / "clip.wav").read_bytes())
    return found


def measure(server: Server, requests: list[bytes], rate: float, seconds: float) -> tuple[
    Outcome, float, float
]:  # fmt: skip
    """Return the outcome, and ms of processor a request of the server and of this client."""
    before, ours = server.cpu_seconds(), time.process_time()
    outcome = asyncio.run(send_load(server.port, requests, rate, seconds))
    n_requests = max(1, round(rate * seconds))
    return (
        outcome,
        (server.cpu_seconds() - before) / n_requests * 1e3,
        (time.process_time() - ours) / n_requests * 1e3,
    )


def show_requests(
    server: Server, requests: list[bytes], options: argparse.Namespace
) -> list[tuple[str, float, str]]:
    """Print a row for each load; return what is to be compared with a goal."""
    rows = []
    measure(server, requests, 50, 2.0)
    rates = [float(rate) for rate in options.rates.split(",")]
    top = asyncio.run(send_closed(server.port, requests, _CLIENTS, options.seconds))
    capacity = top.rate()
    for rate in [*rates, capacity * 0.5]:
        outcome, server_ms, client_ms = measure(server, requests, rate, options.seconds)
        rows.append((
            f"{rate:,.0f}/s", outcome.rate(), outcome.percentile(50), outcome.percentile(99),
            outcome.rate(503), outcome.percentile(99, 503), outcome.lost,
            float(np.percentile(outcome.lateness, 99)) * 1e3, server_ms, client_ms,
        ))  # fmt: skip
    columns = ("offered", "answered/s", "p50 ms", "p99 ms", "503/s", "503 p99 ms", "lost",
               "client late p99 ms", "server CPU ms", "client CPU ms")  # fmt: skip
    title = f"WAV of 3 s, {options.seconds:g} s each; {_CLIENTS} clients in turn: {capacity:.0f}/s"
    print_table(columns, rows, title=title)
    at_rate, calm = rows[len(rates) - 1], rows[-1]  # in the calm one, all are answered
    cores = os.cpu_count() or 1
    return [
        (f"answered/s, {_CLIENTS} clients in turn", capacity, "250"),
        (f"p99 ms at {rates[-1]:.0f}/s", at_rate[3], "80"),
        (f"answered/s at {rates[-1]:.0f}/s", at_rate[1], f"{rates[-1]:.0f}"),
        ("ms of processor an answer, server", calm[8], ""),
        ("ms of processor an answer, client", calm[9], ""),
        (f"answers/s that {cores} free cores would give", cores * 1e3 / (calm[8] + calm[9]),
         "250"),
    ]  # fmt: skip


def show_overload(
    server: Server, requests: list[bytes], options: argparse.Namespace
) -> list[tuple[str, float, str]]:
    """Print what stays of the useful rate at three times as many requests.

    Clients in turn and the overload are measured one after the other, three times, since the
    machine's own speed changes. This client's time is told: it takes it from the same processors.
    Where others take them, too, the share of answers for the same processor time says more.
    """
    rows = []
    asyncio.run(send_closed(server.port, requests, _CLIENTS, 2.0))

    def clocks() -> NDArray[np.float64]:
        return np.array([server.front_seconds(), time.process_time(), server.cpu_seconds()])

    for _ in range(3):
        began = clocks()
        top = asyncio.run(send_closed(server.port, requests, _CLIENTS, options.seconds))
        alone = clocks()
        outcome = asyncio.run(send_load(server.port, requests, top.rate() * 3, options.seconds))
        used = clocks() - alone
        n_answers, n_refused = (len(outcome.seconds.get(status, ())) for status in (200, 503))
        each = (alone - began) / len(top.seconds[200])
        refusing = used - n_answers * each
        rows.append((
            top.rate(), outcome.rate(), 100 * outcome.rate() / top.rate(),
            100 * n_answers * each[1:].sum() / used[1:].sum(), outcome.rate(503),
            outcome.percentile(99, 503), outcome.lost, *refusing[:2] / max(1, n_refused) * 1e3,
            used[2] / outcome.duration, used[1] / outcome.duration,
        ))  # fmt: skip
    columns = (
        "capacity/s", "answered/s", "kept %", "a CPU second %", "503/s", "503 p99 ms", "lost",
        "server ms a 503", "client ms a 503", "server, cores", "client, cores",
    )  # fmt: skip
    print_table(columns, rows, title="three times the capacity")
    middle = np.median(rows, axis=0)
    return [
        ("% kept at three times as many", float(middle[2]), "90"),
        ("the same, by answers a processor second", float(middle[3]), "90"),
        ("p99 ms of a 503", float(middle[5]), "20"),
    ]


def show_streams(server: Server, options: argparse.Namespace) -> list[tuple[str, float, str]]:
    """Print a row for each number of streams; return what is to be compared with a goal."""
    voice = synthesize_voice("angry", speaker=2, sample_rate=16_000)
    samples = (np.resize(voice, 160_000) * 32_767).astype("<i2").tobytes()
    rows = []
    for n_streams in map(int, options.streams.split(",")):
        before = np.array([server.front_seconds(), server.cpu_seconds(), time.process_time()])
        outcome = asyncio.run(send_streams(
            server.port, samples, n_streams=n_streams, seconds=max(10.0, options.seconds),
            frame_seconds=0.2 if n_streams <= 500 else 0.5, window=2.0, hop=2.0,
            apart=not options.together,
        ))  # fmt: skip
        used = np.array([server.front_seconds(), server.cpu_seconds(), time.process_time()])
        front, whole, client = (used - before) / max(1, len(outcome.seconds)) * 1e3
        n_missing = outcome.n_due - len(outcome.seconds)
        rows.append((
            n_streams, sum(outcome.refused.values()), outcome.n_due, n_missing, outcome.n_busy,
            outcome.n_lost, outcome.percentile(50), outcome.percentile(99), server.memory(),
            front, whole - front, client, float(np.percentile(outcome.lateness, 99)) * 1e3,
        ))  # fmt: skip
    columns = ("streams", "refused", "due", "missing", "busy", "lost", "p50 ms", "p99 ms", "MB",
               "front ms", "children ms", "client ms", "late p99 ms")  # fmt: skip
    how = "all at once" if options.together else "begun evenly over 2 s"
    title = f"streams of 16 kHz, {how}, an answer each 2 s; processor time an answer"
    print_table(columns, rows, title=title)
    found = []
    for row in rows:
        found.append((f"p99 ms of {row[0]} streams", row[7], "150" if row[0] <= 500 else ""))
        unserved = 100 * max(row[1] / row[0], (row[3] + row[4]) / max(1, row[2]))
        found.append((f"% refused, busy or missing of {row[0]}", unserved, "1"))
    return found


if __name__ == "__main__":
    main()
