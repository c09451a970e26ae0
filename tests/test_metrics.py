"""Metrics against scikit-learn, worked examples and what is known of the bootstrap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from affectus import metrics
from affectus.metrics import Interval

K = 5


@st.composite
def answers(draw):
    """Truth and prediction, [N] each, with every class at least once in the truth."""
    n = draw(st.integers(0, 40))
    truth = [*range(K), *draw(st.lists(st.integers(0, K - 1), min_size=n, max_size=n))]
    said = draw(st.lists(st.integers(0, K - 1), min_size=n + K, max_size=n + K))
    return np.array(truth), np.array(said)


def scores_like(truth, rng, k=K):
    """Scores [N, K], rows summing to 1, that lean towards the truth."""
    raw = rng.random((len(truth), k)) + 0.5 * np.eye(k)[truth]
    return raw / raw.sum(1, keepdims=True)


# --- agreement with scikit-learn ---


@settings(max_examples=60, deadline=None)
@given(answers())
def test_scores_agree_with_scikit_learn(pair):
    truth, said = pair
    confusion = metrics.confusion_matrix(truth, said, K)
    labels = list(range(K))
    assert confusion.tolist() == sklearn.confusion_matrix(truth, said, labels=labels).tolist()
    assert metrics.war(confusion) == pytest.approx(sklearn.accuracy_score(truth, said))
    assert metrics.uar(confusion) == pytest.approx(sklearn.balanced_accuracy_score(truth, said))
    expected = sklearn.f1_score(truth, said, average="macro", labels=labels, zero_division=np.nan)
    assert metrics.macro_f1(confusion) == pytest.approx(expected)
    precision, recall, f1, _ = sklearn.precision_recall_fscore_support(
        truth, said, labels=labels, zero_division=np.nan
    )
    np.testing.assert_allclose(metrics.recalls(confusion), recall)
    np.testing.assert_allclose(metrics.precisions(confusion), precision)
    np.testing.assert_allclose(metrics.f1_scores(confusion), f1)


@pytest.mark.parametrize("seed", range(3))
def test_negative_log_likelihood_agrees_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, K, 200)
    scores = scores_like(truth, rng)
    expected = sklearn.log_loss(truth, scores, labels=list(range(K)))
    assert metrics.negative_log_likelihood(truth, scores) == pytest.approx(expected, rel=1e-9)


# --- known answers ---


@pytest.mark.parametrize("answer", range(K))
def test_a_constant_answer_scores_chance_however_unequal_the_classes(answer):
    truth = np.repeat(np.arange(K), [1, 5, 30, 2, 100])
    confusion = metrics.confusion_matrix(truth, np.full(len(truth), answer), K)
    assert metrics.uar(confusion) == pytest.approx(1 / K)
    assert metrics.war(confusion) == pytest.approx((truth == answer).mean())


def test_a_perfect_answer_scores_one():
    truth = np.repeat(np.arange(K), [1, 5, 30, 2, 100])
    confusion = metrics.confusion_matrix(truth, truth, K)
    for metric in (metrics.uar, metrics.war, metrics.macro_f1):
        assert metric(confusion) == 1.0


def test_a_worked_confusion_matrix_gives_the_figures_done_by_hand():
    confusion = np.array([[8, 2, 0], [1, 3, 0], [0, 4, 2]])  # rows: 10, 4 and 6 clips
    np.testing.assert_allclose(metrics.recalls(confusion), [8 / 10, 3 / 4, 2 / 6])
    np.testing.assert_allclose(metrics.precisions(confusion), [8 / 9, 3 / 9, 2 / 2])
    np.testing.assert_allclose(metrics.f1_scores(confusion), [16 / 19, 6 / 13, 4 / 8])
    assert metrics.uar(confusion) == pytest.approx((0.8 + 0.75 + 1 / 3) / 3)
    assert metrics.war(confusion) == pytest.approx(13 / 20)


def test_a_class_without_clips_is_nan_and_left_out_of_the_mean():
    truth, said = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    confusion = metrics.confusion_matrix(truth, said, 3)
    np.testing.assert_array_equal(metrics.recalls(confusion), [0.5, 1.0, np.nan])
    assert metrics.uar(confusion) == 0.75  # neither (0.5 + 1 + 0) / 3 nor (0.5 + 1 + 1) / 3


def test_a_class_never_predicted_has_no_precision():
    confusion = metrics.confusion_matrix(np.array([0, 1]), np.array([0, 0]), 2)
    np.testing.assert_array_equal(metrics.precisions(confusion), [0.5, np.nan])


def test_a_class_neither_there_nor_predicted_has_no_f1_and_one_only_predicted_has_zero():
    confusion = metrics.confusion_matrix(np.array([0, 0]), np.array([0, 1]), 3)
    np.testing.assert_allclose(metrics.f1_scores(confusion), [2 / 3, 0.0, np.nan])
    assert metrics.macro_f1(confusion) == pytest.approx((2 / 3 + 0) / 2)


def test_no_clips_at_all_score_nan_without_a_warning():
    empty = np.zeros((K, K), int)
    assert all(np.isnan(m(empty)) for m in (metrics.uar, metrics.war, metrics.macro_f1))


@pytest.mark.parametrize("metric", [metrics.uar, metrics.war, metrics.macro_f1])
def test_leading_axes_give_each_matrix_its_own_score(metric):
    stack = np.random.default_rng(0).integers(0, 4, (6, 7, K, K))
    together = metric(stack)
    assert together.shape == (6, 7)
    for place in np.ndindex(6, 7):
        np.testing.assert_array_equal(together[place], metric(stack[place]))


# --- calibration ---


def test_calibration_error_of_a_worked_example():
    # Guo et al. (2017), equation 3, by hand: bins of width 0.5; two clips in the upper bin at a
    # confidence of 0.8 with accuracy 0.5, two at 0.45 (three classes) in the lower with 1.0.
    scores = np.array([[0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.45, 0.3, 0.25], [0.45, 0.3, 0.25]])
    truth = np.array([0, 1, 0, 0])
    expected = 2 / 4 * abs(0.5 - 0.8) + 2 / 4 * abs(1.0 - 0.45)
    found = metrics.expected_calibration_error(truth, scores, n_bins=2)
    assert found == pytest.approx(expected)


def test_calibration_error_agrees_with_a_loop_over_bins():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, K, 500)
    scores = scores_like(truth, rng)
    confidence, right = scores.max(1), scores.argmax(1) == truth
    expected = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert metrics.expected_calibration_error(truth, scores) == pytest.approx(expected)


def test_sure_and_right_is_calibrated_and_sure_and_wrong_is_not():
    sure = np.eye(3)
    assert metrics.expected_calibration_error(np.arange(3), sure) == 0.0
    assert metrics.expected_calibration_error(np.array([1, 2, 0]), sure) == 1.0


def test_a_score_of_zero_for_the_truth_has_a_finite_likelihood():
    found = metrics.negative_log_likelihood(np.array([1]), np.array([[1.0, 0.0]]))
    assert found == pytest.approx(-np.log(1e-12))


def test_an_even_answer_has_the_likelihood_of_the_logarithm_of_k():
    scores = np.full((7, K), 1 / K)
    found = metrics.negative_log_likelihood(np.zeros(7, int), scores)
    assert found == pytest.approx(np.log(K))


# --- the bootstrap over speakers ---


def speakers_who_differ(n_speakers=20, n_clips=50, seed=0):
    """Confusions [S, 2, 2] of speakers of whom each has his own share of right answers."""
    rng = np.random.default_rng(seed)
    confusions = np.zeros((n_speakers, 2, 2), int)
    for speaker, share in enumerate(rng.uniform(0.2, 1.0, n_speakers)):
        for label in range(2):
            hits = rng.binomial(n_clips, share)
            confusions[speaker, label] = (
                (hits, n_clips - hits) if label == 0 else (n_clips - hits, hits)
            )
    return confusions


def test_the_interval_holds_the_value_that_is_that_of_all_clips():
    confusions = speakers_who_differ()
    found = metrics.speaker_interval(metrics.uar, confusions)
    assert found.value == metrics.uar(confusions.sum(0))
    assert found.low < found.value < found.high


def test_the_interval_over_speakers_is_wider_than_one_over_clips_when_speakers_differ():
    confusions = speakers_who_differ()
    by_speaker = metrics.speaker_interval(metrics.uar, confusions)
    clips = [
        np.eye(4, dtype=int)[cell].reshape(2, 2)
        for cell, count in enumerate(confusions.sum(0).ravel())
        for _ in range(count)
    ]
    by_clip = metrics.speaker_interval(metrics.uar, np.array(clips), n_draws=1_000)
    assert by_speaker.high - by_speaker.low > 2 * (by_clip.high - by_clip.low)


def test_the_interval_has_the_width_that_the_standard_error_of_speakers_means_has():
    # Speakers have as many clips of each class, so the UAR is the mean of the speakers' UARs; its
    # bootstrap standard error is their standard deviation / sqrt(S), and an interval of 95 % is
    # 2 * 1.96 of them (Efron and Tibshirani 1993, chapter 13).
    confusions = speakers_who_differ(n_speakers=60)
    found = metrics.speaker_interval(metrics.uar, confusions)
    error = metrics.uar(confusions).std() / np.sqrt(60)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    # Forty speakers whose true share of right answers is 0.6 on average; 95 % of 200 intervals
    # should cover it: fewer than 87 % or more than 99.5 % would be a fault (binomial, 5 sigma).
    covered = 0
    for seed in range(200):
        confusions = speakers_who_differ(n_speakers=40, seed=seed)
        found = metrics.speaker_interval(metrics.uar, confusions, n_draws=300, seed=seed)
        covered += found.low <= 0.6 <= found.high
    assert 0.87 <= covered / 200 <= 0.995


def test_a_lower_level_gives_a_narrower_interval():
    confusions = speakers_who_differ()
    wide = metrics.speaker_interval(metrics.uar, confusions, level=0.95)
    narrow = metrics.speaker_interval(metrics.uar, confusions, level=0.5)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_the_interval_depends_on_the_seed_alone():
    confusions = speakers_who_differ()
    first, again, other = (
        metrics.speaker_interval(metrics.uar, confusions, n_draws=500, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("n_speakers", [1, 2])
def test_below_three_speakers_there_is_a_value_and_no_interval(n_speakers):
    confusions = speakers_who_differ(n_speakers)
    found = metrics.speaker_interval(metrics.uar, confusions)
    assert found == Interval(float(metrics.uar(confusions.sum(0))), None, None)


def test_three_speakers_have_an_interval():
    found = metrics.speaker_interval(metrics.uar, speakers_who_differ(3), n_draws=100)
    assert found.low is not None and found.high is not None


def test_a_draw_without_a_class_leaves_it_out_without_a_warning():
    confusions = np.zeros((3, 2, 2), int)
    confusions[0, 0] = [4, 0]  # only this speaker has the first class
    confusions[1:, 1] = [1, 3]
    found = metrics.speaker_interval(metrics.uar, confusions, n_draws=500)
    assert found.value == 0.875
    assert (found.low, found.high) == (0.75, 1.0)


def test_confusions_by_group_are_those_of_each_group_alone():
    rng = np.random.default_rng(0)
    truth, said = rng.integers(0, K, 90), rng.integers(0, K, 90)
    groups = np.array(["b", "a", "c:10"])[rng.integers(0, 3, 90)]
    names, confusions = metrics.confusions_by_group(truth, said, groups.tolist(), K)
    assert names == ("a", "b", "c:10")
    for name, confusion in zip(names, confusions, strict=True):
        inside = groups == name
        expected = sklearn.confusion_matrix(truth[inside], said[inside], labels=list(range(K)))
        assert confusion.tolist() == expected.tolist()


def test_an_interval_prints_its_bounds_only_where_there_are_any():
    assert str(Interval(0.5834, 0.521, 0.64)) == "0.583 [0.521, 0.640]"
    assert str(Interval(0.5834, None, None)) == "0.583"
