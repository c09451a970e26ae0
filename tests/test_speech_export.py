"""A speech encoder and its head as one model folder, which predicts without the encoder's files."""

import shutil

import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs the extra 'speech'")

import small_encoders
import torch
from small_encoders import write_encoder
from small_run import write_tones

from affectus import models
from affectus.corpora import load_corpus
from affectus.errors import ConfigError, LimitError, ModelError
from affectus.experiment import make_experiment
from affectus.export import export_network, export_run, int8
from affectus.export.encoded import join
from affectus.extraction import extract_features
from affectus.features import create_extractor
from affectus.manifest import Manifest
from affectus.media import read_audio
from affectus.models import Inputs, ModelConfig, complete_config, create_model
from affectus.predictor import Predictor
from affectus.training import train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with tones and the files of a small WavLM."""
    place = tmp_path_factory.mktemp("export")
    load_corpus("table", write_tones(place / "recordings", 2)).write(place / "manifest.csv")
    write_encoder(place / "wavlm-base", "wavlm")
    return place


def probe(place, encoder, name, **features):
    """Train a probe of an encoder's pooled layers on one fold; return its run."""
    features = {"name": "wavlm", "model": str(encoder), **features}
    manifest = Manifest.read(place / "manifest.csv")
    store = place / f"store-{name}"
    assert extract_features(manifest, create_extractor(**features), store, workers=0).ok
    model = {"name": "logistic", "cost": 0.1}
    if "layer" not in features:
        model["n_layers"] = 4
    return train(
        make_experiment(
            {
                "name": name, "manifest": str(place / "manifest.csv"), "store": str(store),
                "labels": {"scheme": "four"}, "features": features,
                "split": {"protocol": "sequential-6fold", "folds": [1]}, "model": model,
                "augmentation": {"gain_db": 0.0},
            }
        ),
        place / "runs",
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(place):
    return probe(place, place / "wavlm-base", "probe")


def expected_logits(run, path):
    """What the run's own features and network say of a recording."""
    extractor = create_extractor(**run.experiment.features)
    network, _ = models.load(run.folder / "fold-1" / "weights.safetensors")
    recording = read_audio(path)
    frames = torch.from_numpy(extractor(recording.waveform, recording.sample_rate))[None]
    with torch.no_grad():
        return network(Inputs(frames, torch.tensor([frames.shape[1]])))[0].numpy()


def test_a_probe_is_exported_with_its_encoder_and_needs_its_files_no_more(place, tmp_path):
    encoder = tmp_path / "wavlm-base-plus"
    shutil.copytree(place / "wavlm-base", encoder)
    run = probe(place, encoder, "moved")
    paths = [clip.path for clip in Manifest.read(place / "manifest.csv").clips[:3]]
    expected = [expected_logits(run, path) for path in paths]
    assert export_run(run, tmp_path / "m") < 1e-4
    shutil.rmtree(encoder)
    model = Predictor(tmp_path / "m", speech="off")
    assert model.extractor.name == "waveform"
    for path, logits in zip(paths, expected, strict=True):
        shares = np.exp(logits / model.facts.temperature)
        found = model.predict(path, abstain=0)
        np.testing.assert_allclose(
            [found.scores[label] for label in model.labels], shares / shares.sum(), atol=1e-4
        )
    licences = "\n".join(model.facts.licences)
    assert "encoder wavlm-base-plus: CC BY-SA 3.0 by the model's card" in licences
    assert "encoder wavlm-base-plus: CC BY-SA" in (tmp_path / "m/MODEL_CARD.md").read_text()


@pytest.mark.parametrize("pooling", ["statistics", "none"])
def test_other_poolings_export_too(place, tmp_path, pooling):
    run = probe(place, place / "wavlm-base", f"pool-{pooling}", layer=2, pooling=pooling)
    assert export_run(run, tmp_path / "m") < 1e-4


def test_layers_that_a_probe_does_not_look_at_are_left_out(run):
    network, config = models.load(run.folder / "fold-1" / "weights.safetensors")
    whole = join(network, config, run.experiment)
    assert whole.network.layer == config.settings["layer"]
    assert whole.network.network.mean.shape == (32,)


def test_a_recording_longer_than_the_encoders_window_is_refused_at_once(run, tmp_path):
    export_run(run, tmp_path / "m")
    model = Predictor(tmp_path / "m", speech="off")
    sound = 0.1 * np.random.default_rng(0).standard_normal(32 * 16_000).astype("f4")
    with pytest.raises(LimitError, match=r"E1501 .*the network hears 30 s"):
        model.predict((sound, 16_000), window=31.0)
    assert model.predict((sound, 16_000)).scores  # in windows of 3 s


def test_sound_is_not_adapted_to_a_speaker(run, tmp_path):
    export_run(run, tmp_path / "m")
    model = Predictor(tmp_path / "m", speech="off")
    sound = 0.1 * np.random.default_rng(0).standard_normal(16_000).astype("f4")
    with pytest.raises(ConfigError, match="takes the sound itself, which has no features to adapt"):
        model.learn_speaker([(sound, 16_000)])


@pytest.mark.parametrize("settings", [{"finetune": 2}, {"lora_rank": 2}, {"layer": 2}])
def test_a_tuned_encoder_is_joined_with_its_adapters_merged(place, settings):
    torch.manual_seed(0)
    encoder = str(place / "wavlm-base")
    config = ModelConfig("speech_encoder", 1, 4, {"encoder": encoder, "n_attention": 8, **settings})
    network = create_model(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn_like(parameter)
    inputs = Inputs(0.1 * torch.randn(1, 8_000, 1), torch.tensor([8_000]))
    before = network(inputs).detach().numpy()
    experiment = make_experiment(
        {
            "name": "tuned", "manifest": "m.csv", "store": "s", "features": {"name": "waveform"},
            "model": {"name": "speech_encoder", "encoder": encoder, **settings},
        }
    )  # fmt: skip
    whole = join(network, complete_config(config, network), experiment)
    assert whole.is_sound and whole.licences[0].startswith("encoder wavlm-base: CC BY-SA")
    assert not any("parametrizations.weight.0" in name for name in whole.network.state_dict())
    import onnxruntime

    session = onnxruntime.InferenceSession(export_network(whole.network, 1))
    feed = {"voice": inputs.voice.numpy(), "voice_lengths": inputs.voice_lengths.numpy()}
    np.testing.assert_allclose(session.run(["logits"], feed)[0], before, atol=1e-4)


def test_eight_bits_are_smaller_and_say_what_they_changed(place, tmp_path, monkeypatch):
    kind, settings, normalised = small_encoders.SMALL["wavlm"]
    wide = settings | {"intermediate_size": 2048}
    monkeypatch.setitem(small_encoders.SMALL, "wavlm", (kind, wide, normalised))
    write_encoder(place / "wavlm-wide", "wavlm")
    run = probe(place, place / "wavlm-wide", "wide")
    export_run(run, tmp_path / "whole")
    export_run(run, tmp_path / "small", int8=True)
    sizes = [(tmp_path / name / "model.onnx").stat().st_size for name in ("whole", "small")]
    assert sizes[1] < 0.6 * sizes[0]
    model = Predictor(tmp_path / "small", speech="off")
    assert model.facts.provenance["int8"]["largest_change"] <= int8.LARGEST_CHANGE == 0.05
    assert "Weights are in eight bits" in (tmp_path / "small/MODEL_CARD.md").read_text()
    whole = Predictor(tmp_path / "whole", speech="off")
    path = Manifest.read(run.experiment.manifest).clips[0].path
    one, other = (m.predict(path, abstain=0).scores for m in (model, whole))
    assert max(abs(one[label] - other[label]) for label in one) < 0.1


def test_eight_bits_that_change_an_answer_are_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(int8, "LARGEST_CHANGE", 1e-9)
    with pytest.raises(ModelError, match=r"--int8: a score changes by .*; expected at most 1e-09"):
        export_run(run, tmp_path / "m", int8=True)
    assert not any(tmp_path.iterdir())


def test_a_network_too_large_for_one_file_is_refused(run, tmp_path, monkeypatch):
    from affectus.export import encoded

    monkeypatch.setattr(encoded, "_MOST_BYTES", 1000)
    with pytest.raises(ModelError, match=r"GB of weights; expected at most .* one ONNX file holds"):
        export_run(run, tmp_path / "m")
    assert not any(tmp_path.iterdir())
