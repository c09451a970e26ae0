import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from small_models import FACE_CNN, KINDS, SMALL
from small_run import prepare

from affectus import export
from affectus.errors import ModelError
from affectus.export import compare, export_network, export_run
from affectus.export.int8 import quantise
from affectus.features import create_extractor
from affectus.models import Inputs, ModelConfig, create_model
from affectus.predictor import Predictor
from affectus.synthesis import synthesize_voice
from affectus.training import evaluate_run, train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run = train(prepare(folder, training={"epochs": 2, "batch_size": 8}), folder / "runs")
    evaluate_run(run, "test")
    return run


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kind", KINDS)
def test_every_model_exports_as_its_equal_at_twenty_lengths_and_three_batch_sizes(kind):
    torch.manual_seed(0)
    name, settings = KINDS[kind]
    network = create_model(ModelConfig(name, 32, 5, settings))
    network.mean.fill_(-40)
    network.deviation.fill_(15)
    network.train()
    voice = -40 + 15 * torch.randn(4, 64, 32)
    network(Inputs(voice, torch.tensor([64, 50, 40, 33])))  # the norms' statistics matter, too
    data = export_network(network.eval(), 32)
    assert len(export._LENGTHS) == 20
    assert compare(network, data, 32) < 1e-5


@pytest.mark.parametrize("name", ["branched_lstm", "av_attention", "face_cnn_lstm"])
def test_a_network_with_a_face_takes_it_and_exports_with_either_stream_missing(name):
    torch.manual_seed(0)
    settings = SMALL.get(name, FACE_CNN)
    network = create_model(ModelConfig(name, 32, 5, settings)).eval()
    network.face_mean.fill_(100)
    network.face_deviation.fill_(40)
    data = export_network(network, 32)
    session = onnxruntime.InferenceSession(data)
    taken = {stream.name for stream in session.get_inputs()}
    assert {"face", "face_lengths"} <= taken
    assert ("voice" in taken) == ("voice" in network.streams)
    n_face = settings["n_face"]
    for n_voice, n_faces in [([1], [1]), ([30], [0]), ([0, 77, 9], [12, 0, 3]), ([0], [5])]:
        if "voice" not in taken and 0 in n_faces:
            continue
        streams = {
            "voice": torch.randn(len(n_voice), max(1, *n_voice), 32),
            "voice_lengths": torch.tensor(n_voice),
            "face": 100 + 40 * torch.randn(len(n_faces), max(1, *n_faces), n_face),
            "face_lengths": torch.tensor(n_faces),
        }
        feed = {name: streams[name].numpy() for name in taken}
        ours = network(Inputs(**streams)).detach().numpy()
        np.testing.assert_allclose(session.run(None, feed)[0], ours, atol=1e-5)


def test_a_network_that_differs_is_seen():
    torch.manual_seed(0)
    one, other = (create_model(ModelConfig("crnn", 32, 5)).eval() for _ in range(2))
    assert compare(other, export_network(one, 32), 32) > 1e-3


def test_time_is_not_frozen():
    # torch.onnx.export(dynamo=True) of a recurrent net does so silently.
    torch.manual_seed(0)
    network = create_model(ModelConfig("crnn", 32, 5)).eval()
    session = onnxruntime.InferenceSession(export_network(network, 32))
    for length in (1, 50, 777):
        inputs = {
            "voice": np.zeros((1, length, 32), np.float32),
            "voice_lengths": np.array([length]),
        }
        assert session.run(None, inputs)[0].shape == (1, 5)


def test_a_model_folder_holds_what_a_prediction_needs(run, tmp_path):
    assert export_run(run, tmp_path / "m", fold=2) < 1e-4
    facts = json.loads((tmp_path / "m/model.json").read_text())
    assert facts["labels"] == ["neutral", "happy", "sad", "angry"]
    assert facts["extractor"]["n_mels"] == 32
    assert facts["provenance"]["fold"] == "fold-2"
    assert facts["evaluation"]["protocol"]["name"] == "sequential-6fold"
    judged = evaluate_run(run, "test").calibration
    assert facts["temperature"] == judged.temperatures["fold-2"] != 1
    assert facts["evaluation"]["ece"] == judged.ece.value
    assert set(facts["sha256"]) == {"model.onnx", "weights.safetensors", "MODEL_CARD.md"}
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_the_card_says_what_the_model_is_not_for(run, tmp_path):
    export_run(run, tmp_path / "m")
    card = (tmp_path / "m/MODEL_CARD.md").read_text()
    assert "UAR" in card and "sequential-6fold" in card
    assert "employment, education, law enforcement" in card
    assert "Only 2 speakers" in card  # a caution of the evaluation


def test_an_existing_folder_is_not_overwritten(run, tmp_path):
    (tmp_path / "m").mkdir()
    with pytest.raises(ModelError, match="there already; expected a new folder"):
        export_run(run, tmp_path / "m")


def test_a_fold_that_is_not_there_is_refused(run, tmp_path):
    with pytest.raises(ModelError, match="fold 3: expected 1 to 2"):
        export_run(run, tmp_path / "m", fold=3)


def test_an_export_that_differs_leaves_nothing_behind(run, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "compare", lambda *args: float("nan"))
    with pytest.raises(ModelError, match="the exported network differs by nan"):
        export_run(run, tmp_path / "m")
    assert not any(tmp_path.iterdir())


def test_in_eight_bits_convolutions_answer_as_before_and_no_clip_moves_another(run, tmp_path):
    export_run(run, tmp_path / "whole")
    export_run(run, tmp_path / "small", int8=True)
    data = (tmp_path / "small" / "model.onnx").read_bytes()
    kinds = [node.op_type for node in onnx.load_from_string(data).graph.node]
    assert "QLinearConv" in kinds and "Conv" not in kinds
    assert "Weights are in eight bits" in (tmp_path / "small" / "MODEL_CARD.md").read_text()
    whole, small = (Predictor(tmp_path / name, speech="off") for name in ("whole", "small"))
    change = small.facts.provenance["int8"]["largest_change"]
    assert 0 < change <= 0.05
    clips = [synthesize_voice(emotion, speaker=40, sample_rate=16_000) for emotion in whole.labels]
    for clip in clips:
        one, other = (m.predict((clip, 16_000), abstain=0).scores for m in (whole, small))
        assert one == pytest.approx(other, abs=0.05)
    network = onnxruntime.InferenceSession(data)
    shape = network.get_inputs()[0].shape
    voices = np.random.default_rng(0).normal(-40, 15, (3, 64, shape[2])).astype(np.float32)
    together = network.run(["logits"], {"voice": voices, "voice_lengths": np.array([64] * 3)})[0]
    for number in range(3):
        feed = {"voice": voices[number : number + 1], "voice_lengths": np.array([64])}
        assert network.run(["logits"], feed)[0] == pytest.approx(together[[number]], abs=1e-6)


def test_a_network_that_looks_at_faces_is_not_made_eight_bits():
    network = create_model(ModelConfig("av_attention", 64, 5, SMALL["av_attention"])).eval()
    with pytest.raises(ModelError, match="--int8: the network looks at faces; expected one of"):
        quantise(export_network(network, 64), create_extractor("logmel"), 1.0)
