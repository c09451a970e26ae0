"""A speech encoder with a head: what is learnt, what stays, and that it is one in the end."""

import copy

import numpy as np
import onnxruntime
import pytest

pytest.importorskip("transformers", reason="needs the extra 'speech'")

import torch
from small_encoders import NAMES, write_encoder

from affectus import models
from affectus.encoders.computing import open_encoder
from affectus.errors import ConfigError
from affectus.export import export_network
from affectus.features import create_extractor
from affectus.models import Inputs, ModelConfig, Network, complete_config, create_model
from affectus.models.speech_encoder import EncodedNetwork, merge_adapters

N_LABELS = 4


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """A folder for each small encoder."""
    place = tmp_path_factory.mktemp("encoders")
    return {name: write_encoder(place / name, name) for name in NAMES}


pytestmark = pytest.mark.usefixtures("one_thread")


def network_of(folder, **settings):
    torch.manual_seed(0)
    settings = {"encoder": folder, "n_attention": 8, "dropout": 0.0, **settings}
    return create_model(ModelConfig("speech_encoder", 1, N_LABELS, settings))


def sounds(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [torch.from_numpy((0.1 * rng.standard_normal((n, 1))).astype("f4")) for n in lengths]


def batch(sounds):
    padded = torch.nn.utils.rnn.pad_sequence(sounds, batch_first=True)
    return Inputs(padded, torch.tensor([len(sound) for sound in sounds]))


def tones(n=8):
    """Clips whose label is their pitch."""
    labels = torch.arange(n) % N_LABELS
    time = torch.arange(4_800) / 16_000
    clips = [
        (torch.sin(2 * torch.pi * (300 + 900 * k) * time[: 4_000 + 100 * i]) * 0.3)[:, None]
        for i, k in enumerate(labels.tolist())
    ]
    return batch(clips), labels


# --- what it computes ---


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_no_logit(folders, name):
    network = network_of(folders[name]).eval()
    clips = sounds([16_000, 5_000, 333, 1])
    together = network(batch(clips))
    for clip, logits in zip(clips, together, strict=True):
        torch.testing.assert_close(network(batch([clip]))[0], logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pooling", ["mean", "statistics"])
def test_pooled_frames_are_those_of_the_extractor(folders, pooling):
    # The features `wavlm` and the network's own way agree: the head is all that differs.
    network = network_of(folders["wavlm"], layer=2, pooling=pooling).eval()
    extractor = create_extractor("wavlm", model=folders["wavlm"], layer=2, pooling=pooling)
    (clip,) = sounds([9_000])
    pooled = torch.from_numpy(extractor(clip[:, 0].numpy(), 16_000))
    torch.testing.assert_close(
        network(batch([clip])), network.body.output(pooled), atol=1e-5, rtol=0
    )


def test_layers_are_mixed_evenly_before_anything_is_learnt(folders):
    network = network_of(folders["xls-r"], pooling="mean").eval()
    extractor = create_extractor("xls-r", model=folders["xls-r"])
    (clip,) = sounds([9_000])
    every = torch.from_numpy(extractor(clip[:, 0].numpy(), 16_000)).reshape(4, 32)
    expected = network.body.output(every.mean(0, keepdim=True))
    torch.testing.assert_close(network(batch([clip])), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["wav2vec2", "wavlm", "whisper"])
@pytest.mark.parametrize("pooling", ["mean", "statistics", "none"])
def test_an_encoder_in_front_of_a_trained_head_is_features_and_head(folders, name, pooling):
    window = {"window": 3.0, "overlap": 0.5} if name == "whisper" else {}
    extractor = create_extractor(name, model=folders[name], pooling=pooling, **window)
    torch.manual_seed(1)
    head = create_model(ModelConfig("logistic", len(extractor.columns), N_LABELS)).eval()
    head.mean += torch.randn_like(head.mean)
    whole = EncodedNetwork(open_encoder(folders[name]), head, layer=None, pooling=pooling).eval()
    clips = sounds([9_000, 16_000])
    found = whole(batch(clips))
    for clip, logits in zip(clips, found, strict=True):
        frames = torch.from_numpy(extractor(clip[:, 0].numpy(), 16_000))[None]
        expected = head(Inputs(frames, torch.tensor([frames.shape[1]])))[0]
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)


# --- what it learns ---

WAYS = {
    "frozen": {},
    "one layer": {"layer": 2, "finetune": 1, "encoder_rate": 0.1},
    "whole": {"finetune": 3, "encoder_rate": 0.1},
    "adapters": {"lora_rank": 4},
}


def learn(network, steps=60, rate=0.02):
    inputs, labels = tones()
    groups = [
        {"params": parameters, "lr": rate * share}
        for parameters, share in network.parameter_groups()
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.0)
    network.train()
    for _ in range(steps):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(inputs), labels)
        loss.backward()
        optimiser.step()
    return loss.item()


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_is_learnt_by_heart_and_what_is_not_tuned_stays(folders, way):
    network = network_of(folders["wavlm"], **WAYS[way])
    before = copy.deepcopy(network.state_dict())
    assert learn(network) < 0.1
    changed = {n for n, value in network.state_dict().items() if not torch.equal(value, before[n])}
    inside = {name for name in changed if name.startswith("body.encoder.")}
    layers = {name.split(".layers.")[1].split(".")[0] for name in inside if ".layers." in name}
    assert "body.output.weight" in changed
    assert not any("feature_extractor" in name for name in inside)
    if way == "frozen":
        assert not inside
    elif way == "one layer":
        assert layers == {"1"}  # the top one of the two below layer 2's output
        assert all(".layers." in name for name in inside)
    elif way == "whole":
        assert layers == {"0", "1", "2"}
        assert any("pos_conv_embed" in name for name in inside)
    else:
        assert layers == {"0", "1", "2"}
        assert all(name.endswith((".up", ".down")) for name in inside)


def test_lower_layers_learn_more_slowly(folders):
    network = network_of(folders["xls-r"], finetune=3, encoder_rate=0.1, layer_decay=0.5)
    groups = network.parameter_groups()
    assert [share for _, share in groups] == pytest.approx([1.0, 0.1, 0.05, 0.025, 0.0125])
    top = {id(p) for p in network.body.encoder.layers[2].parameters()}
    assert {id(p) for p in groups[1][0]} == top
    learnt = [p for p in network.parameters() if p.requires_grad]
    assert sorted(id(p) for ps, _ in groups for p in ps) == sorted(map(id, learnt))


def test_networks_without_groups_of_their_own_have_one(folders):
    network = create_model(ModelConfig("tcn", 8, N_LABELS, {"n_filters": 4}))
    ((parameters, share),) = network.parameter_groups()
    assert share == 1.0
    assert len(parameters) == len(list(network.parameters()))


@pytest.mark.parametrize("way", ["frozen", "one layer"])
def test_what_is_not_tuned_has_no_dropout(folders, way):
    network = network_of(folders["hubert"], **WAYS[way]).train()
    modes = {module.training for module in network.body.encoder.layers[0].modules()}
    assert modes == {False}
    assert network.body.encoder.layers[1].training == (way == "one layer")
    assert network.body.dropout.training


def test_adapters_begin_as_nothing_and_are_few(folders):
    plain, adapted = network_of(folders["xls-r"]), network_of(folders["xls-r"], lora_rank=2)
    inputs = batch(sounds([8_000]))
    torch.testing.assert_close(plain.eval()(inputs), adapted.eval()(inputs))
    extra = models.count_parameters(adapted) - models.count_parameters(plain)
    assert extra == 3 * 2 * (2 * 32 + 32 * 2)  # layers, queries and values, up and down


@pytest.mark.parametrize("name", ["xls-r", "wavlm", "whisper"])
def test_merged_adapters_answer_alike(folders, name):
    network = network_of(folders[name], lora_rank=2)
    learn(network, steps=3)
    network.eval()
    inputs = batch(sounds([8_000, 3_000]))
    before = network(inputs)
    merge_adapters(network)
    torch.testing.assert_close(network(inputs), before, atol=1e-5, rtol=0)
    assert not any("parametrizations" in name for name in network.state_dict() if "layers" in name)


# --- saved, exported ---


@pytest.mark.parametrize("way", WAYS)
def test_a_saved_network_needs_the_encoders_files_no_more(folders, tmp_path, way):
    config = ModelConfig(
        "speech_encoder", 1, N_LABELS,
        {"encoder": folders["wavlm-large"], "n_attention": 8, **WAYS[way]},
    )  # fmt: skip
    network = create_model(config)
    learn(network, steps=2)
    whole = complete_config(config, network)
    assert len(whole.settings["weights"]) == 64
    gone = models.ModelConfig(whole.name, 1, N_LABELS, {**whole.settings, "encoder": "gone"})
    models.save(network, gone, tmp_path / "w.safetensors")
    loaded, found = models.load(tmp_path / "w.safetensors")
    assert found.settings["weights"] == whole.settings["weights"]
    inputs = batch(sounds([8_000, 3_000]))
    torch.testing.assert_close(loaded(inputs), network.eval()(inputs))


@pytest.mark.parametrize("name", NAMES)
def test_it_exports_as_its_equal_at_many_lengths(folders, name):
    network = network_of(folders[name]).eval()
    session = onnxruntime.InferenceSession(export_network(network, 1))
    for longest in (1, 100, 333, 5_000, 16_001, 40_007):
        clips = sounds([longest, longest // 2 + 1, longest // 3 + 1], seed=longest)
        inputs = batch(clips)
        feed = {"voice": inputs.voice.numpy(), "voice_lengths": inputs.voice_lengths.numpy()}
        (found,) = session.run(["logits"], feed)
        np.testing.assert_allclose(found, network(inputs).detach().numpy(), atol=1e-5)


# --- what is refused ---


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"encoder": ""}, "no encoder; give model.encoder a folder or a hub name"),
        ({"layer": 4}, "layer is 4, which is not -1 to 3"),
        ({"pooling": "max"}, "pooling is max, which is not one of attention, mean, statistics"),
        ({"finetune": 4}, "finetune is 4, which is not 0 to 3"),
        ({"lora_rank": 33}, "lora_rank is 33, which is not 0 to 32"),
        ({"layer_decay": 0.0}, "layer_decay is 0.0, which is not above 0, to 1"),
        ({"finetune": 1, "lora_rank": 1}, "both finetune and lora_rank are set; choose one"),
        ({"weights": "0" * 64}, "not 000000000000"),
    ],
)
def test_settings_that_do_not_do_are_refused(folders, settings, said):
    with pytest.raises(ConfigError) as caught:
        network_of(folders["xls-r"], **settings)
    assert said in str(caught.value)


def test_other_features_are_refused(folders):
    with pytest.raises(ConfigError, match=r"it takes features\.name = 'waveform'"):
        create_model(ModelConfig("speech_encoder", 64, 4, {"encoder": folders["xls-r"]}))


def test_it_takes_the_sound_as_it_is(folders):
    assert network_of(folders["xls-r"]).takes_raw
    assert not Network(torch.nn.Identity(), 3).takes_raw
