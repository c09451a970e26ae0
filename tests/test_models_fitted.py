"""Logistic regression and the SVM: the network says what scikit-learn says."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from affectus import models
from affectus.errors import ConfigError, TrainingError
from affectus.metrics import negative_log_likelihood
from affectus.models import Inputs, ModelConfig, create_model, fit_model, fitting

N_FEATURES = 6


def clips(n_labels=4, n=160, spread=1.5, seed=0):
    """Clips of 8 speakers, in clouds around a place for each label, at odd levels and scales."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_labels
    centres = np.random.default_rng(1).normal(size=(n_labels, N_FEATURES))
    features = centres[labels] + rng.normal(scale=spread, size=(n, N_FEATURES))
    speakers = np.array([f"s{number}" for number in rng.integers(0, 8, n)])
    return features * [1, 10, 0.1, 1, 5, 1] + 3, labels, np.ones(n), speakers


def logits_of(network, features):
    with torch.no_grad():
        voice = torch.from_numpy(features).float()[:, None]
        return network(Inputs(voice, torch.ones(len(voice), dtype=torch.int64))).double().numpy()


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@pytest.mark.parametrize("n_labels", [2, 4])
def test_the_logistic_network_has_the_probabilities_of_scikit_learn(n_labels):
    features, labels, _, speakers = clips(n_labels)
    weights = np.where(labels == 0, 2.0, 1.0)
    config = ModelConfig("logistic", N_FEATURES, n_labels, {"cost": 0.3})
    network, found = fit_model(config, features, labels, weights, speakers)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, tol=1e-8))
    theirs.fit(features, labels, logisticregression__sample_weight=weights)
    new, *_ = clips(n_labels, seed=5)
    expected = theirs.predict_proba(new)
    np.testing.assert_allclose(softmax(logits_of(network, new)), expected, atol=1e-3)
    assert found.settings == {"cost": 0.3}


@pytest.mark.parametrize("n_labels", [2, 3, 4])
def test_the_svm_decides_each_pair_of_labels_as_scikit_learn_does(n_labels):
    features, labels, weights, speakers = clips(n_labels)
    config = ModelConfig("svm", N_FEATURES, n_labels, {"cost": 1.0, "gamma": 0.2})
    network, found = fit_model(config, features, labels, weights, speakers)
    theirs = make_pipeline(StandardScaler(), SVC(C=1.0, gamma=0.2, decision_function_shape="ovo"))
    theirs.fit(features, labels)
    new, new_labels, *_ = clips(n_labels, n=600, seed=5)
    pairs = theirs.decision_function(new).reshape(len(new), -1)
    expected, pair = np.zeros((len(new), n_labels)), 0
    for first in range(n_labels):
        for second in range(first + 1, n_labels):
            # scikit-learn speaks for the first label of a pair; of two labels alone, the second.
            decision = -pairs[:, pair] if n_labels == 2 else pairs[:, pair]
            expected[:, first] += decision
            expected[:, second] -= decision
            pair += 1
    logits = logits_of(network, new)
    scale = (logits * expected).sum() / (expected**2).sum()
    assert scale > 0
    np.testing.assert_allclose(logits, scale * expected, atol=1e-4 * scale)
    # It counts votes where we add decisions: not always the same answer, but as often right.
    assert (logits.argmax(1) == new_labels).mean() > theirs.score(new, new_labels) - 0.02
    assert found.settings["n_support"] == len(theirs[1].support_)


def test_the_scores_of_the_svm_are_probabilities_of_speakers_it_has_not_heard():
    features, labels, weights, speakers = clips(spread=1.2, n=400)
    config = ModelConfig("svm", N_FEATURES, 4, {"cost": 1.0})
    network, _ = fit_model(config, features, labels, weights, speakers)
    new, new_labels, *_ = clips(spread=1.2, n=400, seed=7)
    logits = logits_of(network, new)
    losses = [
        negative_log_likelihood(new_labels, softmax(logits * factor)) for factor in (0.5, 1, 2)
    ]
    assert losses[1] == min(losses)
    assert losses[1] < np.log(4)


def test_the_cost_is_the_best_of_folds_that_share_no_speaker():
    # Every speaker has a tune of his own, which only shared speakers make worth learning: many
    # clips of one (speaker, label) lie on one spot, and the spots are at random.
    rng = np.random.default_rng(0)
    speakers, labels = np.repeat(np.arange(8), 20), np.tile(np.arange(4), 40)
    spots = rng.normal(size=(8, 4, N_FEATURES)) * 3
    spots[:, :, 0] = np.arange(4) * 1.5
    features = spots[speakers, labels] + rng.normal(scale=0.05, size=(160, N_FEATURES))
    known = fitting.Clips(features, labels, np.ones(160), speakers)
    scores, truth = fitting.judge_unheard("svm", known, 10.0, 0.0)
    heard = SVC(C=10.0).fit(StandardScaler().fit_transform(features), labels)
    recall = (scores.argmax(1) == truth).mean()
    assert heard.score(StandardScaler().fit_transform(features), labels) == 1.0
    assert recall < 0.9
    for fitted, judged in fitting.inner_folds(known):
        assert not set(speakers[fitted]) & set(speakers[judged])
    config = ModelConfig("logistic", N_FEATURES, 4)
    _, found = fit_model(config, features, labels, np.ones(160), speakers)
    scored = {
        cost: np.mean(np.equal(*_answers(fitting.judge_unheard("logistic", known, cost, 0.0))))
        for cost in fitting.COSTS["logistic"]
    }
    assert scored[found.settings["cost"]] == max(scored.values())
    assert len(set(scored.values())) > 1


def _answers(unheard):
    scores, truth = unheard
    return scores.argmax(1), truth


def layered(n_layers=3, n=160):
    """Clips whose layers differ in how well they tell the label; the middle one is the best."""
    rng = np.random.default_rng(3)
    features, labels, weights, speakers = clips(spread=2.5, n=n)
    worse = [features + rng.normal(scale=scale, size=features.shape) for scale in (40, 0, 80)]
    return np.concatenate(worse[:n_layers], axis=1), labels, weights, speakers


def test_layer_and_cost_are_chosen_together_as_a_grid_search_would():
    # The oracle: scikit-learn's own predictions of the same folds of speakers, pooled.
    features, labels, weights, speakers = layered()
    _, found = fit_model(
        ModelConfig("logistic", 3 * N_FEATURES, 4, {"n_layers": 3}),
        features, labels, weights, speakers,
    )  # fmt: skip
    scores = {}
    for layer in range(3):
        columns = features[:, layer * N_FEATURES : (layer + 1) * N_FEATURES]
        for cost in fitting.COSTS["logistic"]:
            said = cross_val_predict(
                make_pipeline(StandardScaler(), LogisticRegression(C=cost, max_iter=5000)),
                columns, labels, groups=speakers, cv=StratifiedGroupKFold(5),
            )  # fmt: skip
            scores[layer, cost] = balanced_accuracy_score(labels, said)
    assert scores[found.settings["layer"], found.settings["cost"]] == max(scores.values())
    assert found.settings["layer"] == 1


def test_one_layer_is_judged_by_its_own_columns_alone():
    features, labels, weights, speakers = layered()
    settings = {"n_layers": 3, "layer": 1, "cost": 0.1}
    config = ModelConfig("logistic", 3 * N_FEATURES, 4, settings)
    network, found = fit_model(config, features, labels, weights, speakers)
    assert found.settings == settings
    alone, _ = fit_model(
        ModelConfig("logistic", N_FEATURES, 4, {"cost": 0.1}),
        features[:, N_FEATURES : 2 * N_FEATURES], labels, weights, speakers,
    )  # fmt: skip
    other = features.copy()
    other[:, :N_FEATURES] = 1e3
    np.testing.assert_allclose(
        logits_of(network, other),
        logits_of(alone, features[:, N_FEATURES : 2 * N_FEATURES]),
        atol=1e-5,
    )


def test_a_given_layer_is_kept_while_the_cost_is_chosen():
    _, found = fit_model(
        ModelConfig("logistic", 3 * N_FEATURES, 4, {"n_layers": 3, "layer": 2}), *layered()
    )
    assert found.settings["layer"] == 2
    assert found.settings["cost"] in fitting.COSTS["logistic"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"n_layers": 4}, "4 layers do not divide 18 columns"),
     ({"n_layers": 3, "layer": 3}, "layer is 3, which is not -1 to 2")],
)  # fmt: skip
def test_layers_that_do_not_fit_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        fit_model(ModelConfig("logistic", 3 * N_FEATURES, 4, settings), *layered())


@pytest.mark.parametrize("name", ["logistic", "svm"])
def test_a_clip_counts_as_much_as_its_weight(name):
    features, labels, weights, speakers = clips(spread=3.0)
    config = ModelConfig(name, N_FEATURES, 4, {"cost": 0.1})
    even, _ = fit_model(config, features, labels, weights, speakers)
    heavy, _ = fit_model(config, features, labels, np.where(labels == 2, 20, 1.0), speakers)
    answers = [(logits_of(net, features).argmax(1) == 2).sum() for net in (even, heavy)]
    assert answers[1] > answers[0]


@pytest.mark.parametrize("name", ["logistic", "svm"])
def test_a_fitted_model_is_saved_and_loaded(name, tmp_path):
    network, config = fit_model(ModelConfig(name, N_FEATURES, 4, {"cost": 1.0}), *clips())
    models.save(network, config, tmp_path / "w")
    loaded, its_config = models.load(tmp_path / "w")
    assert its_config == config
    features = clips(seed=3)[0]
    np.testing.assert_array_equal(logits_of(loaded, features), logits_of(network, features))


def test_frames_are_judged_by_their_mean():
    network, _ = fit_model(ModelConfig("svm", N_FEATURES, 4, {"cost": 1.0}), *clips())
    frames = torch.randn(3, 9, N_FEATURES) * 2 + 3
    lengths = torch.tensor([9, 5, 1])
    means = np.stack([f[:n].mean(0).numpy() for f, n in zip(frames, lengths, strict=True)])
    with torch.no_grad():
        found = network(Inputs(frames, lengths)).numpy()
    np.testing.assert_allclose(found, logits_of(network, means), atol=1e-4)


def test_a_constant_feature_says_nothing():
    features, labels, weights, speakers = clips()
    features[:, 2] = 5.0
    config = ModelConfig("logistic", N_FEATURES, 4, {"cost": 1.0})
    network, _ = fit_model(config, features, labels, weights, speakers)
    assert network.deviation[2] == 1
    assert np.isfinite(logits_of(network, features)).all()


def test_a_label_without_a_clip_is_refused():
    features, labels, weights, speakers = clips()
    config = ModelConfig("logistic", N_FEATURES, 5)
    with pytest.raises(TrainingError, match="no training clip has label number 4 of 5"):
        fit_model(config, features, labels, weights, speakers)


def test_one_speaker_is_too_few_to_choose_a_cost_by():
    features, labels, weights, _ = clips()
    for name in ("logistic", "svm"):
        with pytest.raises(TrainingError, match="1 training speakers; expected enough to leave"):
            fit_model(
                ModelConfig(name, N_FEATURES, 4), features, labels, weights, np.zeros(len(labels))
            )
    fit_model(
        ModelConfig("logistic", N_FEATURES, 4, {"cost": 1.0}),
        features, labels, weights, np.zeros(len(labels)),
    )  # fmt: skip


def test_wrong_settings_are_refused_before_anything_is_fitted():
    with pytest.raises(ConfigError, match="cost is -1, below 0"):
        fit_model(ModelConfig("logistic", N_FEATURES, 4, {"cost": -1.0}), *clips())


def test_only_these_are_fitted():
    assert [name for name in models.list_models() if models.is_fitted(name)] == ["logistic", "svm"]
    assert create_model(ModelConfig("svm", 4, 2)).body.support.shape == (0, 4)
