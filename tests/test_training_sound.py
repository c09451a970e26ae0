"""A speech encoder trained from the sound on: its rates, what is learnt of it, what is refused."""

import json

import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs the extra 'speech'")

import torch
from safetensors import safe_open
from safetensors.numpy import load_file
from small_encoders import write_encoder
from small_run import write_tones

from affectus import models
from affectus.batches import training_batches
from affectus.cli import run as command
from affectus.corpora import load_corpus
from affectus.errors import ConfigError
from affectus.experiment import AugmentationConfig, make_experiment
from affectus.extraction import extract_features
from affectus.features import create_extractor
from affectus.training import evaluate_run, train
from affectus.training.checkpoints import find_states

OFF = {"band_masks": 0, "frame_masks": 0, "stretch": 0.0}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("sound")
    manifest = load_corpus("table", write_tones(place / "recordings", n_takes=1))
    manifest.write(place / "manifest.csv")
    write_encoder(place / "encoder", "xls-r")
    assert extract_features(manifest, create_extractor("waveform"), place / "store", workers=0).ok
    return place


def experiment(place, name="sound", **changes):
    content = {
        "name": name,
        "manifest": str(place / "manifest.csv"),
        "store": str(place / "store"),
        "labels": {"scheme": "four"},
        "features": {"name": "waveform"},
        "split": {"protocol": "sequential-6fold", "folds": [1]},
        "model": {"name": "speech_encoder", "encoder": str(place / "encoder"), "finetune": 1},
        "training": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-2, "average": 0.5},
        "augmentation": {**OFF, "mixup": 0.2},
    }
    return make_experiment({**content, **changes})


@pytest.fixture(scope="module")
def trained(place):
    return train(experiment(place), place / "runs")


def weights_of(run, name="weights.safetensors"):
    return load_file(run.folder / "fold-1" / name)


def test_only_what_is_tuned_moves(trained, place):
    settings = {"encoder": str(place / "encoder"), "finetune": 1}
    fresh = models.create_model(models.ModelConfig("speech_encoder", 1, 4, settings))
    before = {name: value.numpy() for name, value in fresh.state_dict().items()}
    after = weights_of(trained)
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    learnt = {name for name, value in fresh.named_parameters() if value.requires_grad}
    encoder = {name for name in learnt if name.startswith("body.encoder.")}
    assert encoder and encoder <= moved
    assert not {name for name in moved if name.startswith("body.encoder.")} - encoder
    # The sound goes in as it is: the encoder scales it.
    assert after["mean"].tolist() == [0.0] and after["deviation"].tolist() == [1.0]


def test_a_trained_model_needs_the_encoder_s_files_no_more(trained, place, monkeypatch):
    hidden = place / "encoder-away"
    (place / "encoder").rename(hidden)
    try:
        found = evaluate_run(trained, "test")
        network, config = models.load(trained.folder / "fold-1" / "weights.safetensors")
    finally:
        hidden.rename(place / "encoder")
    assert (found.n_answered, found.n_planned) == (4, 4)
    assert config.settings["weights"] and network.takes_raw


def test_each_layer_has_its_share_of_the_rate(place):
    from affectus.batches import load_examples
    from affectus.manifest import Manifest
    from affectus.store import FeatureStore
    from affectus.training.learner import create_learner
    from affectus.training.optimising import set_rate

    config = experiment(
        place,
        model={
            "name": "speech_encoder", "encoder": str(place / "encoder"), "finetune": 2,
            "encoder_rate": 0.1, "layer_decay": 0.5,
        },
    )  # fmt: skip
    with FeatureStore(place / "store") as store:
        clips = Manifest.read(place / "manifest.csv").clips
        examples = load_examples(clips, store, "waveform", config.scheme)
    learner, _ = create_learner(config, examples, 1)
    set_rate(learner.optimiser, 0.2)
    # The head, the top layer, the one below it.
    assert [group["lr"] for group in learner.optimiser.param_groups] == pytest.approx(
        [0.2, 0.02, 0.01]
    )
    shared = [
        name
        for (name, mine), its in zip(
            learner.network.named_parameters(), learner.average.parameters(), strict=True
        )
        if mine is its
    ]
    assert shared and all(name.startswith("body.encoder.") for name in shared)


def test_killed_it_ends_with_the_same_weights(trained, place):
    class Killed(BaseException):
        pass

    def kill(epoch, done, total):
        raise Killed

    config = experiment(place)
    with pytest.raises(Killed):
        train(config, place / "killed", on_epoch=kill)
    (state,) = find_states(place / "killed/sound/fold-1")
    with safe_open(state, framework="np") as file:
        kept = {name.removeprefix("network.") for name in file.keys()}  # noqa: SIM118
    network, _ = models.load(trained.folder / "fold-1" / "weights.safetensors")
    fixed = {name for name, value in network.named_parameters() if not value.requires_grad}
    assert fixed and not kept & fixed  # an encoder may be a gigabyte
    assert {"mean", "body.output.weight"} <= kept
    again = train(config, place / "killed", resume=True)
    for name in ("weights.safetensors", "last.safetensors"):
        first, second = weights_of(trained, name), weights_of(again, name)
        assert all(np.array_equal(first[key], second[key]) for key in first)


def test_adapters_are_learnt_alone(place):
    model = {"name": "speech_encoder", "encoder": str(place / "encoder"), "lora_rank": 2}
    run = train(
        experiment(place, "lora", model=model, training={"epochs": 1, "batch_size": 8}),
        place / "runs",
    )
    facts = json.loads((run.folder / "fold-1/provenance.json").read_text())
    # 3 layers, queries and values, 32x2 and 2x32 each; the head: mix, attention, output.
    assert facts["n_parameters"] == 3 * 2 * 2 * 64 + 4 + (32 * 64 + 64 + 64 + 1) + (64 * 4 + 4)


def test_what_is_for_spectrograms_is_refused_in_words(place, capsys):
    config = experiment(place, "masks", augmentation={"noise": ["white"]})
    with pytest.raises(
        ConfigError,
        match=r"augmentation\.band_masks, frame_masks, stretch, noise: for frames of a "
        r"spectrogram, but features 'waveform' are sound; expected gain_db and mixup alone\. Add "
        r"--set augmentation\.band_masks=0 --set augmentation\.frame_masks=0 --set "
        r"augmentation\.stretch=0 --set augmentation\.noise=\[\]$",
    ):
        train(config, place / "runs")


def test_the_command_trains_it(place, tmp_path):
    from affectus.experiment import write_experiment

    with pytest.raises(ConfigError, match=r"gain_db is 1\.5, but the features 'waveform' are"):
        plain = experiment(place, "cnn", model={"name": "logistic"}, augmentation=OFF)
        train(plain, tmp_path)
    write_experiment(experiment(place, "masks", augmentation={}), tmp_path / "e.toml")
    words = ["train", str(tmp_path / "e.toml"), "--runs", str(tmp_path)]
    assert command(words) == 2
    words += ["--set", "training.epochs=1"]
    for key, value in OFF.items():
        words += ["--set", f"augmentation.{key}={value}"]
    assert command(words) == 0
    assert (tmp_path / "masks/fold-1/predictions_dev.csv").is_file()


def test_gain_on_sound_is_what_it_means_there(place):
    from affectus.batches import Examples

    sound = torch.randn(1_000, 1)
    examples = Examples((), (sound,), np.zeros(1, np.intp))
    off = dict.fromkeys(("band_masks", "frame_masks", "stretch"), 0)
    config = AugmentationConfig(**off, gain_db=6.0)
    batch = next(
        iter(
            training_batches(
                examples, 2, 2, config, torch.zeros(1), np.random.default_rng(0), is_sound=True
            )
        )
    )
    ratio = batch.inputs.voice[0, :1_000] / sound
    # One factor between -6 and 6 dB, and not 1.
    assert ratio.std() < 1e-5
    level = 20 * np.log10(float(ratio.mean()))
    assert -6 <= level <= 6 and abs(level) > 0.01
