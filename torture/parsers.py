"""Files that a user writes or gets, with bytes of any kind in them: read, or refused in one line.

`python -m torture.parsers NAME SECONDS [CORPUS]` looks for bytes that anything but an AffectusError
comes of, guided by what each input reaches (atheris, which is libFuzzer); where atheris is not
installed, by damage at random. Stops at the first.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

Read = Callable[[Path], object]

_FILES = ("model.onnx", "weights.safetensors", "MODEL_CARD.md")  # empty ones
FACTS = {
    "schema": 1, "name": "m", "labels": ["sad", "happy"], "scheme": "two",
    "extractor": {"name": "logmel", "version": 1, "parameters": {"n_mels": 32}},
    "temperature": 1.0, "evaluation": {"uar": 0.5}, "corpora": ["own"], "licences": [],
    "provenance": {}, "sha256": dict.fromkeys(_FILES, hashlib.sha256().hexdigest()),
    "abstain_below": 0.0, "streams": ["voice"],
}  # fmt: skip
_SPLIT = {
    "fold": "1", "train": ["a"], "dev": [], "test": ["b"], "protocol": "own", "version": 1,
    "text": "", "leaky": False, "seed": 0, "manifest_sha256": "",
}  # fmt: skip
_PROFILE = {
    "schema": 1, "features": "", "n_clips": 1, "n_rows": 9, "mean": [1.5], "deviation": [1],
}  # fmt: skip
_TABLE = "file,emotion,speaker,start,end,sex,votes\na.wav,sad,1,0.5,2,female,sad:2 happy:1\n"
_EXPERIMENT = """name = "tones"
manifest = "tones.csv"
store = "store"
[labels]
scheme = "four"
[features]
name = "logmel"
n_mels = 8
[split]
protocol = "sequential-6fold"
folds = [1]
[model]
name = "crnn"
channels = [4, 4]
[training]
epochs = 3
optimiser = "sgd"
[augmentation]
noise = ["white"]
noise_snr = [5.0, 30.0]
"""


def _manifest() -> bytes:
    from affectus.manifest import COLUMNS

    values = {"file": "a.wav", "emotion": "sad", "speaker": "own:1", "clip_id": "own/a",
              "corpus": "own", "start": "0.5", "end": "2", "votes": "sad:2 happy:1",
              "channels": "voice+face", "sha256": "0" * 64}  # fmt: skip
    return f"{','.join(COLUMNS)}\n{','.join(values.get(c, '') for c in COLUMNS)}\n".encode()


def read_manifest(path: Path) -> object:
    """Read a manifest, and what it says again."""
    from affectus.manifest import Manifest, natural_key

    read = Manifest.read(path)
    for text in (*read.speakers, *(clip.clip_id for clip in read)):
        natural_key(text)
    read.write(path)
    again = Manifest.read(path)
    assert again.sha256 == read.sha256, "written and read again, it is another"
    return again


def read_experiment(path: Path) -> object:
    """Read an experiment, and what it says again."""
    from affectus import experiment

    read = experiment.read_experiment(path)
    experiment.write_experiment(read, path)
    assert experiment.read_experiment(path) == read, "written and read again, it is another"
    return read


def read_change(path: Path) -> object:
    """Take a file's text as what stands behind --set."""
    from affectus.experiment import parse_changes

    return parse_changes([path.read_text("utf-8", "replace")])


def read_model_folder(path: Path) -> object:
    """Take a file as a folder's model.json."""
    from affectus.model_folder import read_model

    for name in _FILES:
        path.with_name(name).touch()
    return read_model(path.parent)


def read_user_table(path: Path) -> object:
    """Read a user's own table."""
    from affectus.corpora import load_corpus

    return load_corpus("table", path)


def read_exclusions(path: Path) -> object:
    """Read a list of clips to leave out."""
    from affectus.manifest import read_exclusions

    return read_exclusions(path)


def read_splits(path: Path) -> object:
    """Read splits."""
    from affectus.splits import read_splits

    return read_splits(path)


def read_predictions(path: Path) -> object:
    """Read predictions."""
    from affectus.evaluation import Predictions

    return Predictions.read(path)


def read_profile(path: Path) -> object:
    """Read a speaker's profile."""
    from affectus.adaptation import read_profile

    return read_profile(path)


def read_feature_table(path: Path) -> object:
    """Read a CSV of features."""
    from affectus.feature_files.tables import read_table

    return read_table(path)


# name: (the file's name, what is read, a good one)
PARSERS: dict[str, tuple[str, Read, Callable[[], bytes]]] = {
    "manifest": ("clips.csv", read_manifest, _manifest),
    "experiment": ("run.toml", read_experiment, lambda: _EXPERIMENT.encode()),
    "change": ("change.txt", read_change, lambda: b'training.noise = ["white", {a = 1e3}]'),
    "model": ("model.json", read_model_folder, lambda: json.dumps(FACTS).encode()),
    "table": ("own.csv", read_user_table, lambda: _TABLE.encode()),
    "json table": ("own.json", read_user_table, lambda: b'{"1": {"wav": "a.wav", "emo": "sad"}}'),
    "json lines": ("own.jsonl", read_user_table, lambda: b'{"wav": "a.wav", "emo": "sad"}\n'),
    "exclusions": ("bad.csv", read_exclusions, lambda: b'"clip_id","reason"\n"own/a","noise"\n'),
    "splits": (
        "splits.json",
        read_splits,
        lambda: json.dumps({"version": 1, "folds": [_SPLIT]}).encode(),
    ),
    "predictions": (
        "predictions.csv",
        read_predictions,
        lambda: b"clip_id,fold,speaker,truth,prediction,sad,happy\na,1,s,sad,happy,0.5,1.5e0\n",
    ),
    "profile": (
        "me.json",
        read_profile,
        lambda: json.dumps(_PROFILE).encode(),
    ),
    "feature table": (
        "features.csv",
        read_feature_table,
        lambda: b"name;f0;emotion\na.wav;1.5;sad\nb.wav;2e0;sad\n",
    ),
}


def refused_well(path: Path, read: Read, data: bytes) -> str:
    """Read bytes as a file; return '' or the line that refuses them.

    Raises whatever is not an AffectusError, and AssertionError for a message that is not one line
    or longer than anybody reads.
    """
    from affectus.errors import AffectusError

    path.write_bytes(data)
    try:
        read(path)
    except AffectusError as error:
        line = str(error)
        assert line.isprintable(), line
        assert len(line) < 1_100, f"a message of {len(line):,} characters"
        return line
    return ""


def torture_parsers(folder: Path, seconds: float = 600.0) -> dict[str, object]:
    """Look for what each parser trips over, `seconds` for all together."""
    faults, runs = [], {}
    for name in PARSERS:
        began = ["timeout", str(round(seconds)), sys.executable, "-m", "torture.parsers", name]
        done = subprocess.run(
            [*began, f"{seconds / len(PARSERS):.0f}"],
            capture_output=True, text=True, cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        )  # fmt: skip
        counted = re.findall(r"number_of_executed_units: (\d+)", done.stderr)
        runs[name] = int(counted[0]) if counted else 0
        if done.returncode:
            told = re.search(r"Uncaught Python exception.*?(?======?=?\d+|\Z)", done.stderr, re.S)
            faults.append(f"{name}: {(told[0] if told else done.stderr.strip())[-1_500:]}")
        elif not counted:
            faults.append(f"{name}: was not counted: {done.stderr[-500:]}")
    guided = importlib.util.find_spec("atheris") is not None
    return {"guided": guided, "runs": sum(runs.values()), "by parser": runs, "faults": faults}


def try_at_random(
    name: str, path: Path, *, seconds: float = 0.0, at_least: int = 1, seed: int = 0
) -> int:
    """Damage a good file at random for `seconds`; return how many were tried.

    Raises whatever a reader raises that is no refusal, with the bytes in a note.
    """
    from torture.mutations import mutate

    _, read, make = PARSERS[name]
    good = make()
    others = [make() for _, _, make in PARSERS.values()]
    ends, number = time.monotonic() + seconds, 0
    while number < at_least or time.monotonic() < ends:
        data = mutate(good, others, Random(f"{seed} {number}"))
        try:
            refused_well(path, read, data)
        except Exception as error:
            error.add_note(f"{name}, from the bytes {data[:2_000]!r}")
            raise
        number += 1
    return number


def main(name: str, seconds: str, *more: str) -> None:
    """Fuzz one parser."""
    file, read, make = PARSERS[name]
    shared = Path("/dev/shm")  # memory, where there is some: thousands of files a second
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        path = Path(folder) / file
        if importlib.util.find_spec("atheris") is None:
            n_tried = try_at_random(name, path, seconds=float(seconds))
            print(f"stat::number_of_executed_units: {n_tried}", file=sys.stderr)
            return
        import atheris

        with atheris.instrument_imports(include=["affectus", "tomllib"]):
            import affectus.corpora
            import affectus.evaluation
            import affectus.experiment
            import affectus.feature_files
            import affectus.model_folder
            import affectus.splits  # noqa: F401

        seeds = Path(folder) / "seeds"
        seeds.mkdir()
        (seeds / "good").write_bytes(make())
        assert refused_well(path, read, make()) == ""
        options = [f"-max_total_time={seconds}", "-print_final_stats=1", "-max_len=4096",
                   "-timeout=10", "-rss_limit_mb=1024", f"-artifact_prefix={folder}/"]  # fmt: skip
        atheris.Setup(
            [sys.argv[0], *options, str(seeds), *more],
            lambda data: refused_well(path, read, data) and None,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
