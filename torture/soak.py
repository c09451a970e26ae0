"""The service under mixed load for long: its memory must stay, its answers must not change.

    python -m torture.soak --seconds 1800 --rate 20

Two models, of voices and of films. Good recordings, bad ones, short films, clients that leave in
the middle, live streams of both models that come and go; every round the same recordings and a film
are asked about once more, and must be answered by the same bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import numpy as np

from affectus.media import FRAME_RATE, write_video
from affectus.synthesis import synthesize_voice
from affectus.synthesis.face import draw_faces
from benchmarks.fresh import write_film_model, write_model
from benchmarks.load import Outcome, StreamOutcome, post, send_load, send_streams
from benchmarks.service import Server, served, write_recordings

_GOOD, _BAD, _LEAVING = 7, 2, 1  # of ten requests
_FILMS = 0.03  # for each of them
_FILM_SECONDS, _FILM_SIZE = 2, (144, 192)
_RECORDING, _FILM = "/v1/predict?name=golden", "/v1/predict?name=golden&model=film"
_MB_PER_10_MINUTES = 1.0
_SETTLED = 1 / 6  # of the time, after which memory is judged


def torture_service(
    folder: Path, seconds: float, rate: float = 20.0, *, round_seconds: float = 10.0
) -> dict[str, object]:
    """Load a service for so long; return the figures, and under "faults" what was not as it should.

    `rate` is requests a second, besides which films come. Memory is what the server and its child
    hold of their own, at each round's end: pages of programs and networks, which the system gives
    and takes as it likes, are left out.
    """
    write_model(folder / "model")
    write_film_model(folder / "film")
    options = ("--model", str(folder / "film"), "--workers", "1")
    with served(folder / "model", _free_port(), *options) as server:
        films = [_write_film(folder / "film.mp4", speaker) for speaker in (1, 2)]
        return _load(server, write_recordings(folder), films, seconds, rate, round_seconds)


def _write_film(path: Path, speaker: int) -> bytes:
    """Return a film of somebody drawn who speaks."""
    n_frames = round(_FILM_SECONDS * FRAME_RATE)
    drawn = draw_faces("happy", n_frames, speaker=speaker, size=_FILM_SIZE)
    voice = synthesize_voice("happy", speaker=speaker, sample_rate=16_000)
    write_video(path, drawn, voice[: _FILM_SECONDS * 16_000], sample_rate=16_000)
    return path.read_bytes()


def _load(
    server: Server,
    recordings: list[bytes],
    films: list[bytes],
    seconds: float,
    rate: float,
    round_seconds: float,
) -> dict[str, object]:
    bad = [recordings[0][:20_000] + b"\0" * 9, b"not a recording at all", b""]
    asked = [*((_RECORDING, data) for data in recordings), (_FILM, films[0])]
    golden = _ask(server.port, asked)
    statuses: Counter[int] = Counter()
    points: list[tuple[float, list[float]]] = []
    film_statuses: Counter[int] = Counter()
    p99s: list[float] = []
    losses: list[str] = []
    n_wrong = n_stream_answers = 0
    opened = _open_files(server)
    began = time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        outcome, shown, streams = asyncio.run(
            _run_round(server.port, recordings, films, bad, rate, round_seconds)
        )
        for kind, count, found in (
            ("recording", statuses, outcome), ("film", film_statuses, shown)
        ):  # fmt: skip
            count.update({status: len(seconds) for status, seconds in found.seconds.items()})
            losses += [f"{kind} at {now + due:.1f} s: {how}" for due, how in found.losses]
        p99s.append(outcome.percentile(99))
        n_stream_answers += sum(len(one.seconds) for one in streams)
        losses += [f"{one.n_lost} streams from {now:.1f} s on" for one in streams if one.n_lost]
        n_wrong += sum(a != b for a, b in zip(golden, _ask(server.port, asked), strict=True))
        points.append((now, server.own_memory()))
    settled = points[int(len(points) * _SETTLED) :]
    slope, highest = find_slope([(at, sum(held)) for at, held in settled])
    front, _ = find_slope([(at, held[0]) for at, held in settled])
    child, _ = find_slope([(at, sum(held[1:])) for at, held in settled])
    left = _open_files(server) - opened
    faults = [f"{n} replies of status {status}" for status, n in (statuses + film_statuses).items()
              if status >= 500 and status != 503]  # fmt: skip
    if n_wrong:
        faults.append(f"{n_wrong} answers were not the first ones")
    if losses:
        shown_losses = "; ".join(losses[:40])
        faults.append(f"{len(losses)} times something was lost: {shown_losses}")
    if left > 8:  # connections of the last round may be open still
        faults.append(f"{left} files more are open than at the start")
    if slope * 600 > _MB_PER_10_MINUTES:
        faults.append(f"memory grows by {slope * 600:.2f} MB in 10 minutes")
    third = max(1, len(p99s) // 3)
    return {
        "seconds": round(time.monotonic() - began),
        "replies": dict(sorted(statuses.items())),
        "replies to films": dict(sorted(film_statuses.items())),
        "stream answers": n_stream_answers,
        "compared": len(golden) * len(points),
        "MB": f"{sum(points[0][1]):.1f} at first, {sum(points[-1][1]):.1f} at last",
        "MB in 10 minutes": f"{slope * 600:.2f}, 95 % below {highest * 600:.2f}; of the process in "
        f"front {front * 600:.2f}, of the child {child * 600:.2f}",
        "p99 ms": f"{np.median(p99s[:third]):.0f} at first, {np.median(p99s[-third:]):.0f} at last",
        "faults": faults,
    }


async def _run_round(
    port: int,
    recordings: list[bytes],
    films: list[bytes],
    bad: list[bytes],
    rate: float,
    seconds: float,
) -> tuple[Outcome, Outcome, list[StreamOutcome]]:
    voice = synthesize_voice("angry", speaker=2, sample_rate=16_000)
    samples = (np.resize(voice, 96_000) * 32_767).astype("<i2").tobytes()
    requests = [post(data, port) for data in recordings * _GOOD]
    requests += [post(data, port) for data in bad * (_BAD * len(recordings) // len(bad))]
    random.Random(0).shuffle(requests)
    shows = [post(data, port, _FILM) for data in films]

    def speak(model: str, n_streams: int) -> Coroutine[None, None, StreamOutcome]:
        return send_streams(
            port, samples, n_streams=n_streams, seconds=seconds, frame_seconds=0.2, window=2.0,
            hop=1.0, model=model,
        )  # fmt: skip

    outcome, shown, spoken, seen, _ = await asyncio.gather(
        send_load(port, requests, rate * (_GOOD + _BAD) / 10, seconds),
        send_load(port, shows, rate * _FILMS, seconds),
        speak("model", 3),
        speak("film", 1),
        _leave(port, requests + shows, round(rate * seconds * _LEAVING / 10), seconds),
    )
    return outcome, shown, [spoken, seen]


async def _leave(port: int, requests: list[bytes], n_times: int, seconds: float) -> None:
    """Send a part of a request and go, so many times, in every way there is."""
    choose = random.Random(1)
    for _ in range(n_times):
        await asyncio.sleep(seconds / n_times)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        request = choose.choice(requests)
        writer.write(request[: choose.randrange(len(request))])
        if choose.random() < 0.5:
            writer.transport.abort()
        else:
            writer.close()


def _ask(port: int, asked: list[tuple[str, bytes]]) -> list[bytes]:
    """Return the answers to recordings, asked one after another, as their bytes."""
    found = []
    with _connected(port) as connection:
        for path, data in asked:
            while True:
                connection.request("POST", path, data)
                reply = connection.getresponse()
                body = reply.read()
                if reply.status != 503:
                    break
                time.sleep(1.0)
            found.append(body)
    return found


@contextmanager
def _connected(port: int) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        yield connection
    finally:
        connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _open_files(server: Server) -> int:
    return sum(len(list(Path(f"/proc/{process}/fd").iterdir())) for process in server.processes())


def find_slope(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Return MB a second: the median of the slopes between all pairs, and its upper bound.

    **Source:** P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63
    (1968): the estimate, and the bound of its two-sided 95 % interval from the normal
    approximation of Kendall's S without ties.
    """
    slopes = np.sort([(b[1] - a[1]) / (b[0] - a[0]) for i, a in enumerate(points) for b in
                      points[i + 1 :]])  # fmt: skip
    if not len(slopes):
        return float("nan"), float("nan")
    n = len(points)
    spread = 1.96 * np.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    place = min(len(slopes) - 1, int((len(slopes) + spread) / 2))
    return float(np.median(slopes)), float(slopes[place])


def main() -> int:
    """Run it as long as asked; return 1 if anything was not as it should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1_800.0)
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = torture_service(Path(name), options.seconds, options.rate)
    for key, value in result.items():
        print(f"{key}: {value}")
    return 1 if result["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
