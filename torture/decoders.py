"""Damaged recordings through the decode gate: each is answered or refused with a code, in time."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from affectus.errors import MediaError
from affectus.media import open_video, read_audio
from affectus.workers import LostItemError, work_through
from tests.making import RATE, counting, encode, encode_av, film, speech_like
from torture.mutations import mutate

MEMORY = 400 * 2**20  # bytes that a child may hold at its peak
SECONDS = 3.0  # of processor time a recording
HANGS = 20.0  # s after which a child is ended

_WAVE = speech_like(0.4)
_WIDE = speech_like(0.4, 48_000)
SEEDS: dict[str, Callable[[], bytes]] = {
    "wav": lambda: encode(_WAVE),
    "wav of floats": lambda: encode(_WAVE, "WAV", "FLOAT"),
    "wav of two channels": lambda: encode(np.stack([_WAVE, -_WAVE], 1), "WAV", "PCM_24"),
    "wav in ima adpcm": lambda: encode(_WAVE, "WAV", "IMA_ADPCM"),
    "wav in ms adpcm": lambda: encode(_WAVE, "WAV", "MS_ADPCM"),
    "wav in gsm": lambda: encode(_WAVE[::2], "WAV", "GSM610", 8_000),
    "rf64": lambda: encode(_WAVE, "RF64"),
    "w64": lambda: encode(_WAVE, "W64"),
    "aiff": lambda: encode(_WAVE, "AIFF"),
    "au": lambda: encode(_WAVE, "AU"),
    "caf": lambda: encode(_WAVE, "CAF"),
    "caf in alac": lambda: encode(_WAVE, "CAF", "ALAC_16"),
    "flac": lambda: encode(_WAVE, "FLAC"),
    "mp3": lambda: encode(_WAVE, "MP3"),
    "vorbis": lambda: encode(_WAVE, "OGG", "VORBIS"),
    "opus": lambda: encode(_WAVE, "OGG", "OPUS"),
    "m4a": lambda: encode_av(_WAVE, "ipod", "aac"),
    "m4a in alac": lambda: encode_av(_WAVE, "ipod", "alac"),
    "fragmented mp4": lambda: encode_av(_WAVE, "mp4", "aac", movflags="frag_keyframe+empty_moov"),
    "mov": lambda: encode_av(_WAVE, "mov", "pcm_s16le"),
    "webm": lambda: encode_av(_WIDE, "webm", "libopus", rate=48_000),
    "mkv": lambda: encode_av(_WAVE, "matroska", "pcm_s16le"),
    "flv": lambda: encode_av(speech_like(0.4, 44_100), "flv", "libmp3lame", rate=44_100),
    "avi": lambda: encode_av(_WAVE, "avi", "pcm_s16le"),
    "aac": lambda: encode_av(_WAVE, "adts", "aac"),
    "amr": lambda: encode_av(_WAVE[::2], "amr", "libopencore_amrnb", rate=8_000, bit_rate=12_200),
    "film in mp4": lambda: film(counting(6), sound=speech_like(0.3)),
    "film in webm": lambda: film(counting(6), "webm", "libvpx"),
    "film in avi": lambda: film(counting(6), "avi", sound=speech_like(0.3)),
}


class Task(NamedTuple):
    """`size` recordings to damage and to hear, from number `first` on."""

    seed: int
    first: int
    size: int
    said: str  # the file that what the child prints goes to
    seconds: float  # of processor time a recording may take
    hear: Callable[[bytes, str], str]


class Outcome(NamedTuple):
    """What became of one damaged recording; `what` is ok or a code, `fault` what is wrong."""

    number: int
    kind: str
    what: str
    fault: str


def damaged(seed: int, number: int, seeds: list[bytes]) -> tuple[str, bytes]:
    """Return what kind recording `number` of a run is, and its bytes."""
    random = Random(f"{seed} {number}")
    place = random.randrange(len(seeds))
    return list(SEEDS)[place], mutate(seeds[place], seeds, random)


def hear(data: bytes, kind: str) -> str:
    """Decode a recording, and its pictures if it was a film; return 'ok' or the first code.

    Raises AssertionError for an answer that is none.
    """
    try:
        found = read_audio(data)
        assert np.isfinite(found.waveform).all()
        assert found.waveform.size >= 0.09 * RATE
        assert found.sample_rate == RATE
    except MediaError as error:
        check_message(error)
        if not kind.startswith("film"):
            return error.code
    if kind.startswith("film"):
        try:
            with open_video(data, rate=15) as video:
                for frame in video:
                    assert frame.luma.ndim == 2
        except MediaError as error:
            check_message(error)
            return error.code
    return "ok"


def check_message(error: MediaError) -> None:
    """Refuse a message that is not one line with what was expected."""
    assert str(error).isprintable(), str(error)
    assert "expected" in error.text.lower() or "limit" in error.text, error.text


def hear_some(task: Task, take: Callable[[int], None]) -> list[Outcome]:
    """Damage and hear the recordings of a task, in a child process."""
    seeds = [make() for make in SEEDS.values()]
    outcomes = []
    with Path(task.said).open("ab") as said:
        os.dup2(said.fileno(), 2)
    for item in range(task.size):
        number = task.first + item
        kind, data = damaged(task.seed, number, seeds)
        printed = Path(task.said).stat().st_size
        before = _peak()
        began = time.process_time()
        try:
            take(item)
            what, fault = task.hear(data, kind), ""
        except LostItemError as error:
            what, fault = error.code, str(error)
        except MemoryError:
            what, fault = "E1605", ""
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            what, fault = "raised", repr(error)
        spent = time.process_time() - began
        if spent > task.seconds:
            fault = fault or f"took {spent:.1f} s"
        if _peak() > max(before, MEMORY):
            fault = fault or f"took {_peak() >> 20} MiB"
        if Path(task.said).stat().st_size > printed:
            text = Path(task.said).read_bytes()[printed:].decode(errors="replace")
            fault = fault or f"printed {text[:300]!r}"
        outcomes.append(Outcome(number, kind, what, fault))
    return outcomes


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def torture_decoders(
    folder: Path,
    seconds: float = 600.0,
    seed: int = 0,
    size: int = 500,
    workers: int = 2,
    limit: float = SECONDS,
    hangs: float = HANGS,
    hear: Callable[[bytes, str], str] = hear,
) -> dict[str, object]:
    """Return how many recordings were heard, by code, and every fault, for about `seconds`.

    A recording may take `limit` seconds of processor time; its child is ended after `hangs`. One
    that costs its child is tried once more, as in an extraction, and then a fault.
    """
    began, counts, faults, first = time.monotonic(), Counter[str](), [], 0
    with tempfile.NamedTemporaryFile(dir=folder) as said:
        while first == 0 or time.monotonic() < began + seconds:
            starts = range(first, first + 2 * workers * size, size)
            tasks = [Task(seed, start, size, said.name, limit, hear) for start in starts]
            first = starts.stop
            for outcomes in work_through(tasks, hear_some, workers=workers, seconds_per_item=hangs):
                counts.update(outcome.what for outcome in outcomes)
                faults += [
                    f"{outcome.number} ({outcome.kind}): {outcome.fault}"
                    for outcome in outcomes
                    if outcome.fault
                ]
    return {
        "recordings": counts.total(),
        "codes": dict(sorted(counts.items())),
        "faults": faults,
    }
