"""Metrics against scikit-learn, worked examples and what is known of the bootstrap."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
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
    found = metrics.speaker_interval(metrics.uar, confusions, n_draws=10_000)
    assert found.value == 0.875
    # All three draws are of that speaker once in 27: more than the 2.5 % above an interval.
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


def test_several_values_have_the_intervals_that_each_has_alone():
    confusions = speakers_who_differ()
    together = metrics.speaker_intervals(metrics.recalls, confusions, n_draws=500)
    alone = [
        metrics.speaker_interval(lambda c, i=i: metrics.recalls(c)[..., i], confusions, n_draws=500)
        for i in range(2)
    ]
    assert together == alone


def test_a_value_that_no_draw_has_is_nan_and_has_no_interval():
    confusions = np.zeros((5, 2, 2), int)
    confusions[:, 0] = [3, 1]
    present, absent = metrics.speaker_intervals(metrics.recalls, confusions, n_draws=100)
    assert present.value == 0.75
    assert np.isnan(absent.value) and absent.low is None


def test_strata_keep_the_number_of_speakers_of_each_group():
    # Two groups who differ: drawn within each, the difference of their means cannot vary, for
    # within a group all are alike; drawn from all, it does, and a group may be empty.
    sums = np.array([[1.0, 1, 0, 0]] * 4 + [[0, 0, 0.2, 1]] * 4)

    def gap(drawn):
        return drawn[..., 0] / drawn[..., 1] - drawn[..., 2] / drawn[..., 3]

    strata = np.repeat([0, 1], 4)
    found = metrics.speaker_interval(gap, sums, n_draws=300, strata=strata)
    assert found == (pytest.approx(0.8),) * 3


def test_the_interval_of_a_mean_over_clips_draws_speakers():
    rng = np.random.default_rng(0)
    speakers = np.repeat([f"s{i}" for i in range(12)], 30)
    values = np.repeat(rng.normal(size=12), 30)  # all clips of a speaker alike
    found = metrics.mean_interval(values, speakers)
    assert found.value == pytest.approx(values.mean())
    error = values.std() / np.sqrt(12)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)


@pytest.mark.slow
def test_ten_thousand_draws_for_ten_thousand_clips_take_less_than_two_seconds():
    truth = np.random.default_rng(0).integers(0, 8, 10_000)
    groups = [f"s{i % 100}" for i in range(10_000)]
    began = time.process_time()
    _, confusions = metrics.confusions_by_group(truth, truth[::-1], groups, 8)
    metrics.speaker_interval(metrics.uar, confusions, n_draws=10_000)
    assert time.process_time() - began < 2.0


# --- proper scores ---


def test_brier_score_of_two_classes_is_twice_that_of_scikit_learn():
    # Brier (1950) sums over the classes; scikit-learn's, for two, has one of the two terms.
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 300)
    scores = scores_like(truth, rng, 2)
    expected = 2 * sklearn.brier_score_loss(truth, scores[:, 1])
    assert metrics.brier_score(truth, scores) == pytest.approx(expected)


def test_brier_score_of_known_answers():
    truth = np.arange(K)
    assert metrics.brier_score(truth, np.eye(K)) == pytest.approx(0.0)
    assert metrics.brier_score(truth, np.full((K, K), 1 / K)) == pytest.approx(1 - 1 / K)
    assert metrics.brier_score(truth, np.eye(K)[::-1][:, [1, 0, 2, 3, 4]]) > 1


@pytest.mark.parametrize("n", [1, 2, 3])
def test_top_hits_agree_with_scikit_learn(n):
    rng = np.random.default_rng(n)
    truth = rng.integers(0, K, 300)
    scores = scores_like(truth, rng)
    expected = sklearn.top_k_accuracy_score(truth, scores, k=n, labels=list(range(K)))
    assert metrics.top_hits(truth, scores, n).mean() == pytest.approx(expected)


def test_of_equal_scores_the_first_classes_are_the_top():
    even = np.full((K, K), 1 / K)
    assert metrics.top_hits(np.arange(K), even, 2).tolist() == [True, True, False, False, False]


# --- temperature ---


def test_calibration_bins_are_the_clips_between_two_confidences():
    scores = np.array([[0.95, 0.05], [0.9, 0.1], [0.55, 0.45], [0.4, 0.6]])
    bins = metrics.calibration_bins(np.array([0, 1, 0, 1]), scores, n_bins=5)
    assert [b.n for b in bins] == [0, 0, 1, 1, 2]
    assert (bins[4].low, bins[4].high) == (0.8, 1.0)
    assert bins[4].confidence == pytest.approx(0.925)
    assert bins[4].accuracy == 0.5
    assert (bins[0].confidence, bins[0].accuracy) == (None, None)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_spoilt_the_scores_is_found(temperature):
    # Labels drawn from the scores themselves: these are calibrated, so the best temperature undoes
    # what was done to them.
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, K))
    fair = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = (fair.cumsum(1) > rng.random((20_000, 1))).argmax(1)
    spoilt = metrics.scale_scores(fair, 1 / temperature)
    assert metrics.find_temperature(truth, spoilt) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_has_a_higher_likelihood():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, K, 5_000)
    scores = scores_like(truth, rng)
    best = metrics.find_temperature(truth, scores)
    others = [
        metrics.negative_log_likelihood(truth, metrics.scale_scores(scores, t))
        for t in np.geomspace(0.05, 20, 200)
    ]
    found = metrics.negative_log_likelihood(truth, metrics.scale_scores(scores, best))
    assert found <= min(others) + 1e-4


@pytest.mark.parametrize("n", [1, 4, 40])
def test_a_few_clips_all_right_make_the_model_as_sure_as_platt_s_targets(n):
    truth = np.tile(np.arange(K), n)
    lean = (np.full((K, K), 0.15) + 0.25 * np.eye(K))[truth]
    found = metrics.scale_scores(lean, metrics.find_temperature(truth, lean))
    n_clips = n * K
    np.testing.assert_allclose(found.max(1), (n_clips + 1) / (n_clips + K), rtol=1e-6)


def test_the_temperature_of_wrong_answers_is_at_its_bound():
    truth = np.arange(K)
    lean = np.full((K, K), 0.15) + 0.25 * np.eye(K)
    assert metrics.find_temperature((truth + 1) % K, lean) == pytest.approx(20)


def test_scaled_scores_are_the_softmax_of_divided_logits():
    scores = np.array([[0.7, 0.2, 0.1]])
    raised = scores ** (1 / 2)
    np.testing.assert_allclose(metrics.scale_scores(scores, 2.0), raised / raised.sum())
    assert metrics.scale_scores(scores, 1.0) is scores
    assert np.isfinite(metrics.scale_scores(np.array([[1.0, 0.0]]), 0.05)).all()


# --- answering only where sure ---


def test_the_risk_of_a_worked_example():
    right = np.array([True, False, True, False])
    found = metrics.risk_coverage(right, np.array([0.9, 0.8, 0.7, 0.6]))
    np.testing.assert_allclose(found.coverage, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(found.risk, [0, 1 / 2, 1 / 3, 2 / 4])
    assert found.area == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    np.testing.assert_allclose(found.threshold, [0.9, 0.8, 0.7, 0.6])


def test_clips_of_one_confidence_are_as_wrong_in_whatever_order_they_stand():
    right = np.array([True, True, False, False])
    for order in (slice(None), slice(None, None, -1)):
        found = metrics.risk_coverage(right[order], np.full(4, 0.5))
        np.testing.assert_allclose(found.risk, 0.5)


# --- tests of a difference ---


@pytest.mark.parametrize("n", [3, 8, 20, 50])
def test_the_exact_wilcoxon_test_agrees_with_scipy(n):
    rng = np.random.default_rng(n)
    for shift in (0.0, 0.3, 1.0):
        steps = rng.normal(shift, 1, n)
        expected = stats.wilcoxon(steps, method="exact").pvalue
        assert metrics.wilcoxon(steps) == pytest.approx(expected, rel=1e-9)


def test_wilcoxon_with_ties_counts_every_sign():
    # Differences 1, 1, -1, 2: ranks 2, 2, 2, 4; sum of the negative 2. Of the 16 signs, the sum
    # is at most 2 for none (0), the one of three 2s (2, three ways): 4 of 16; two-sided 8 of 16.
    assert metrics.wilcoxon(np.array([1.0, 1, -1, 2])) == pytest.approx(0.5)


def test_wilcoxon_leaves_out_zeros_and_of_nothing_is_one():
    steps = np.array([0.2, 0.5, -0.1, 0.7])
    assert metrics.wilcoxon(np.r_[steps, 0, 0]) == metrics.wilcoxon(steps)
    assert metrics.wilcoxon(np.zeros(5)) == 1.0


def test_wilcoxon_of_many_agrees_with_the_normal_approximation_of_scipy():
    rng = np.random.default_rng(0)
    steps = np.round(rng.normal(0.1, 1, 500), 1)  # with ties and zeros
    expected = stats.wilcoxon(steps, method="asymptotic", correction=False).pvalue
    assert metrics.wilcoxon(steps) == pytest.approx(expected, rel=1e-6)


def test_a_difference_that_is_not_there_is_found_once_in_twenty():
    rng = np.random.default_rng(0)
    found = sum(metrics.wilcoxon(rng.normal(size=20)) < 0.05 for _ in range(1_000))
    assert 25 <= found <= 75  # 5 % of a thousand, 3.6 deviations


def test_holm_of_a_worked_example():
    # Holm (1979): the smallest times 4, the next times 3, then 2 (never below the one before), 1.
    assert metrics.holm_adjusted([0.01, 0.04, 0.03, 0.005]) == pytest.approx(
        [0.03, 0.06, 0.06, 0.02]
    )
    assert metrics.holm_adjusted([0.9, 0.8]) == [1.0, 1.0]
    assert metrics.holm_adjusted([]) == []


@pytest.mark.parametrize(("one", "other"), [(0, 0), (5, 0), (10, 3), (200, 251), (3_000, 2_000)])
def test_mcnemar_agrees_with_the_binomial_test_of_scipy(one, other):
    first = np.r_[np.ones(one, bool), np.zeros(other, bool), np.ones(10, bool)]
    second = np.r_[np.zeros(one, bool), np.ones(other, bool), np.ones(10, bool)]
    found = metrics.mcnemar(first, second)
    assert (found.only_first, found.only_second) == (one, other)
    expected = stats.binomtest(one, one + other).pvalue if one + other else 1.0
    assert found.p == pytest.approx(expected, rel=1e-6, abs=1e-300)


# --- shuffled labels ---


def test_shuffled_labels_score_chance_whatever_the_answers():
    truth = np.arange(600) % K  # each speaker has as many clips of each class
    speakers = [f"s{i // 50}" for i in range(600)]
    for said in (truth, np.random.default_rng(0).integers(0, K, 600), np.zeros(600, int)):
        found = metrics.permuted_uars(truth, said, speakers, K)
        assert len(found) == 1_000
        assert found.mean() == pytest.approx(1 / K, abs=0.005)


def test_labels_are_shuffled_within_speakers():
    # Each speaker has one emotion: whoever tells speakers apart is right, and stays so.
    speakers = np.repeat([f"s{i}" for i in range(K)], 20)
    truth = np.repeat(np.arange(K), 20)
    found = metrics.permuted_uars(truth, truth, speakers.tolist(), K, n_draws=50)
    np.testing.assert_array_equal(found, 1.0)


def test_a_class_without_clips_takes_no_part_in_shuffles():
    truth = np.array([0, 0, 1, 1] * 20)
    found = metrics.permuted_uars(truth, np.zeros(80, int), ["s"] * 80, 3, n_draws=20)
    np.testing.assert_allclose(found, 0.5)
