"""The experiments with speech encoders are what their heads and docs/speech-encoders.md say."""

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs the extra 'speech'")

import torch
from small_encoders import model_of, processor_of, write_encoder
from small_run import write_tones

from affectus.corpora import load_corpus
from affectus.experiment import parse_changes, read_experiment
from affectus.extraction import extract_features
from affectus.features import create_extractor
from affectus.features.speech import SPEECH
from affectus.manifest import Manifest
from affectus.training import evaluate_run, train

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "experiments").glob("ravdess-encoder-*.toml"))
PAGE = (ROOT / "docs/speech-encoders.md").read_text("utf-8")

pytestmark = pytest.mark.usefixtures("one_thread")

# How each recipe is made small: an encoder of three layers, one fold.
SMALL = {
    "probe": ("xls-r", ["features.model=ENCODER", "model.n_layers=4"]),
    "emobox": ("wavlm", ["features.model=ENCODER", "features.layer=3", "training.epochs=2"]),
    "finetune": ("wavlm", ["model.encoder=ENCODER", "model.finetune=3", "training.epochs=2"]),
    "lora": ("wavlm", ["model.encoder=ENCODER", "training.epochs=2"]),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with tones and the files of two small encoders."""
    place = tmp_path_factory.mktemp("recipes")
    load_corpus("table", write_tones(place / "recordings", 2)).write(place / "manifest.csv")
    write_encoder(place / "xls-r", "xls-r")
    write_encoder(place / "wavlm", "wavlm-large")
    return place


def command(path, verb):
    """The `affectus VERB` of a recipe's head, in words."""
    head = path.read_text("utf-8").replace("\\\n#", " ")
    return re.search(rf"^# +affectus ({verb} .*)$", head, flags=re.MULTILINE)[1].split()


@pytest.mark.parametrize("name", SMALL)
def test_a_recipe_trains_and_is_judged_as_its_head_says(place, name):
    path = ROOT / f"experiments/ravdess-encoder-{name}.toml"
    words = command(path, "extract")
    features = words[words.index("--features") + 1]
    kind, changed = SMALL[name]
    encoder = str(place / kind)
    settings = parse_changes([words[i + 1] for i, word in enumerate(words) if word == "--set"])
    if "layer" in settings:
        settings["layer"] = 3  # the last of the small one
    if features != "waveform":
        assert features == kind
        settings["model"] = encoder
    manifest = Manifest.read(place / "manifest.csv")
    extractor = create_extractor(features, **settings)
    assert extract_features(manifest, extractor, place / f"store-{name}", workers=0).ok
    changes = [
        f"manifest={place / 'manifest.csv'}", f"store={place / f'store-{name}'}",
        "labels.scheme=four", "split.protocol=sequential-6fold", "split.folds=[1]",
        *(text.replace("ENCODER", encoder) for text in changed),
    ]  # fmt: skip
    run = train(read_experiment(path, changes), place / "runs")
    assert run.folder.name == path.stem
    assert evaluate_run(run, "test").n_answered == 8


def test_every_recipe_is_run():
    assert {path.stem.rpartition("-")[2] for path in RECIPES} == set(SMALL)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipes_head_names_its_own_files(path):
    experiment = read_experiment(path)
    assert experiment.name == path.stem
    assert command(path, "train") == ["train", f"experiments/{path.name}"]
    assert command(path, "evaluate")[1] == f"runs/{path.stem}"
    words = command(path, "extract")
    assert words[words.index("--store") + 1] == experiment.store
    assert words[words.index("--features") + 1] == experiment.features["name"]
    assert f"experiments/{path.name}" in PAGE


def test_the_page_says_which_model_is_meant_by_a_name():
    rows = dict(re.findall(r"^\| `([\w-]+)` \| ([\w-]+/[\w.-]+) \|", PAGE, flags=re.MULTILINE))
    assert rows == {kind.name: kind.published for kind in SPEECH}


def test_a_pickled_checkpoint_is_converted_as_the_page_says(tmp_path, monkeypatch):
    # As wavlm-large lies on the hub: a .bin, with weight norm under its former names.
    model = model_of("wavlm-large")
    folder = tmp_path / "encoder-bin"
    folder.mkdir()
    model.config.save_pretrained(folder)
    processor_of("wavlm-large").save_pretrained(folder)
    names = {"parametrizations.weight.original0": "weight_g",
             "parametrizations.weight.original1": "weight_v"}  # fmt: skip
    weights = {}
    for key, value in model.state_dict().items():
        for new, old in names.items():
            key = key.replace(new, old)
        weights[key] = value
    torch.save(weights, folder / "pytorch_model.bin")
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)[1], {})
    sound = (0.1 * np.random.default_rng(0).standard_normal(16_000)).astype("f4")
    found = create_extractor("wavlm", model="encoder", layer=3)(sound, 16_000)
    values = processor_of("wavlm-large")(sound, sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        expected = model(values.input_values).last_hidden_state.mean(1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
