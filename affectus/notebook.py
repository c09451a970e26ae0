"""Four calls for a notebook, named as those of an earlier RAVDESS system.

    from affectus.notebook import ParallelModel, evaluate_model, preprocess_data, train_model

    train, dev, test = preprocess_data(dataset_path="ravdess")
    model = ParallelModel(num_emotions=8)
    train_model(model, train, dev)
    evaluate_model(model, test).uar

Each is a thin layer over what the commands do: the sides hold different speakers, the audit is
made, and the run is a folder that every command takes. A cell may be run again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from affectus.corpora import load_corpus
from affectus.errors import ConfigError, ExtractionError, TrainingError
from affectus.evaluation import Evaluation
from affectus.experiment import Experiment, make_experiment
from affectus.extraction import extract_features
from affectus.features import create_extractor
from affectus.manifest import Manifest
from affectus.models import ModelConfig, count_parameters, create_model
from affectus.runs import Epoch, Run, read_history
from affectus.splits import make_splits, write_splits
from affectus.training import evaluate_run, train

_FEATURES: dict[str, Any] = {"name": "logmel", "n_mels": 128}
_SCHEMES = {4: "four", 6: "six", 7: "seven", 8: "eight"}


@dataclass(frozen=True)
class Side:
    """One side of a prepared dataset: `name` is train, dev or test.

    `folder` holds the manifest and the features, `split_file` the split, whose `fingerprint` says
    of which clips.
    """

    folder: Path
    split_file: Path
    name: str
    clip_ids: tuple[str, ...]
    speakers: tuple[str, ...]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.clip_ids)

    def __repr__(self) -> str:
        people = "1 speaker" if len(self.speakers) == 1 else f"{len(self.speakers)} speakers"
        return f"{self.name}: {len(self):,} clips of {people}"


class ParallelModel:
    """Convolutions beside a bidirectional LSTM with attention: `parallel_cnn_lstm`.

    `num_emotions` is 4, 6, 7 or 8, and says which label scheme; `settings` are the network's own.
    `run` is where `train_model` has left it, None before.
    """

    def __init__(self, num_emotions: int = 8, **settings: Any) -> None:
        if num_emotions not in _SCHEMES:
            raise ConfigError(
                f"num_emotions is {num_emotions}; expected {', '.join(map(str, _SCHEMES))}. See "
                f"affectus.label_scheme."
            )
        self.scheme = _SCHEMES[num_emotions]
        self.settings = settings
        self.run: Run | None = None
        config = ModelConfig("parallel_cnn_lstm", _FEATURES["n_mels"], num_emotions, settings)
        self.n_parameters = count_parameters(create_model(config))  # or settings are refused here

    def __repr__(self) -> str:
        state = f"trained in {self.run.folder}" if self.run else "not trained"
        return f"ParallelModel, {self.scheme} emotions, {self.n_parameters:,} parameters, {state}"


def preprocess_data(
    dataset_path: Path | str,
    folder: Path | str = "prepared",
    *,
    corpus: str = "ravdess",
    protocol: str = "sequential-5fold",
    fold: int = 1,
    workers: int = 1,
) -> tuple[Side, Side, Side]:
    """Read a corpus, extract log-mel of 128 bands, split it; return train, dev and test.

    Nobody is on two sides, unless `protocol` is a leaky one, which every evaluation then says.
    `folder` keeps manifest, features and split; clips that are in it are not extracted again.

    Raises CorpusError, SplitError or ExtractionError, the last if a clip could not be read.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    manifest = load_corpus(corpus, dataset_path)
    splits = make_splits(manifest, protocol)
    if not 1 <= fold <= len(splits):
        raise ConfigError(f"fold is {fold}; expected 1 to {len(splits)} of {protocol}.")
    split = splits[fold - 1]
    manifest.write(place / "manifest.csv")
    split_file = place / f"split-{protocol}-{fold}.json"
    write_splits((split,), split_file)
    report = extract_features(
        manifest, create_extractor(**_FEATURES), place / "store", workers=workers
    )
    if not report.ok:
        raise ExtractionError(
            f"{report.failed:,} of {report.planned:,} clips could not be read; expected all. See "
            f"why with: affectus status {place / 'store'}"
        )
    fingerprint = f"{manifest.sha256}/{protocol}/{split.fold}"

    def side(name: str) -> Side:
        clip_ids = split.side(name)
        return Side(place, split_file, name, clip_ids, _speakers(manifest, clip_ids), fingerprint)

    return side("train"), side("dev"), side("test")


def train_model(
    model: ParallelModel,
    train_data: Side,
    val_data: Side,
    *,
    allow_incomplete: bool = False,
    allow_leak: bool = False,
    on_epoch: Callable[[Epoch, int, int], None] = lambda epoch, done, total: None,
    **settings: Any,
) -> list[Epoch]:
    """Train a model on one side, choose its best epoch on the other; return a line an epoch.

    `settings` are keys of the experiment's [training] table, such as `epochs=20`; the other
    options are those of `affectus.train`. The run lies in `parallel-1`, `-2`, ... in `runs` of the
    prepared folder, and is `model.run`. Trained again, a model begins anew.

    Raises TrainingError if the sides are not the train and dev side of one prepared dataset.
    """
    _expect_side(train_data, "train")
    _expect_side(val_data, "dev")
    _expect_same(val_data, train_data.fingerprint)
    runs = train_data.folder / "runs"
    experiment = _plan(model, train_data, settings)
    names = (f"parallel-{number}" for number in count(1))
    free = next(name for name in names if not (runs / name).exists())
    model.run = train(
        msgspec.structs.replace(experiment, name=free),
        runs,
        allow_incomplete=allow_incomplete,
        allow_leak=allow_leak,
        on_epoch=on_epoch,
    )
    return read_history(model.run)


def evaluate_model(model: ParallelModel, data: Side) -> Evaluation:
    """Judge a trained model on the test side, or on dev, of the data it was trained on.

    Scores have intervals by speaker; all of it is written into `model.run.folder`.

    Raises TrainingError for a model that was not trained, a training side, or other data.
    """
    if model.run is None:
        raise TrainingError("the model was not trained; expected a trained one. Use train_model.")
    if data.name == "train":
        raise TrainingError(
            f"{data}: what a model has learnt says nothing of it; expected the test side, or dev."
        )
    (split,) = model.run.splits
    _expect_same(data, f"{split.manifest_sha256}/{split.protocol}/{split.fold}")
    return evaluate_run(model.run, data.name)


def _plan(model: ParallelModel, data: Side, settings: dict[str, Any]) -> Experiment:
    return make_experiment(
        {
            "name": "parallel",
            "manifest": str(data.folder / "manifest.csv"),
            "store": str(data.folder / "store"),
            "labels": {"scheme": model.scheme},
            "features": _FEATURES,
            "split": {"file": str(data.split_file)},
            "model": {"name": "parallel_cnn_lstm", **model.settings},
            "training": settings,
        },
        "train_model",
    )


def _speakers(manifest: Manifest, clip_ids: tuple[str, ...]) -> tuple[str, ...]:
    chosen = set(clip_ids)
    return tuple(dict.fromkeys(clip.speaker for clip in manifest if clip.clip_id in chosen))


def _expect_side(side: Side, name: str) -> None:
    if side.name != name:
        raise TrainingError(
            f"{side}; expected the {name} side. Take train, dev, test in the order in which "
            f"preprocess_data gives them."
        )


def _expect_same(side: Side, fingerprint: str) -> None:
    if side.fingerprint != fingerprint:
        raise TrainingError(
            f"{side}: of other data or of another split; expected sides of one preprocess_data. "
            f"Take all of them from one call."
        )
