"""Speech encoders in whole experiments: probed, exported, and refused on what they have heard."""

import json

import pytest
from msgspec.structs import replace
from safetensors import safe_open

pytest.importorskip("transformers", reason="needs the extra 'speech'")

from small_encoders import write_encoder
from small_run import write_tones

from affectus.corpora import load_corpus
from affectus.errors import AuditError
from affectus.experiment import make_experiment
from affectus.extraction import extract_features
from affectus.features import create_extractor
from affectus.manifest import Manifest
from affectus.training import evaluate_run, train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with tones, the features of a small encoder, and its files."""
    place = tmp_path_factory.mktemp("speech")
    load_corpus("table", write_tones(place / "recordings")).write(place / "manifest.csv")
    write_encoder(place / "xls-r-300m", "xls-r")
    write_encoder(place / "emotion2vec_plus_base", "xls-r")
    return place


def experiment(place, name="probe", encoder="xls-r-300m", **changes):
    """An experiment on the encoder's pooled layers, which are extracted if they are not there."""
    extractor = create_extractor("xls-r", model=str(place / encoder))
    store = place / f"store-{encoder}"
    assert extract_features(Manifest.read(place / "manifest.csv"), extractor, store, workers=0).ok
    content = {
        "name": name,
        "manifest": str(place / "manifest.csv"),
        "store": str(store),
        "labels": {"scheme": "four"},
        "features": {"name": "xls-r", "model": str(place / encoder)},
        "split": {"protocol": "sequential-6fold", "folds": [1]},
        "model": {"name": "logistic", "n_layers": 4},
        "augmentation": {"gain_db": 0.0},
    }
    return make_experiment({**content, **changes})


def test_a_probe_learns_tones_from_an_encoder_and_says_which_layer(place):
    run = train(experiment(place, split={"protocol": "sequential-6fold"}), place / "runs")
    found = evaluate_run(run, "test")
    assert (found.n_answered, found.n_speakers) == (72, 6)
    assert found.uar.low > 0.4  # chance is 0.25, for an encoder of chance weights, too
    with safe_open(run.folder / "fold-1" / "weights.safetensors", framework="np") as file:
        settings = json.loads(file.metadata()["model"])["settings"]
    assert 0 <= settings["layer"] < 4
    assert (
        found.provenance["features"]["weights"]
        == create_extractor("xls-r", model=str(place / "xls-r-300m")).weights
    )


def test_what_the_encoder_has_heard_is_refused_and_stamped_where_allowed(place):

    # The tones, under the name of a corpus that this encoder has heard.
    table = place / "ravdess.csv"
    clips = Manifest.read(place / "manifest.csv").clips
    Manifest(tuple(replace(clip, corpus="savee") for clip in clips)).write(table)
    config = experiment(
        place, "memory", "emotion2vec_plus_base", manifest=str(table),
        model={"name": "logistic", "n_layers": 4, "cost": 0.01},
    )  # fmt: skip
    with pytest.raises(AuditError, match=r"was trained on savee; expected corpora it has not he"):
        train(config, place / "runs", allow_incomplete=True)
    run = train(config, place / "runs", allow_incomplete=True, allow_leak=True)
    found = evaluate_run(run, "test")
    assert found.protocol["leaky"]
    assert any(text.startswith("LEAKY") for text in found.cautions)
    assert any("the score is of its memory" in text for text in found.cautions)


def test_an_unknown_encoder_is_a_caution(place):
    write_encoder(place / "mine", "xls-r")
    run = train(
        experiment(place, "mine", "mine", model={"name": "logistic", "n_layers": 4, "cost": 0.01}),
        place / "runs",
    )
    found = evaluate_run(run, "dev")
    assert not found.protocol["leaky"]
    assert any("It is not known which emotion corpora" in text for text in found.cautions)
