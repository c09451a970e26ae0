"""A trained network as an extractor: its frames, and no others."""

import shutil

import msgspec
import numpy as np
import pytest
import torch
from small_run import prepare

from affectus import models
from affectus.errors import ConfigError, ModelError
from affectus.experiment import make_experiment
from affectus.export import export_run
from affectus.extraction import extract_features
from affectus.features import create_extractor, describe_extractor, restore_extractor
from affectus.manifest import Manifest
from affectus.models import Inputs
from affectus.store import FeatureStore
from affectus.training import evaluate_run, train


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a small corpus, its store, and the model folder of a training on it."""
    place = tmp_path_factory.mktemp("embedding")
    run = train(prepare(place, training={"epochs": 2, "batch_size": 8}), place / "runs")
    export_run(run, place / "model")
    return place


@pytest.fixture
def embedding(place):
    return create_extractor("embedding", model=str(place / "model"))


def voice(seconds):
    time = np.arange(round(seconds * 16_000)) / 16_000
    return (0.3 * np.sin(2 * np.pi * 400 * time) * np.hanning(len(time))).astype("f4")


@pytest.mark.parametrize("seconds", [0.15, 0.5, 1.7])
def test_frames_are_those_that_torch_makes_of_the_same_weights(place, embedding, seconds):
    network, _ = models.load(place / "model" / "weights.safetensors")
    frames = create_extractor("logmel", n_mels=32, f_max=6_000.0)(voice(seconds), 16_000)
    inputs = Inputs(torch.from_numpy(frames)[None], torch.tensor([len(frames)]))
    with torch.no_grad():
        expected, lengths = network.encode(inputs)
    found = embedding(voice(seconds), 16_000)
    assert found.dtype == np.float32
    assert found.shape == (int(lengths[0]), len(embedding.columns)) == (len(found), 16)
    np.testing.assert_allclose(found, expected[0, : len(found)], atol=1e-5)


def test_steps_follow_the_length_of_the_recording(embedding):
    # crnn halves time twice, log-mel has 62.5 frames a second.
    assert embedding.frame_rate == pytest.approx(62.5 / 4)
    short, long = (len(embedding(np.ones(n * 16_000, "f4"), 16_000)) for n in (2, 4))
    assert long - short == pytest.approx(2 * embedding.frame_rate, abs=1)


def test_the_same_sound_twice_gives_the_same_numbers(embedding):
    assert np.array_equal(embedding(voice(1), 16_000), embedding(voice(1), 16_000))


def test_the_hash_of_the_weights_is_part_of_the_record(place, embedding, tmp_path):
    record = describe_extractor(embedding)
    assert len(record["weights"]) == 64
    assert restore_extractor(record) == embedding
    other = tmp_path / "other"
    shutil.copytree(place / "model", other)
    assert (
        describe_extractor(create_extractor("embedding", model=str(other)))["weights"]
        == (record["weights"])
    )
    with pytest.raises(ConfigError, match="which the features were made with"):
        create_extractor("embedding", model=str(other), weights="0" * 64)


def test_a_damaged_model_is_refused(place, tmp_path):
    shutil.copytree(place / "model", tmp_path / "model")
    with (tmp_path / "model" / "model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match="has changed since it was exported"):
        create_extractor("embedding", model=str(tmp_path / "model"))


def test_without_a_model_it_is_refused():
    with pytest.raises(ConfigError, match="embedding: no model; expected a trained one"):
        create_extractor("embedding")


def test_weights_without_a_record_of_training_are_refused(place, tmp_path):
    shutil.copytree(place / "model", tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    facts = msgspec.json.decode(path.read_bytes())
    del facts["provenance"]["weights_sha256"]
    path.write_bytes(msgspec.json.encode(facts))
    with pytest.raises(ModelError, match="no record of a training; expected weights that were"):
        create_extractor("embedding", model=str(tmp_path / "model"))


def test_a_network_without_frames_is_refused(place, tmp_path):
    experiment = prepare(
        tmp_path,
        training={"epochs": 1, "batch_size": 8},
        model={"name": "branched_lstm", "n_hidden": 4, "n_heads": 1, "n_dense": [4, 4, 4]},
    )
    export_run(train(experiment, tmp_path / "runs"), tmp_path / "model")
    with pytest.raises(ModelError, match="its network makes no frames; expected one that does"):
        create_extractor("embedding", model=str(tmp_path / "model"))


def test_embeddings_are_extracted_by_workers_and_trained_on(place, embedding):
    manifest = Manifest.read(place / "manifest.csv")
    report = extract_features(manifest, embedding, place / "store", workers=2)
    assert report.ok
    with FeatureStore(place / "store") as store:
        clip = manifest.clips[5]
        kept = store.get("embedding", clip.content_key)
    from affectus.media import read_audio

    recording = read_audio(clip.path, sample_rate=16_000)
    np.testing.assert_allclose(kept, embedding(recording.waveform, 16_000), atol=1e-5)
    experiment = make_experiment(
        {
            "name": "second",
            "manifest": str(place / "manifest.csv"),
            "store": str(place / "store"),
            "labels": {"scheme": "four"},
            "features": describe_features(embedding),
            "split": {"protocol": "sequential-6fold", "folds": [1]},
            "model": {"name": "cnn_pooling_lstm", "channels": [], "n_hidden": [8, 4],
                      "n_dense": [8, 8]},
            "training": {"epochs": 2, "batch_size": 8},
            "augmentation": {"gain_db": 0.0},
        }
    )  # fmt: skip
    assert evaluate_run(train(experiment, place / "runs")).n_answered > 0


def describe_features(extractor):
    record = describe_extractor(extractor)
    return {key: value for key, value in record.items() if key != "version"}
