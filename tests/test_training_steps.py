"""What a step is made of: optimisers, schedules, losses, sampling, targets; against torch's own."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest
import torch
from small_run import prepare
from torch import nn

from affectus import models
from affectus.batches import (
    Examples,
    class_weights,
    expected_draws,
    find_groups,
    fit_normalisation,
    training_batches,
    with_votes,
)
from affectus.emotions import label_scheme
from affectus.errors import ConfigError, TrainingError
from affectus.experiment import AugmentationConfig, TrainingConfig, make_experiment
from affectus.manifest import Clip, Manifest
from affectus.models import ModelConfig, Network
from affectus.runs import read_history
from affectus.training import schedule, soft_cross_entropy, train
from affectus.training.optimising import Plateau, create_optimiser, limit_norms

BARE = {"name": "try", "manifest": "own.csv", "store": "own-store"}


# --- optimisers and schedules ---


@pytest.mark.parametrize(
    ("settings", "theirs"),
    [
        ({}, lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.2)),
        ({"optimiser": "adam"}, lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.2)),
        (
            {"optimiser": "sgd", "momentum": 0.8, "nesterov": True},
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.2),
        ),
        (
            {"optimiser": "sgd"},
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.2),
        ),
    ],
)
def test_an_optimiser_steps_as_torch_s_of_that_name(settings, theirs):
    config = TrainingConfig(learning_rate=0.1, weight_decay=0.2, **settings)
    nets = [nn.Linear(3, 2) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    optimisers = create_optimiser(Network(nets[0], 1), config), theirs(nets[1].parameters())
    for step in range(3):
        for net, optimiser in zip(nets, optimisers, strict=True):
            optimiser.zero_grad()
            net(torch.full((4, 3), 1.0 + step)).square().sum().backward()
            optimiser.step()
    assert torch.equal(nets[0].weight, nets[1].weight)


def test_in_sgd_weight_decay_is_the_l2_penalty():
    # One step on a loss of 0 moves a weight by the gradient of decay / 2 * weight^2.
    net = nn.Linear(2, 1, bias=False)
    before = net.weight.detach().clone()
    config = TrainingConfig(optimiser="sgd", momentum=0.0, learning_rate=0.1, weight_decay=0.5)
    optimiser = create_optimiser(Network(net, 1), config)
    (net(torch.zeros(1, 2)) * 0).sum().backward()
    optimiser.step()
    torch.testing.assert_close(net.weight, before * (1 - 0.1 * 0.5))


@pytest.mark.parametrize("warmup", [0.3, 0.1, 0.5])
def test_one_cycle_is_torchs(warmup):
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 2.0, total_steps=40, pct_start=warmup, cycle_momentum=False
    )
    for step in range(40):
        ours = 2.0 * schedule(step, 40, warmup, "one_cycle")
        assert ours == pytest.approx(theirs.get_last_lr()[0], rel=1e-6, abs=1e-9), step
        optimiser.step()
        if step < 39:
            theirs.step()


def test_one_cycle_of_any_length_and_warm_up_stays_between_its_ends():
    for total in (1, 2, 3, 7):
        for warmup in (0.0, 0.5, 1.0):
            shares = [schedule(step, total, warmup, "one_cycle") for step in range(total)]
            assert all(0 < share <= 1 for share in shares)


@pytest.mark.parametrize("kind", ["constant", "plateau"])
def test_a_rate_that_stays_rises_first(kind):
    shares = [schedule(step, 100, 0.1, kind) for step in range(100)]
    assert shares[:10] == pytest.approx([(n + 1) / 10 for n in range(10)])
    assert set(shares[10:]) == {1.0}


def test_the_plateau_is_torchs():
    scores = [0.1, 0.3, 0.3, 0.2, 0.3, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.5, 0.5]
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, mode="max", factor=0.5, patience=2, threshold=0.0
    )
    ours = Plateau(0.5, 2)
    for score in scores:
        ours.see(score)
        theirs.step(score)
        assert ours.share == theirs.get_last_lr()[0]
    assert ours.share < 1


def test_max_norm_shortens_what_is_too_long_and_leaves_the_rest():
    net = nn.Sequential(nn.Linear(4, 3), nn.Conv2d(2, 5, 3))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[3.0, 4, 0, 0], [0.1, 0, 0, 0], [0, 0, 0, 2]]))
        net[0].bias.fill_(9.0)
        net[1].weight.mul_(100)
    limit_norms(net, 2.0)
    expected = torch.tensor([[1.2, 1.6, 0, 0], [0.1, 0, 0, 0], [0, 0, 0, 2]])
    torch.testing.assert_close(net[0].weight, expected)
    assert (net[0].bias == 9).all()
    torch.testing.assert_close(net[1].weight.flatten(1).norm(dim=1), torch.full((5,), 2.0))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"nesterov": True}, r"training.nesterov is True, but training.optimiser is 'adamw'"),
        ({"momentum": 0.5}, r"training.momentum is 0.5.*expected 'sgd'"),
        ({"plateau_patience": 3}, r"training.schedule is 'cosine'.*expected 'plateau'"),
        (
            {"optimiser": "sgd", "momentum": 0.0, "nesterov": True},
            "nesterov is true, but training.momentum is 0",
        ),
    ],
)
def test_a_key_without_effect_is_refused(change, text):
    with pytest.raises(ConfigError, match=text):
        make_experiment({**BARE, "training": change})


def test_a_schedule_is_one_of_four():
    with pytest.raises(ConfigError, match="cosine or constant or plateau or one_cycle"):
        make_experiment({**BARE, "training": {"schedule": ["cosine", "plateau"]}})


def test_every_network_that_learns_by_steps_has_its_dropout_among_its_settings():
    for name in models.list_models():
        if models.is_fitted(name) or name == "superb":  # a published head, which has none
            continue
        assert any("dropout" in key for key in models._MODELS[name].__init__.__kwdefaults__), name
    off = models.create_model(
        ModelConfig("crnn", 64, 8, {"dropout": 0.0, "conv_dropout": 0.0, "channels": (8, 8)})
    )
    shares = [m.p for m in off.modules() if isinstance(m, nn.Dropout | nn.Dropout2d)]
    assert shares and not any(shares)


# --- the loss ---


def test_focal_loss_is_lin_s_formula():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(9, 4, generator=generator)
    labels = torch.arange(9) % 4
    targets = nn.functional.one_hot(labels, 4).float()
    p = torch.softmax(logits, 1)[torch.arange(9), labels]
    expected = -((1 - p) ** 2 * p.log()).mean()
    torch.testing.assert_close(soft_cross_entropy(logits, targets, None, 0.0, gamma=2.0), expected)


def test_focal_loss_of_a_clip_that_is_surely_right_has_a_gradient():
    logits = torch.tensor([[200.0, 0.0, -200.0]], requires_grad=True)
    targets = torch.tensor([[1.0, 0.0, 0.0]])
    soft_cross_entropy(logits, targets, None, 0.1, gamma=0.5).backward()
    assert torch.isfinite(logits.grad).all()


# --- which clips are drawn ---


def examples(labels, corpora, votes=None):
    clips = tuple(
        Clip(f"{c}/{n}", c, "", votes=(votes or {}).get(n)) for n, c in enumerate(corpora)
    )
    frames = tuple(torch.full((5 + n % 7, 2), float(n)) for n in range(len(clips)))
    return Examples(clips, frames, np.array(labels))


UNEVEN = examples([0] * 20 + [1] * 4 + [0] * 5 + [1] * 1, "a" * 24 + "b" * 6)


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ("class", {0: 15, 1: 15}),
        ("corpus", {"a": 15, "b": 15}),
        ("corpus-class", {("a", 0): 7.5, ("a", 1): 7.5, ("b", 0): 7.5, ("b", 1): 7.5}),
    ],
)
def test_an_epoch_draws_as_many_clips_of_each_group(sampling, expected):
    groups = find_groups(UNEVEN, sampling)
    fill, rng = fit_normalisation(UNEVEN)[0], np.random.default_rng(0)
    config = AugmentationConfig()
    for _ in range(5):
        batches = training_batches(UNEVEN, 2, 8, config, fill, rng, None, groups)
        rows = np.concatenate([batch.rows for batch in batches])
        assert len(rows) == 30
        for key, count in expected.items():
            of = [
                {
                    "class": UNEVEN.labels[row],
                    "corpus": UNEVEN.clips[row].corpus,
                    "corpus-class": (UNEVEN.clips[row].corpus, UNEVEN.labels[row]),
                }[sampling]
                for row in rows
            ]
            assert abs(of.count(key) - count) < 1
        times = np.bincount(rows, minlength=30)
        for group in range(groups.max() + 1):  # nobody twice before everybody once
            assert np.ptp(times[groups == group]) <= 1


def test_class_weights_are_of_the_clips_as_they_are_drawn():
    def weights(sampling):
        return class_weights(UNEVEN, 2, expected_draws(find_groups(UNEVEN, sampling)))

    torch.testing.assert_close(weights("class"), torch.ones(2))
    torch.testing.assert_close(weights("corpus-class"), torch.ones(2))
    # Half of all from a (20 : 4), half from b (5 : 1): the same 5 : 1 there, too.
    torch.testing.assert_close(weights("corpus"), torch.tensor([30 / (2 * 25), 30 / (2 * 5)]))


def test_without_sampling_there_are_no_groups():
    assert find_groups(UNEVEN, "none") is None


# --- targets of raters ---


def test_targets_are_shared_between_label_and_votes():
    votes = {0: {"happy": 3, "sad": 1}, 2: {"calm": 1, "neutral": 1, "surprised": 6}}
    found = examples([1, 2, 0], "aaa", votes)
    scheme = label_scheme("six")  # neutral, happy, sad, angry, fearful, disgust
    soft = with_votes(found, scheme, 0.5).targets(np.arange(3), 6)
    expected = torch.zeros(3, 6)
    expected[0, 1], expected[0, 2] = 0.5 + 0.5 * 0.75, 0.5 * 0.25
    expected[1, 2] = 1.0  # no votes
    expected[2, 0] = 1.0  # calm counts as neutral, surprised is left out
    torch.testing.assert_close(soft, expected)
    torch.testing.assert_close(
        with_votes(found, scheme, 1.0).soft[0, :3], torch.tensor([0, 0.75, 0.25])
    )


def test_soft_targets_without_votes_are_refused():
    with pytest.raises(
        TrainingError, match=r"soft_targets is 0\.5, but no training clip has votes"
    ):
        with_votes(examples([0, 1], "aa"), label_scheme("four"), 0.5)


# --- all of it, in runs ---


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    made = prepare(folder, augmentation={"stretch": 0.0, "band_masks": 0, "frame_masks": 0})
    voted = tuple(
        msgspec.structs.replace(clip, votes={clip.emotion: 9, "happy": 1})
        for clip in Manifest.read(made.manifest)
    )
    Manifest(voted).write(folder / "manifest.csv")
    return msgspec.structs.replace(made, split=msgspec.structs.replace(made.split, folds=(1,)))


@pytest.mark.parametrize(
    "change",
    [
        {"optimiser": "sgd", "nesterov": True, "learning_rate": 0.05},
        {"optimiser": "adam", "schedule": "one_cycle", "warmup": 0.3},
        {"schedule": "constant", "focal_gamma": 2.0, "max_norm": 3.0},
        {"schedule": "plateau", "plateau_patience": 1, "sampling": "corpus-class"},
        {"soft_targets": 1.0, "label_smoothing": 0.0, "sampling": "class"},
    ],
)
def test_every_way_learns_the_tones(experiment, tmp_path, change):
    config = msgspec.structs.replace(experiment.training, epochs=8, average=0.0, **change)
    run = train(msgspec.structs.replace(experiment, training=config), tmp_path)
    history = read_history(run)
    assert history[-1].loss < 0.8 * history[0].loss


def test_a_plateau_cuts_the_rate_of_the_epochs_after_it(experiment, tmp_path):
    config = replace_training(
        experiment, schedule="plateau", warmup=0.0, plateau_patience=1, learning_rate=1e-6
    )
    history = read_history(train(config, tmp_path))
    rates = [epoch.learning_rate for epoch in history]
    smoothed = [
        np.mean([e.dev_uar for e in history[max(0, n - 4) : n + 1]]) for n in range(len(history))
    ]
    expected = Plateau(0.5, 1)
    for rate, score in zip(rates, smoothed, strict=True):
        assert rate == pytest.approx(1e-6 * expected.share)
        expected.see(score)
    assert all(b <= a for a, b in pairwise(rates)) and rates[-1] < rates[0]


def replace_training(experiment, **changes):
    return msgspec.structs.replace(
        experiment, training=msgspec.structs.replace(experiment.training, **changes)
    )
