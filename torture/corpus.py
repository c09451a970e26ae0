"""Recordings to be extracted while things go wrong, and what an undisturbed store of them holds."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from affectus.manifest import Clip, Manifest, with_hashes

RATE = 16_000
# Few bands and a long hop: what is tested is not the transform.
SETTINGS = ("n_mels=8", "n_fft=256", "win_length=256", "hop_length=256")


def make_corpus(folder: Path, n_clips: int, seed: int = 0) -> Path:
    """Write `n_clips` noises of 0.15 to 0.4 s and their manifest; return the manifest's path."""
    rng = np.random.default_rng(seed)
    clips = []
    for number in range(n_clips):
        path = folder / "audio" / f"{number:05d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        length = int(rng.integers(2_400, 6_400))
        soundfile.write(path, rng.normal(0, 0.1, length).astype("f4"), RATE, subtype="PCM_16")
        emotion = ("happy", "sad")[number % 2]
        clips.append(Clip(f"own/{number:05d}", "own", str(path), f"own:{number % 9}", emotion))
    manifest = folder / "clips.csv"
    with_hashes(Manifest(tuple(clips))).write(manifest)
    return manifest


def spoil(manifest: Path, places: list[int]) -> dict[str, str]:
    """Damage the recordings at `places`, twelve kinds in turn; return the code each must get."""
    clips = list(Manifest.read(manifest))
    expected = {}
    for number, place in enumerate(places):
        path = clips[place].path
        data = path.read_bytes()
        code, spoiled = _spoiled(number % 12, data)
        path.write_bytes(spoiled)
        expected[clips[place].clip_id] = code
    with_hashes(Manifest(tuple(clips))).write(manifest)
    return expected


def _spoiled(kind: int, data: bytes) -> tuple[str, bytes]:
    """Return the code and the bytes of one kind of damage to a WAV of 16 bits."""
    header, sound = data[:44], data[44:]
    nan = np.full(4_000, np.nan, "<f4").tobytes()
    return [
        ("E1001", b""),
        ("E1002", data[:4]),
        ("E1006", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        ("E1002", b"this is a text, not a recording\n" * 40),
        ("E1003", data[:36]),
        ("E1004", header[:40] + b"\0\0\0\0"),
        ("E1101", data[: 44 + len(sound) // 2]),
        ("E1104", header[:24] + (655_350).to_bytes(4, "little") + header[28:] + sound),
        ("E1201", header[:40] + (64).to_bytes(4, "little") + sound[:64]),
        ("E1301", header[:20] + b"\3\0" + header[22:28] + (64_000).to_bytes(4, "little")
         + b"\4\0\x20\0data" + len(nan).to_bytes(4, "little") + nan),
        ("E1002", b"RIFF" + b"\xff" * 200),
        ("E1002", bytes(range(256)) * 20),
    ][kind]  # fmt: skip


def extract(manifest: Path, store: Path, *options: str) -> list[str]:
    """Return the command that extracts the clips into a store."""
    command = [sys.executable, "-m", "affectus", "extract", str(manifest), "--store", str(store)]
    for setting in SETTINGS:
        command += ["--set", setting]
    return [*command, *options]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


def contents(store: Path) -> dict[str, object]:
    """Return what a store holds: the hash of every shard, every row of the index, its health.

    Also every other file, since nothing may be left behind; the lock and SQLite's own are not.
    """
    index = sqlite3.connect(f"{(store / 'index.sqlite').as_uri()}?mode=ro", uri=True)
    try:
        (health,) = index.execute("PRAGMA integrity_check").fetchone()
        rows = {
            table: sorted(index.execute(f"SELECT * FROM {table}").fetchall())
            for table in ("features", "shards", "items", "fingerprints")
        }
    finally:
        index.close()
    usual = {"lock", "index.sqlite", "index.sqlite-wal", "index.sqlite-shm", "progress.json"}
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(store.iterdir())
        if path.name not in usual
    }
    return {"health": health, "files": files, **rows}


def differences(store: Path, clean: dict[str, object]) -> list[str]:
    """Say in which way a store differs from the undisturbed one."""
    found = contents(store)
    return [name for name, value in clean.items() if found[name] != value]
