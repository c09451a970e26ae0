import json
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from small_models import SMALL
from small_run import prepare

from affectus import export
from affectus.errors import ModelError
from affectus.export import compare, export_network, export_run
from affectus.models import Inputs, ModelConfig, create_model
from affectus.training import evaluate_run, train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run = train(prepare(folder, training={"epochs": 2, "batch_size": 8}), folder / "runs")
    evaluate_run(run, "test")
    return run


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", SMALL)
def test_every_model_exports_as_its_equal_at_twenty_lengths_and_three_batch_sizes(name):
    torch.manual_seed(0)
    network = create_model(ModelConfig(name, 32, 5, SMALL[name]))
    network.mean.fill_(-40)
    network.deviation.fill_(15)
    network.train()
    voice = -40 + 15 * torch.randn(4, 64, 32)
    network(Inputs(voice, torch.tensor([64, 50, 40, 33])))  # the norms' statistics matter, too
    data = export_network(network.eval(), 32)
    assert len(export._LENGTHS) == 20
    assert compare(network, data, 32) < 1e-5


def test_a_voice_with_a_face_exports_as_its_equal(tmp_path):
    # No model folder has a face yet; the network must not be what prevents one.
    class ByPosition(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, *streams):
            return self.network(Inputs(*streams))

    torch.manual_seed(0)
    network = create_model(ModelConfig("branched_lstm", 32, 5, SMALL["branched_lstm"])).eval()
    names = ["voice", "voice_lengths", "face", "face_lengths"]
    example = (torch.zeros(2, 50, 32), torch.tensor([50, 9]), torch.zeros(2, 7, 6))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            ByPosition().eval(), (*example, torch.tensor([7, 0])), tmp_path / "m.onnx",
            dynamo=False,
            input_names=names, dynamic_axes={name: [0, 1][: 1 + (i % 2 == 0)] for i, name in
                                             enumerate(names)},
        )  # fmt: skip
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    for n_voice, n_faces in [(1, [1]), (30, [0]), (77, [12, 0]), (200, [31, 5, 0])]:
        lengths = torch.full((len(n_faces),), n_voice)
        streams = (
            torch.randn(len(n_faces), n_voice, 32), lengths,
            torch.randn(len(n_faces), max(n_faces) + 1, 6), torch.tensor(n_faces),
        )  # fmt: skip
        feed = {name: stream.numpy() for name, stream in zip(names, streams, strict=True)}
        ours = network(Inputs(*streams)).detach().numpy()
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
