"""A training is killed at random times and at every operation; its weights are the same."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import soundfile

from affectus.manifest import Clip, Manifest, with_hashes
from torture.corpus import RATE, extract, run
from torture.operations import count_operations, run_hooked

_EXPERIMENT = """name = "tones"
manifest = "{folder}/tones.csv"
store = "{folder}/store"

[labels]
scheme = "four"

[features]
name = "logmel"
n_mels = 8
n_fft = 256
win_length = 256
hop_length = 256

[split]
protocol = "sequential-6fold"
folds = [1]

[model]
name = "crnn"
channels = [4, 4]
n_hidden = 8
n_attention = 8

[training]
epochs = {epochs}
patience = {epochs}
batch_size = 8

[augmentation]
mixup = 0.2
speed = 0.1
"""


def torture_training_by_kills(
    folder: Path, n_kills: int, epochs: int = 60, seed: int = 0
) -> dict[str, object]:
    """Kill a training `n_kills` times in all at random times; return every difference found."""
    rng = random.Random(seed)
    experiment = _prepare(folder, epochs)
    seconds = _timed(experiment, folder / "clean")
    clean = _contents(folder / "clean/tones")
    kills = rounds = inside = 0
    faults: list[str] = []
    while kills < n_kills:
        runs = folder / "runs"
        shutil.rmtree(runs, ignore_errors=True)
        while True:
            child = subprocess.Popen(
                _train(experiment, runs), env=_environment(), start_new_session=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip
            before = _n_states(runs)
            while child.poll() is None and _n_states(runs) == before:
                time.sleep(0.01)  # until it trains
            try:
                _, error = child.communicate(timeout=rng.uniform(0, 0.6 * seconds))
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.communicate()
                kills += 1
                inside += _n_states(runs) > 0
                continue
            if child.returncode:
                faults.append(f"round {rounds}: exit {child.returncode}: {error.decode()[-200:]}")
            break
        rounds += 1
        faults += [f"round {rounds}: {name}" for name in _differences(runs / "tones", clean)]
    return {"kills": kills, "inside a fold": inside, "rounds": rounds, "faults": faults}


def torture_training_operations(folder: Path, epochs: int = 3, every: int = 1) -> dict[str, object]:
    """Kill a training at each operation on its folder, go on, and compare."""
    experiment = _prepare(folder, epochs)
    _timed(experiment, folder / "clean")
    clean = _contents(folder / "clean/tones")
    runs = folder / "runs"
    command = _train(experiment, runs)
    total = count_operations(folder, command, runs, _environment())
    faults: list[str] = []
    tried = 0
    for number in range(1, total + 1, every):
        shutil.rmtree(runs, ignore_errors=True)
        code, output = run_hooked(folder, command, runs, number, "kill", _environment())
        tried += 1
        if code not in (-signal.SIGKILL, 0):
            faults.append(f"operation {number}: exit {code}: {output[-300:]}")
        again = subprocess.run(
            command, env=_environment(), capture_output=True, text=True, check=False
        )
        if again.returncode != 0:
            faults.append(f"operation {number}: resumed with {again.returncode}: {again.stderr}")
            continue
        faults += [f"operation {number}: {name}" for name in _differences(runs / "tones", clean)]
    return {"operations": total, "tried": tried, "faults": faults}


def _prepare(folder: Path, epochs: int) -> Path:
    """Write tones of six speakers, their manifest and features, and an experiment on them."""
    rng = np.random.default_rng(0)
    clips = []
    for speaker in range(6):
        for emotion, pitch in {"neutral": 300, "happy": 700, "sad": 1500, "angry": 3000}.items():
            for take in range(2):
                name = f"{speaker}_{emotion}_{take}"
                seconds = np.arange(int(RATE * rng.uniform(0.3, 0.6))) / RATE
                tone = 0.3 * np.sin(2 * np.pi * pitch * (1 + 0.02 * speaker) * seconds)
                path = folder / "audio" / f"{name}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                sound = tone + rng.normal(0, 0.03, len(seconds))
                soundfile.write(path, sound.astype("f4"), RATE, subtype="PCM_16")
                clips.append(Clip(f"own/{name}", "own", str(path), f"own:{speaker}", emotion))
    with_hashes(Manifest(tuple(clips))).write(folder / "tones.csv")
    finished = run(extract(folder / "tones.csv", folder / "store", "--workers", "1"))
    assert finished.returncode == 0, finished.stderr
    path = folder / "tones.toml"
    path.write_text(_EXPERIMENT.format(folder=folder, epochs=epochs))
    return path


def _train(experiment: Path, runs: Path) -> list[str]:
    command = [sys.executable, "-m", "affectus", "train", str(experiment)]
    return [*command, "--runs", str(runs), "--resume"]


def _environment() -> dict[str, str]:
    """One thread: the weights depend on how many there are."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def _timed(experiment: Path, runs: Path) -> float:
    """Train undisturbed; return the seconds that its epochs took."""
    finished = subprocess.run(
        _train(experiment, runs), env=_environment(), capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    lines = (runs / "tones/fold-1/history.jsonl").read_text().splitlines()
    return sum(float(json.loads(line)["seconds"]) for line in lines)


def _n_states(runs: Path) -> int:
    """Return the number of the last checkpoint."""
    found = [int(path.name.split("-")[1]) for path in runs.glob("tones/fold-1/state-*")]
    return max(found, default=0)


def _contents(folder: Path) -> dict[str, object]:
    """Return what a run holds, but for what tells the time."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.name == "history.jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            found[name] = [{**line, "seconds": 0} for line in lines]
        elif path.name == "provenance.json":
            found[name] = json.loads(path.read_text())["weights_sha256"]
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _differences(folder: Path, clean: dict[str, object]) -> list[str]:
    found = _contents(folder)
    return [
        f"{name} differs" for name in clean.keys() | found.keys()
        if found.get(name) != clean.get(name)
    ]  # fmt: skip
