"""One experiment: a TOML file that says what is trained, on what, and how. Paths in it are relative
to the folder the command runs in.

    name = "ravdess-crnn"
    manifest = "ravdess.csv"
    store = "ravdess-store"
    exclude = "bad.csv"              (clips to be left out: affectus audit --exclusions)

    [labels]         scheme = "eight"
    [features]       name = "logmel"
    [face]           name = "face_crops"     (only for models that look at a face)
    [split]          protocol = "sequential-5fold"
    [model]          name = "crnn"
    [training]       epochs = 45
    [augmentation]   gain_db = 6.0

Unknown keys are refused with the nearest known one; `--set training.epochs=5` changes a value.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec

from affectus.emotions import LabelScheme, label_scheme
from affectus.errors import ConfigError, LabelError, nearest
from affectus.experiment.tables import (
    AugmentationConfig,
    LabelConfig,
    SplitConfig,
    TrainingConfig,
)
from affectus.experiment.toml import apply_change, parse_changes, toml_lines
from affectus.files import replacing

__all__ = [
    "AugmentationConfig", "Experiment", "LabelConfig", "SplitConfig", "TrainingConfig",
    "make_experiment", "parse_changes", "read_experiment", "write_experiment",
]  # fmt: skip


class Experiment(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A whole experiment. `features` and `model` hold a name and that extractor's or network's own
    settings, which are checked where they are used. `exclude` is a CSV of clips to be left out on
    every side, and why, as `affectus audit --exclusions` writes it. `face` is empty, or
    a feature set of the same store as `features` is, for the model's other stream.
    """

    name: str
    manifest: str
    store: str
    exclude: str = ""
    labels: LabelConfig = LabelConfig()
    features: dict[str, Any] = msgspec.field(default_factory=lambda: {"name": "logmel"})
    face: dict[str, Any] = msgspec.field(default_factory=dict)
    split: SplitConfig = SplitConfig()
    model: dict[str, Any] = msgspec.field(default_factory=lambda: {"name": "crnn"})
    training: TrainingConfig = TrainingConfig()
    augmentation: AugmentationConfig = AugmentationConfig()

    @property
    def scheme(self) -> LabelScheme:
        """The label scheme that `labels` names."""
        return label_scheme(self.labels.scheme, self.labels.calm, self.labels.surprised)


def read_experiment(path: Path | str, changes: Sequence[str] = ()) -> Experiment:
    """Read a TOML file and apply `a.b=c` changes; values are TOML, bare words are text.

    Raises ConfigError naming the key, what was found and what is known.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected an experiment in TOML.") from None
    except ValueError as error:  # not TOML, not UTF-8, a number of 4,301 digits
        raise ConfigError(f"{path}: {error}; expected TOML.") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deep; expected an experiment in TOML.") from None
    for change in changes:
        apply_change(content, change)
    return make_experiment(content, str(path))


def make_experiment(content: Mapping[str, Any], place: str = "experiment") -> Experiment:
    """Turn nested plain values into an experiment, every one checked."""
    try:
        return _make(content, place)
    except RecursionError:
        raise ConfigError(f"{place}: nested too deep; expected plain values.") from None


def _make(content: Mapping[str, Any], place: str) -> Experiment:
    _refuse_unknown(content, Experiment, "", place)
    _refuse_unwritable(content, "", place)
    try:
        plain = msgspec.json.decode(msgspec.json.encode(content))  # a tuple is a list, as in TOML
        experiment = msgspec.convert(plain, Experiment)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{place}: {_in_words(str(error), content)}.") from None
    try:
        _ = experiment.scheme
    except LabelError as error:
        raise ConfigError(f"{place}: labels: {error.message}") from None
    _check_training(experiment.training, place)
    low, high = experiment.augmentation.noise_snr
    if low > high:
        raise ConfigError(
            f"{place}: augmentation.noise_snr is [{low:g}, {high:g}]; expected the lower first."
        )
    for part in ("features", "model", *(["face"] if experiment.face else [])):
        if not isinstance(getattr(experiment, part).get("name"), str):
            raise ConfigError(f"{place}: {part} has no name; expected {part}.name.")
    name = experiment.name
    if not name or "/" in name or name.startswith(".") or not name.isprintable():
        raise ConfigError(f"{place}: name is '{experiment.name}'; expected a plain folder name.")
    return experiment


# A key that has a meaning only where another has a value.
_ONLY_WHERE = {
    "momentum": ("optimiser", "sgd"),
    "nesterov": ("optimiser", "sgd"),
    "plateau_factor": ("schedule", "plateau"),
    "plateau_patience": ("schedule", "plateau"),
}


def _check_training(config: TrainingConfig, place: str) -> None:
    """Refuse a key that another one leaves without effect."""
    for key, (other, needed) in _ONLY_WHERE.items():
        value, plain = getattr(config, key), getattr(TrainingConfig(), key)
        if value != plain and getattr(config, other) != needed:
            raise ConfigError(
                f"{place}: training.{key} is {value}, but training.{other} is "
                f"'{getattr(config, other)}', which has none; expected '{needed}'. Set "
                f"training.{other}, or leave training.{key} out."
            )
    if config.refit and config.schedule == "plateau":
        raise ConfigError(
            f"{place}: training.refit is true, but training.schedule is 'plateau', which follows "
            f"dev, and a refit has none left; expected cosine, constant or one_cycle."
        )
    if config.nesterov and not config.momentum:
        raise ConfigError(
            f"{place}: training.nesterov is true, but training.momentum is 0; expected more than 0."
        )


def write_experiment(experiment: Experiment, path: Path) -> None:
    """Write the whole experiment, defaults included, as TOML that `read_experiment` takes.

    Complete or not at all.
    """
    lines = list(toml_lines(msgspec.to_builtins(experiment), ""))
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _refuse_unknown(
    content: Mapping[str, Any], kind: type[msgspec.Struct], prefix: str, place: str
) -> None:
    known = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in content.items():
        if key not in known:
            raise ConfigError(
                f"{place}: unknown key '{prefix}{key}'; known: {', '.join(known)}."
                f"{nearest(key, known)}"
            )
        inner = known[key]
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{place}: '{prefix}{key}' is {value!r}; expected a table.")
            _refuse_unknown(value, inner, f"{key}.", place)


def _refuse_unwritable(value: Any, key: str, place: str) -> None:
    """Refuse, at any depth, what a TOML file cannot say or would not say again."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _refuse_unwritable(inner, f"{key}.{name}" if key else str(name), place)
    elif isinstance(value, list | tuple):
        for inner in value:
            _refuse_unwritable(inner, key, place)
    elif value is None and not key.startswith(("features.", "face.", "model.")):
        pass  # a policy that is not given
    elif not isinstance(value, str | int | float) or (
        isinstance(value, float) and not math.isfinite(value)
    ):
        raise ConfigError(
            f"{place}: {key} is {value}; expected text, a finite number, true or false, or a list "
            f"of those. Leave the key out for its default."
        )


def _in_words(error: str, content: Mapping[str, Any]) -> str:
    """Turn msgspec's words into `training.epochs is 0; expected int >= 1`."""
    text, found_place, place = error.replace("`", "").partition(" - at $.")
    if not found_place:  # 'Object missing required field store'
        needed = [field.name for field in msgspec.structs.fields(Experiment) if field.required]
        return f"no key '{text.split()[-1]}'; expected {', '.join(needed)}"
    value: Any = content
    kind: Any = Experiment
    for part in re.findall(r"\w+", place):
        value = value[int(part) if isinstance(value, list | tuple) else part]
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            kind = {field.name: field.type for field in msgspec.structs.fields(kind)}[part]
    known = [word for option in (kind, *get_args(kind)) for word in get_args(option)]
    choices = [word for word in known if isinstance(word, str)]
    expected = text.removeprefix("Expected ").partition(", got ")[0]
    expected = {"str": "text", "array": "a list", "object": "a table"}.get(expected, expected)
    if choices:
        expected = " or ".join(choices)
    return f"{place} is {value!r}; expected {expected}"
