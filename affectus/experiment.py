"""One experiment: a TOML file that says what is trained, on what, and how. Paths in it are relative
to the folder the command runs in.

    name = "ravdess-crnn"
    manifest = "ravdess.csv"
    store = "ravdess-store"
    exclude = "bad.csv"              (clips to be left out: affectus audit --exclusions)

    [labels]         scheme = "eight"
    [features]       name = "logmel"
    [split]          protocol = "sequential-5fold"
    [model]          name = "crnn"
    [training]       epochs = 45
    [augmentation]   gain_db = 6.0

Unknown keys are refused with the nearest known one; `--set training.epochs=5` changes a value.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from affectus.emotions import CalmPolicy, LabelScheme, SurprisedPolicy, label_scheme
from affectus.errors import ConfigError, LabelError, nearest
from affectus.files import replacing

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class LabelConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which labels the model answers with; see affectus.emotions."""

    scheme: str = "eight"
    calm: CalmPolicy | None = None
    surprised: SurprisedPolicy | None = None


class SplitConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A named protocol, or a file of splits; `folds` picks some (1 is the first), all if empty."""

    protocol: str = "sequential-5fold"
    file: str = ""
    folds: tuple[int, ...] = ()
    seed: Seed = 0


class TrainingConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How the weights are found.

    AdamW; the rate rises over the `warmup` share of all steps and falls as a cosine. `average` is
    the decay of the running average of weights that is judged and kept (0: none). The best epoch
    has the highest dev UAR, averaged over it and the `smooth` - 1 before: with a hundred dev clips,
    one epoch's is luck. `patience` epochs without a better one end it. `precision` is bf16 or
    float32; dev and test are always judged in float32.
    """

    epochs: Annotated[int, Meta(ge=1, le=100_000)] = 45
    batch_size: Annotated[int, Meta(ge=2, le=65_536)] = 32
    learning_rate: Positive = 2e-3
    weight_decay: Annotated[float, Meta(ge=0)] = 1e-2
    warmup: Share = 0.1
    clip_norm: Positive = 5.0
    label_smoothing: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    class_weights: bool = True
    average: Annotated[float, Meta(ge=0, lt=1)] = 0.99
    smooth: Annotated[int, Meta(ge=1)] = 5
    patience: Annotated[int, Meta(ge=1)] = 20
    precision: Literal["bf16", "float32"] = "bf16"
    seed: Seed = 0


class AugmentationConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is done to training frames, anew each time a clip is drawn; 0 turns a part off.

    SpecAugment (Park et al. 2019): `band_masks` of up to `band_width` bands, `frame_masks` of up to
    `frame_width` frames. `stretch`: tempo up to that share faster or slower. `speed`: played up to
    that share faster or slower, which moves tempo, pitch and formants together, as if another
    person spoke (Ko et al. 2015, "Audio Augmentation for Speech Recognition"). `tract`: formants
    and pitch alone up to that share higher or lower (vocal-tract length perturbation, Jaitly and
    Hinton 2013). `gain_db`: level up to that much louder or quieter. `mixup`: the parameter of the
    Beta distribution that two clips are mixed by (Zhang et al. 2018).

    `speed` and `tract` are done on mel bands, whose centres must be known: log-mel features only.
    """

    band_masks: Count = 2
    band_width: Count = 6
    frame_masks: Count = 2
    frame_width: Count = 12
    stretch: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    speed: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    tract: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    gain_db: Annotated[float, Meta(ge=0)] = 1.5
    mixup: Annotated[float, Meta(ge=0)] = 0.0


class Experiment(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A whole experiment. `features` and `model` hold a name and that extractor's or network's own
    settings, which are checked where they are used. `exclude` is a CSV of clips to be left out on
    every side, and why, as `affectus audit --exclusions` writes it.
    """

    name: str
    manifest: str
    store: str
    exclude: str = ""
    labels: LabelConfig = LabelConfig()
    features: dict[str, Any] = msgspec.field(default_factory=lambda: {"name": "logmel"})
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
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected an experiment in TOML.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}; expected TOML.") from None
    for change in changes:
        _apply(content, change)
    return make_experiment(content, str(path))


def make_experiment(content: Mapping[str, Any], place: str = "experiment") -> Experiment:
    """Turn nested plain values into an experiment, every one checked."""
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
    for part in ("features", "model"):
        if not isinstance(getattr(experiment, part).get("name"), str):
            raise ConfigError(f"{place}: {part} has no name; expected {part}.name.")
    name = experiment.name
    if not name or "/" in name or name.startswith(".") or not name.isprintable():
        raise ConfigError(f"{place}: name is '{experiment.name}'; expected a plain folder name.")
    return experiment


def write_experiment(experiment: Experiment, path: Path) -> None:
    """Write the whole experiment, defaults included, as TOML that `read_experiment` takes.

    Complete or not at all: a temporary file is renamed at the end.
    """
    lines = list(_toml_lines(msgspec.to_builtins(experiment), ""))
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml_lines(content: Mapping[str, Any], prefix: str) -> Iterator[str]:
    tables = {key: value for key, value in content.items() if isinstance(value, dict)}
    for key, value in content.items():
        if key not in tables and value is not None:
            yield f"{_toml_key(key)} = {_toml_value(value)}"
    for key, table in tables.items():
        yield f"\n[{prefix}{_toml_key(key)}]"
        yield from _toml_lines(table, f"{prefix}{_toml_key(key)}.")


def _toml_key(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _toml_value(key)


def _toml_value(value: Any) -> str:
    """Return a scalar, list or inline table; JSON's scalars are TOML's but for two characters."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml_key(k)} = {_toml_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def parse_changes(changes: Sequence[str]) -> dict[str, Any]:
    """Return `a=1` and `b.c=text` as nested values. Values are TOML; a bare word is text."""
    content: dict[str, Any] = {}
    for change in changes:
        _apply(content, change)
    return content


def _apply(content: dict[str, Any], change: str) -> None:
    name, sign, text = change.partition("=")
    *tables, key = name.strip().split(".")
    if not sign or not key:
        raise ConfigError(f"--set {change}: no '='; expected table.key=value.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    table = content
    for part in tables:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {change}: '{part}' is no table; expected table.key=value.")
    table[key] = value


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
    elif value is None and not key.startswith(("features.", "model.")):
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
