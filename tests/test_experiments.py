"""The experiments that the project comes with: each can be read, built and extracted for."""

import inspect
import re
import shlex
from pathlib import Path

import pytest

from affectus.experiment import parse_changes, read_experiment
from affectus.features import create_extractor
from affectus.models import Network, create_model, list_models
from affectus.models.speech_encoder import SpeechEncoder
from affectus.splits import find_protocol
from affectus.training.learner import model_config_of

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "experiments").glob("*.toml"))
# Their weights are the reader's: nothing of them can be made here.
ENCODERS = {"wav2vec2", "xls-r", "hubert", "wavlm", "data2vec", "whisper"}
COMMAND = re.compile(r"^#   (affectus .*)$", flags=re.MULTILINE)


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def path(request):
    return request.param


def commands(path):
    """The commands of a file's comments, lines joined: {'train': [words]}."""
    text = path.read_text("utf-8").replace("\\\n#    ", "")
    return {line.split()[1]: shlex.split(line) for line in COMMAND.findall(text)}


def test_a_file_says_what_it_is_and_how_it_is_run(path):
    assert path.read_text("utf-8").startswith("# ")
    experiment = read_experiment(path)
    assert experiment.name == path.stem
    found = commands(path)
    assert set(found) == {"import", "extract", "train", "evaluate"}
    assert found["train"] == ["affectus", "train", f"experiments/{path.name}"]
    assert found["evaluate"] == ["affectus", "evaluate", f"runs/{path.stem}", "--on", "test"]
    assert found["import"][found["import"].index("-o") + 1] == experiment.manifest
    extract = found["extract"]
    assert extract[2] == experiment.manifest
    assert extract[extract.index("--store") + 1] == experiment.store


def test_what_is_extracted_is_what_it_trains_on(path):
    experiment, words = read_experiment(path), commands(path)["extract"]
    name = words[words.index("--features") + 1] if "--features" in words else "logmel"
    pairs = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    said = {"name": name} | parse_changes(pairs)
    if name in ENCODERS:
        assert said.items() <= dict(experiment.features).items()
        return
    assert create_extractor(**said) == create_extractor(**experiment.features)


def test_its_model_features_and_protocol_are_known(path):
    experiment = read_experiment(path)
    assert not find_protocol(experiment.split.protocol).leaky
    if experiment.features["name"] in ENCODERS:
        assert experiment.model["name"] in list_models()
        return
    n_features = len(create_extractor(**experiment.features).columns)
    n_face = 112 * 112 if experiment.face == {"name": "face_crops"} else 0  # pixels of a grey crop
    config = model_config_of(experiment, n_features, n_face)
    if config.name == "speech_encoder":  # whose files are the reader's
        assert set(config.settings) <= set(inspect.signature(SpeechEncoder).parameters)
        return
    assert isinstance(create_model(config), Network)


def test_every_model_has_an_experiment():
    assert {read_experiment(path).model["name"] for path in FILES} == set(list_models())
