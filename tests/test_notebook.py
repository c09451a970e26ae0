"""The four calls of an earlier system, on a small synthetic RAVDESS."""

import numpy as np
import pytest

from affectus.errors import AuditError, ConfigError, TrainingError
from affectus.manifest import Manifest
from affectus.metrics import confusion_matrix, uar
from affectus.notebook import (
    ParallelModel,
    evaluate_model,
    preprocess_data,
    train_model,
)
from affectus.synthesis import write_corpus
from affectus.training import predict_side

SMALL = {"channels": [4, 4, 8, 8], "n_hidden": 8}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("notebook")
    write_corpus("ravdess", place / "ravdess", n_speakers=5, n_sentences=1)
    return place


@pytest.fixture(scope="module")
def sides(place):
    return preprocess_data(dataset_path=place / "ravdess", folder=place / "prepared")


@pytest.fixture(scope="module")
def model(sides):
    train, dev, _ = sides
    model = ParallelModel(num_emotions=8, **SMALL)
    train_model(model, train, dev, allow_incomplete=True, epochs=2, batch_size=16)
    return model


def test_nobody_is_on_two_sides(sides, place):
    train, dev, test = sides
    # 5 speakers in order of their names, cut into five folds: test has one, dev the next two.
    assert test.speakers == ("ravdess:01",)
    assert not set(train.speakers) & {*dev.speakers, *test.speakers}
    assert not set(dev.speakers) & set(test.speakers)
    assert sum(map(len, sides)) == len(Manifest.read(place / "prepared/manifest.csv")) == 150
    assert repr(test) == "test: 30 clips of 1 speaker"


def test_the_published_model_has_its_size():
    # Derived from the earlier notebook, 263,593, less 176 biases of convolutions that batch
    # normalisation undoes; see docs/models.md.
    assert ParallelModel(num_emotions=8).n_parameters == 263_593 - 176
    assert repr(ParallelModel(6, **SMALL)).endswith("parameters, not trained")


def test_what_is_judged_is_the_run_on_the_test_side(model, sides):
    found = evaluate_model(model, sides[2])
    assert (found.side, found.n_answered, found.n_speakers) == ("test", 30, 1)
    assert not found.protocol["leaky"]
    pooled = predict_side(model.run, "test")
    assert set(pooled.clip_ids) == set(sides[2].clip_ids)
    expected = uar(confusion_matrix(pooled.truth, pooled.scores.argmax(1), 8))
    np.testing.assert_allclose(found.uar.value, expected)
    assert evaluate_model(model, sides[1]).side == "dev"


def test_a_cell_may_be_run_again(model, sides, place):
    again = ParallelModel(num_emotions=8, **SMALL)
    history = train_model(
        again, *sides[:2], allow_incomplete=True, epochs=2, batch_size=16
    )  # fmt: skip
    assert [epoch.epoch for epoch in history] == [1, 2]
    assert again.run.folder != model.run.folder
    first, second = (
        (m.run.folder / "fold-1/weights.safetensors").read_bytes() for m in (model, again)
    )
    assert first == second
    assert preprocess_data(place / "ravdess", place / "prepared") == sides


def test_sides_are_not_mixed_up(model, sides, place):
    train, _, test = sides
    with pytest.raises(TrainingError, match="test: 30 clips of 1 speaker; expected the dev side"):
        train_model(model, train, test)
    with pytest.raises(TrainingError, match=r"expected the test side, or dev\."):
        evaluate_model(model, train)
    other = preprocess_data(place / "ravdess", place / "prepared", fold=2)
    with pytest.raises(TrainingError, match=r"of another split; expected sides of one preprocess"):
        train_model(model, train, other[1])
    with pytest.raises(TrainingError, match=r"of another split; expected sides of one preprocess"):
        evaluate_model(model, other[2])


def test_what_cannot_be_trusted_is_refused(sides, place):
    train, dev, test = sides
    model = ParallelModel(num_emotions=8, **SMALL)
    with pytest.raises(TrainingError, match=r"the model was not trained; expected a trained one"):
        evaluate_model(model, test)
    with pytest.raises(AuditError, match=r"expected all of it\. Complete it, or add --allow"):
        train_model(model, train, dev, epochs=1)
    with pytest.raises(ConfigError, match=r"num_emotions is 5; expected 4, 6, 7, 8"):
        ParallelModel(num_emotions=5)
    with pytest.raises(ConfigError, match=r"has no setting 'hidden'"):
        ParallelModel(hidden=3)
    with pytest.raises(ConfigError, match=r"fold is 9; expected 1 to 5"):
        preprocess_data(place / "ravdess", place / "prepared", fold=9)
    with pytest.raises(ConfigError, match=r"unknown key 'training.epoch'; known: .* 'epochs'\?"):
        train_model(model, train, dev, epoch=3)


def test_a_leaky_protocol_is_stamped(place):
    train, dev, _ = preprocess_data(place / "ravdess", place / "prepared", protocol="random-5fold")
    model = ParallelModel(**SMALL)
    train_model(model, train, dev, allow_incomplete=True, epochs=1)
    assert evaluate_model(model, dev).protocol["leaky"]
