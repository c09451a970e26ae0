import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import KINDS, OF_FACES, OF_WAVEFORMS, SMALL

from affectus import models
from affectus.errors import ConfigError, ModelError
from affectus.models import Inputs, ModelConfig, create_model

N_FEATURES, N_LABELS = 32, 5


def config_of(kind):
    name, settings = KINDS[kind]
    return ModelConfig(name, N_FEATURES, N_LABELS, settings)


def small(kind):
    torch.manual_seed(0)
    return create_model(config_of(kind))


def clips(lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, N_FEATURES, generator=generator) for n in lengths]


def batch(frames):
    padded = torch.nn.utils.rnn.pad_sequence(frames, batch_first=True)
    return Inputs(padded, torch.tensor([len(f) for f in frames]))


def warmed(name):
    """A network whose batch normalisation has seen data, so that its statistics matter."""
    network = small(name)
    network.mean.fill_(0.3)
    network.deviation.fill_(2.0)
    network.train()
    for seed in range(3):
        network(batch(clips([40, 60, 50, 33], seed)))
    return network.eval()


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(params=KINDS)
def name(request):
    return request.param


def test_every_model_is_tested():
    assert set(SMALL) | OF_WAVEFORMS | OF_FACES == set(models.list_models())


def test_logits_have_one_row_a_clip_and_one_column_a_label(name):
    assert warmed(name)(batch(clips([50, 20, 1]))).shape == (3, N_LABELS)


@torch.no_grad()
def test_padding_does_not_change_the_logits(name):
    network = warmed(name)
    frames = clips([1, 2, 3, 5, 8, 15, 16, 17, 40, 63, 64, 65, 100])
    together = network(batch(frames))
    alone = torch.cat([network(batch([clip])) for clip in frames])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_what_lies_in_the_padding_does_not_matter(name):
    network = warmed(name)
    inputs = batch(clips([40, 13]))
    rubbish = inputs.voice.clone()
    rubbish[1, 13:] = 1e4
    torch.testing.assert_close(
        network(inputs), network(Inputs(rubbish, inputs.voice_lengths)), atol=1e-5, rtol=1e-5
    )


@torch.no_grad()
def test_the_last_frame_of_a_clip_matters(name):
    # The counterpart: a mask that is one frame short would pass the tests above.
    network = warmed(name)
    for length in (5, 16, 17, 30, 33, 40, 70):
        (clip,) = clips([length])
        changed = clip.clone()
        changed[-1] += 5
        assert not torch.equal(network(batch([clip])), network(batch([changed])))


def test_one_batch_can_be_learnt_by_heart(name):
    network = small(name).train()
    inputs, labels = batch(clips([30] * 10)), torch.arange(10) % N_LABELS
    if models.is_fitted(name):
        network, _ = models.fit_model(
            ModelConfig(name, N_FEATURES, N_LABELS, {"cost": 100.0}),
            inputs.voice.mean(1).double().numpy(),
            labels.numpy(),
            np.ones(10),
            np.array(list("aaaaabbbbb")),
        )
        assert torch.equal(network(inputs).argmax(1), labels)
        return
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout | torch.nn.Dropout2d):
            module.p = 0.0
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(network(inputs), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1


def test_the_same_seed_gives_the_same_weights(name):
    one, other = small(name).state_dict(), small(name).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)
    torch.manual_seed(1)
    third = create_model(config_of(name)).state_dict()
    assert any(not torch.equal(one[key], third[key]) for key in one)


def test_statistics_normalise_the_input(name):
    network = warmed(name)
    inputs = batch(clips([30, 20]))
    plain = small(name).eval()
    plain.load_state_dict(network.state_dict())
    plain.mean.zero_()
    plain.deviation.fill_(1)
    scaled = Inputs((inputs.voice - 0.3) / 2, inputs.voice_lengths)
    torch.testing.assert_close(network(inputs), plain(scaled))


@torch.no_grad()
def test_only_an_image_has_an_order_of_its_columns():
    # Columns and the weights that take them are put into another order together: the sum is the
    # same where each column is a channel, and another where columns are neighbours.
    order = torch.randperm(N_FEATURES, generator=torch.Generator().manual_seed(3))
    inputs = batch(clips([40, 25]))
    mixed = Inputs(inputs.voice[:, :, order], inputs.voice_lengths)
    network = warmed("crnn over time alone")
    expected = network(inputs)
    first = network.body.blocks[0].convolution.weight
    assert first.shape == (8, N_FEATURES, 5, 1)
    first.copy_(first[:, order])
    torch.testing.assert_close(network(mixed), expected, atol=1e-5, rtol=1e-5)
    network = warmed("crnn")
    assert not torch.allclose(network(mixed), network(inputs), atol=1e-3)


@torch.no_grad()
def test_every_block_over_time_alone_halves_it():
    frames, lengths = warmed("crnn over time alone").encode(batch(clips([64, 1, 9, 33])))
    assert lengths.tolist() == [8, 1, 2, 5]  # an eighth, rounded up
    assert frames.shape == (4, 8, 16)


def test_saved_is_loaded(name, tmp_path):
    network, config = warmed(name), config_of(name)
    models.save(network, config, tmp_path / "weights.safetensors")
    loaded, its_config = models.load(tmp_path / "weights.safetensors")
    assert its_config == config
    inputs = batch(clips([30, 20]))
    assert torch.equal(network(inputs), loaded(inputs))
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]


def test_loading_leaves_the_random_state_alone(tmp_path):
    config = config_of("crnn")
    models.save(small("crnn"), config, tmp_path / "w")
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    models.load(tmp_path / "w")
    assert torch.equal(torch.rand(3), expected)


def test_weights_of_another_network_are_refused(tmp_path):
    config = config_of("crnn")
    wrong = dataclasses.replace(config, n_labels=N_LABELS + 1)
    models.save(small("crnn"), wrong, tmp_path / "w")
    with pytest.raises(ModelError, match="size mismatch"):
        models.load(tmp_path / "w")
    (tmp_path / "text").write_text("not weights")
    with pytest.raises(ModelError, match="expected weights written by this package"):
        models.load(tmp_path / "text")


def test_unknown_models_and_settings_propose_the_nearest():
    with pytest.raises(ConfigError, match=r"no model 'crn'; known models: cnn, crnn, .*'crnn'"):
        create_model(ModelConfig("crn", 32, 5))
    with pytest.raises(ConfigError, match=r"no setting 'dropuot'.*Did you mean 'dropout'\?"):
        create_model(ModelConfig("crnn", 32, 5, {"dropuot": 0.1}))


def test_sizes_that_do_not_fit_are_refused_in_words():
    with pytest.raises(ConfigError, match="4 blocks halve 8 bands to nothing; expected settings"):
        create_model(ModelConfig("cnn", 8, 5))
    for name, settings, words in [
        ("parallel_cnn_lstm", {"channels": [8, 8]}, "2 channels and 4 time_pools, not 4"),
        ("stacked_cnn_lstm", {"channels": [8]}, "1 channels, not 3"),
        ("stacked_cnn_lstm", {"chunk": 48}, "chunks of 48 every 32 frames"),
        ("cnn_transformer", {"n_heads": 5}, "5 heads do not divide 64 features"),
        ("branched_lstm", {"n_hidden": 7}, "n_hidden is 7, which two directions cannot halve"),
        ("logistic", {"cost": -1.0}, "cost is -1, below 0"),
        ("svm", {"gamma": -1.0}, "cost is 0 and gamma -1, one below 0"),
    ]:
        with pytest.raises(ConfigError, match=words):
            create_model(ModelConfig(name, 64, 5, settings))


def test_the_default_networks_have_the_documented_sizes():
    # Stated in docs/models.md; a change of either belongs in the changelog.
    sizes = {"av_attention": {"n_face": 52}, "face_cnn_lstm": {"n_face": 112 * 112}}
    counts = {
        name: models.count_parameters(create_model(ModelConfig(name, 64, 8, sizes.get(name, {}))))
        for name in (*SMALL, *OF_FACES)
    }
    assert counts == {
        "cnn": 1_046_504,
        "crnn": 467_561,
        "parallel_cnn_lstm": 230_649,
        "stacked_cnn_lstm": 189_433,
        "cnn_transformer": 397_112,
        "cnn_pooling_lstm": 1_507_176,
        "branched_lstm": 711_688,
        "av_attention": 330_890,
        "face_cnn_lstm": 132_345,
        "tcn": 380_040,
        "superb": 18_696,  # 64 x 256 + 256, 256 x 8 + 8
        "logistic": 64 * 8 + 8,
        "svm": 8,  # and 64 + 8 for each support vector
    }
    text = (Path(__file__).parent.parent / "docs/models.md").read_text("utf-8")
    first = text.partition("## Beside each other")[0]  # the others have a row of scores there, too
    told = re.findall(r"^\| `(\w+)` \|.*?\| ([\d,]+)", first, flags=re.MULTILINE)
    assert {name: int(number.replace(",", "")) for name, number in told} == counts


# The published sizes are of the notebooks' layers at 128 bands and 8 labels, summed by hand; a
# convolution's bias before batch normalisation has no effect, and ours has none.


@pytest.mark.parametrize(
    ("name", "settings", "published", "n_biases"),
    [
        ("parallel_cnn_lstm", {}, 263_593, 16 + 32 + 64 + 64),
        ("cnn_transformer", {}, 395_176, 16 + 32 + 64 + 64),
        ("stacked_cnn_lstm", {"chunk": 128, "hop": 64}, 582_761, 16 + 32 + 64),
    ],
)
def test_the_earlier_networks_have_their_published_sizes(name, settings, published, n_biases):
    network = create_model(ModelConfig(name, 128, 8, settings))
    assert models.count_parameters(network) + n_biases == published
