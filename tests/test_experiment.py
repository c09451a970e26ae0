"""Experiments: what a file says is what is run, and every slip is named with what was meant."""

import math
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectus.errors import ConfigError
from affectus.experiment import (
    AugmentationConfig,
    Experiment,
    LabelConfig,
    SplitConfig,
    TrainingConfig,
    make_experiment,
    parse_changes,
    read_experiment,
    write_experiment,
)

BARE = {"name": "try", "manifest": "own.csv", "store": "own-store"}
TEXT = """
name = "ravdess-crnn"
manifest = "ravdess.csv"
store = "ravdess-store"

[labels]
scheme = "six"

[features]
name = "logmel"
n_mels = 40

[split]
protocol = "sequential-6fold"
folds = [1, 3]

[model]
name = "crnn"
channels = [8, 16, 32]

[training]
epochs = 3
learning_rate = 1e-3

[augmentation]
mixup = 0.2
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "experiment.toml").write_text(TEXT)
    return tmp_path / "experiment.toml"


def refusal(path, *changes):
    with pytest.raises(ConfigError) as caught:
        read_experiment(path, changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- reading ---


def test_a_file_is_read_and_what_it_leaves_out_has_its_default(path):
    found = read_experiment(path)
    assert found == Experiment(
        name="ravdess-crnn",
        manifest="ravdess.csv",
        store="ravdess-store",
        labels=LabelConfig(scheme="six"),
        features={"name": "logmel", "n_mels": 40},
        split=SplitConfig(protocol="sequential-6fold", folds=(1, 3)),
        model={"name": "crnn", "channels": [8, 16, 32]},
        training=TrainingConfig(epochs=3, learning_rate=1e-3),
        augmentation=AugmentationConfig(mixup=0.2),
    )
    assert found.training.batch_size == TrainingConfig().batch_size


def test_name_manifest_and_store_are_enough():
    found = make_experiment(BARE)
    assert found == Experiment(**BARE)
    assert (found.features, found.model) == ({"name": "logmel"}, {"name": "crnn"})


def test_a_list_of_clips_to_be_left_out_comes_back(path, tmp_path):
    experiment = read_experiment(path, ["exclude=bad.csv"])
    assert experiment.exclude == "bad.csv"
    write_experiment(experiment, tmp_path / "again.toml")
    assert read_experiment(tmp_path / "again.toml") == experiment
    assert read_experiment(path).exclude == ""


@pytest.mark.parametrize("key", ["name", "manifest", "store"])
def test_a_key_that_is_needed_is_asked_for(key):
    with pytest.raises(ConfigError) as caught:
        make_experiment({k: v for k, v in BARE.items() if k != key})
    assert str(caught.value) == (
        f"ConfigError: experiment: no key '{key}'; expected name, manifest, store."
    )


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert refusal(tmp_path / "absent.toml") == (
        f"ConfigError: {tmp_path}/absent.toml: No such file or directory; expected an experiment "
        "in TOML."
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"name = \nstore = 3", "Invalid value (at line 1, column 8)"),
        (b"\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ],
)
def test_bad_toml_is_refused_with_its_place(path, text, found):
    path.write_bytes(text)
    assert refusal(path) == f"ConfigError: {path}: {found}; expected TOML."


# --- unknown keys ---


@pytest.mark.parametrize(
    ("change", "key", "meant"),
    [
        ("manifst=a.csv", "manifst", "manifest"),
        ("training.epoch=5", "training.epoch", "epochs"),
        ("labels.schema=six", "labels.schema", "scheme"),
        ("split.fold=1", "split.fold", "folds"),
        ("augmentation.mix_up=1", "augmentation.mix_up", "mixup"),
        ("augmentatoin.mixup=1", "augmentatoin", "augmentation"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(path, change, key, meant):
    text = refusal(path, change)
    assert text.startswith(f"ConfigError: {path}: unknown key '{key}'; known: ")
    assert text.endswith(f". Did you mean '{meant}'?")


def test_an_unknown_key_that_is_like_none_is_refused_with_all(path):
    assert refusal(path, "split.zzz=1") == (
        f"ConfigError: {path}: unknown key 'split.zzz'; known: protocol, file, folds, seed."
    )


def test_settings_of_features_and_models_are_left_to_those_who_know_them(path):
    found = read_experiment(path, ["model.anything=[1, 2]", "features.odd='x'"])
    assert found.model["anything"] == [1, 2]
    assert found.features["odd"] == "x"


# --- types and ranges ---


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("training.epochs=0", "training.epochs is 0; expected int >= 1"),
        ("training.epochs=2.5", "training.epochs is 2.5; expected int"),
        ("training.epochs=many", "training.epochs is 'many'; expected int"),
        ("training.epochs=true", "training.epochs is True; expected int"),
        ("training.batch_size=1", "training.batch_size is 1; expected int >= 2"),
        ("training.learning_rate=0.0", "training.learning_rate is 0.0; expected float > 0.0"),
        ("training.warmup=1.5", "training.warmup is 1.5; expected float <= 1.0"),
        ("training.average=1.0", "training.average is 1.0; expected float < 1.0"),
        ("training.class_weights=1", "training.class_weights is 1; expected bool"),
        (
            "training.precision=half",
            "training.precision is 'half'; expected bf16 or fp16 or float32",
        ),
        ("training.seed=-1", "training.seed is -1; expected int >= 0"),
        ("split.seed=-1", "split.seed is -1; expected int >= 0"),
        ("split.folds=[1, 'two']", "split.folds[1] is 'two'; expected int"),
        ("split.folds=1", "split.folds is 1; expected a list"),
        ("labels.calm=loud", "labels.calm is 'loud'; expected keep or merge or drop"),
        ("labels.surprised=merge", "labels.surprised is 'merge'; expected keep or drop"),
        ("augmentation.band_masks=-1", "augmentation.band_masks is -1; expected int >= 0"),
        ("augmentation.stretch=1.0", "augmentation.stretch is 1.0; expected float < 1.0"),
        ("manifest=3", "manifest is 3; expected text"),
        ("features=3", "features is 3; expected a table"),
        ("training=3", "'training' is 3; expected a table"),
    ],
)
def test_a_wrong_value_is_refused_in_words(path, change, found):
    assert refusal(path, change) == f"ConfigError: {path}: {found}."


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("table", ["training", "model"])
def test_numbers_that_are_not_finite_are_refused(value, table):
    content = {"training": {"learning_rate": value}, "model": {"name": "crnn", "sizes": [1, value]}}
    with pytest.raises(ConfigError, match=f"{table}.* is {value}; expected text, a finite number"):
        make_experiment({**BARE, table: content[table]})


def test_what_toml_cannot_say_is_refused_and_not_left_out():
    # Written without the key, `trim_db = None` would be read back as the default.
    with pytest.raises(ConfigError, match=r"features\.trim_db is None; expected text, a finite"):
        make_experiment({**BARE, "features": {"name": "logmel", "trim_db": None}})


def test_a_policy_may_be_none_for_that_of_the_scheme():
    assert make_experiment({**BARE, "labels": {"calm": None}}) == make_experiment(BARE)


@pytest.mark.parametrize("part", ["features", "model"])
def test_features_and_model_need_a_name(part):
    with pytest.raises(ConfigError) as caught:
        make_experiment({**BARE, part: {"n_mels": 3}})
    assert str(caught.value) == (
        f"ConfigError: experiment: {part} has no name; expected {part}.name."
    )


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a\nb", "a\0b"])
def test_a_name_that_is_no_plain_folder_name_is_refused(name):
    with pytest.raises(ConfigError, match="expected a plain folder name"):
        make_experiment({**BARE, "name": name})


# --- changes ---


@pytest.mark.parametrize(
    ("change", "table", "key", "value"),
    [
        ("training.epochs=7", "training", "epochs", 7),
        ("training.learning_rate=3e-4", "training", "learning_rate", 3e-4),
        ("training.learning_rate=1", "training", "learning_rate", 1.0),
        ("training.class_weights=false", "training", "class_weights", False),
        ("training.precision=float32", "training", "precision", "float32"),
        ('training.precision="float32"', "training", "precision", "float32"),
        ("split.folds=[2]", "split", "folds", (2,)),
        ("split.file=a b=c.json", "split", "file", "a b=c.json"),
        (" labels.scheme =seven", "labels", "scheme", "seven"),
    ],
)
def test_a_change_has_the_type_of_its_key(path, change, table, key, value):
    found = getattr(getattr(read_experiment(path, [change]), table), key)
    assert found == value
    assert type(found) is type(value)


def test_changes_reach_into_tables_and_beside_them(path):
    changes = ["name=other", "model.channels=[4]", "model.n_hidden=5", "features.n_mels=20"]
    found = read_experiment(path, changes)
    assert found.name == "other"
    assert found.model == {"name": "crnn", "channels": [4], "n_hidden": 5}
    assert found.features == {"name": "logmel", "n_mels": 20}
    assert found.training.epochs == 3  # as the file has it


def test_the_last_of_two_changes_counts(path):
    found = read_experiment(path, ["training.epochs=7", "training.epochs=8"])
    assert found.training.epochs == 8


def test_a_number_in_the_place_of_a_name_is_refused(path):
    assert refusal(path, "name=5") == f"ConfigError: {path}: name is 5; expected text."


@pytest.mark.parametrize("change", ["training.epochs", "", "=5", "training.=5"])
def test_a_change_that_is_none_is_refused(path, change):
    assert refusal(path, change) == (
        f"ConfigError: --set {change}: no '='; expected table.key=value."
    )


def test_a_change_below_a_value_is_refused(path):
    assert refusal(path, "training.epochs.more=5") == (
        "ConfigError: --set training.epochs.more=5: 'epochs' is no table; expected table.key=value."
    )


def test_changes_alone_make_nested_values():
    assert parse_changes(["a=1", "b.c=text", "b.d=[1.5]", "b.e.f=true"]) == {
        "a": 1,
        "b": {"c": "text", "d": [1.5], "e": {"f": True}},
    }


# --- writing ---


def test_an_experiment_is_written_whole_and_read_back(path, tmp_path):
    found = read_experiment(path)
    write_experiment(found, tmp_path / "again.toml")
    assert read_experiment(tmp_path / "again.toml") == found
    written = tomllib.loads((tmp_path / "again.toml").read_text("utf-8"))
    assert written["training"]["batch_size"] == 32  # defaults too: they may change one day
    assert written["augmentation"].keys() == set(AugmentationConfig.__struct_fields__)


NESTED = {
    "name": "crnn",
    "channels": [8, 16],
    "grid": [[1, 2], [3.5]],
    "head": {"n_hidden": 5, "deep": {"on": True, "words": ["a", "b"]}},
    "layers": [{"size": 3, "kind": "x"}, {"size": 4}],
    "a key.with dots": 1,
    "empty": {},
    "none": [],
}


def test_nested_settings_come_back(tmp_path):
    found = make_experiment({**BARE, "model": NESTED})
    write_experiment(found, tmp_path / "e.toml")
    again = read_experiment(tmp_path / "e.toml")
    assert again.model == NESTED
    assert again == found


def test_a_tuple_is_a_list_so_that_a_run_can_be_resumed(tmp_path):
    found = make_experiment({**BARE, "model": {"name": "crnn", "channels": (8, 16)}})
    write_experiment(found, tmp_path / "e.toml")
    assert read_experiment(tmp_path / "e.toml") == found


values = st.one_of(
    st.text(max_size=8),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
)
tables = st.dictionaries(
    st.text(min_size=1, max_size=5),
    st.one_of(values, st.lists(values, max_size=3)),
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=5), st.one_of(values, tables), max_size=4))
def test_any_settings_of_a_model_come_back(tmp_path_factory, model):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    found = make_experiment({**BARE, "model": {**model, "name": "\U0001f600 é \x7f\\\"'"}})
    write_experiment(found, path)
    assert read_experiment(path) == found


def test_writing_is_complete_or_not_at_all(path, tmp_path, monkeypatch):
    before = path.read_text()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(Path, "replace", full)
        write_experiment(make_experiment(BARE), path)
    assert path.read_text() == before


# --- schemes ---


@pytest.mark.parametrize(
    ("labels", "k", "calm_counts_as"),
    [
        ({}, 8, "calm"),
        ({"scheme": "seven"}, 7, "neutral"),
        ({"scheme": "seven", "calm": "drop"}, 7, None),
        ({"scheme": "six"}, 6, "neutral"),
        ({"scheme": "six", "calm": "drop", "surprised": "drop"}, 6, None),
        ({"scheme": "four"}, 4, "neutral"),
    ],
)
def test_the_scheme_is_that_of_the_labels(labels, k, calm_counts_as):
    scheme = make_experiment({**BARE, "labels": labels}).scheme
    assert len(scheme.labels) == k
    assert scheme.label("calm") == calm_counts_as


@pytest.mark.parametrize(
    "labels",
    [{"scheme": "six", "calm": "keep"}, {"scheme": "eight", "surprised": "drop"}, {"scheme": "x"}],
)
def test_a_policy_that_contradicts_the_scheme_is_refused(labels):
    # At once: a training would make its folder first.
    with pytest.raises(ConfigError, match="ConfigError: experiment: labels: "):
        make_experiment({**BARE, "labels": labels})


def test_an_experiment_survives_json():
    found = make_experiment({**BARE, "model": NESTED})
    assert msgspec.json.decode(msgspec.json.encode(found), type=Experiment) == found
