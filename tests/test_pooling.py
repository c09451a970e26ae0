"""The pool of scores by its formula, and weights of highest likelihood."""

import numpy as np

from affectus.pooling import fit_weights, pool


def test_the_pool_is_the_product_of_powers():
    # By hand: 0.5^1 * 0.9^2 = 0.405 and 0.5^1 * 0.1^2 = 0.005; together 0.41.
    logs = np.log([[[0.5, 0.5]], [[0.9, 0.1]]])
    np.testing.assert_allclose(pool(logs, np.array([1.0, 2.0])), [[0.405 / 0.41, 0.005 / 0.41]])


def test_weights_are_those_of_the_least_loss_on_a_fine_grid():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 80)
    logits = rng.normal(0, 1, (2, 80, 3))
    logits[0, np.arange(80), truth] += 1.5
    logits[1, np.arange(80), truth] += 0.7
    logs = logits - np.log(np.exp(logits).sum(2, keepdims=True))

    def loss(one, other):
        mixed = one * logs[0] + other * logs[1]
        own = mixed[np.arange(80), truth] - np.log(np.exp(mixed).sum(1))
        return -own.sum() + 0.5 * ((one - 0.5) ** 2 + (other - 0.5) ** 2)

    grid = np.linspace(0, 2.5, 126)
    best = min((loss(one, other), one, other) for one in grid for other in grid)
    np.testing.assert_allclose(fit_weights(logs, truth), best[1:], atol=0.02)


def test_a_run_that_says_the_opposite_counts_nothing():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 60)
    good = np.where(np.eye(2)[truth] == 1, 0.7, 0.3)
    logs = np.log(np.stack([good, 1 - good]))
    weights = fit_weights(logs, truth)
    assert weights[1] == 0
    assert weights[0] > 0.5


def test_weights_stay_finite_where_every_clip_is_answered_rightly():
    truth = np.arange(40) % 2
    sure = np.where(np.eye(2)[truth] == 1, 0.99, 0.01)
    assert np.isfinite(fit_weights(np.log(np.stack([sure, sure])), truth)).all()
