"""The branched network: what a face adds, and that nothing is added where there is none."""

import pytest
import torch

from affectus.models import Inputs, ModelConfig, create_model

SETTINGS = {"n_face": 6, "n_hidden": 16, "n_heads": 2, "n_dense": [16, 16, 16]}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = create_model(ModelConfig("branched_lstm", 32, 5, SETTINGS)).eval()
    network.face_mean.fill_(2.0)
    network.face_deviation.fill_(3.0)
    return network


def clips(face_lengths, n_frames=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    voice = torch.randn(len(face_lengths), 40, 32, generator=generator)
    face = torch.randn(len(face_lengths), n_frames, 6, generator=generator)
    lengths = torch.tensor([40, 25, 13][: len(face_lengths)])
    return Inputs(voice, lengths, face, torch.tensor(face_lengths))


@torch.no_grad()
def test_a_clip_without_a_face_is_answered_from_the_voice(network):
    inputs = clips([0, 0, 0])
    from_voice = network(Inputs(inputs.voice, inputs.voice_lengths))
    torch.testing.assert_close(network(inputs), from_voice)
    mixed = network(inputs._replace(face_lengths=torch.tensor([9, 0, 4])))
    torch.testing.assert_close(mixed[1], from_voice[1])
    assert (mixed[0] - from_voice[0]).abs().max() > 1e-3


@torch.no_grad()
def test_nothing_of_the_face_branch_reaches_a_clip_without_a_face(network):
    inputs = clips([9, 0, 4])
    before = network(inputs)
    for name, parameter in network.body.named_parameters():
        if name.startswith(("face", "voice_asks")):
            parameter.add_(torch.randn_like(parameter))
    after = network(inputs)
    torch.testing.assert_close(after[1], before[1])
    assert (after[0] - before[0]).abs().max() > 1e-2


@torch.no_grad()
def test_a_face_matters_to_its_last_frame(network):
    inputs = clips([9, 5, 1])
    changed = inputs.face.clone()
    for row, length in enumerate([9, 5, 1]):
        changed[row, length - 1] += 5
    difference = (network(inputs) - network(inputs._replace(face=changed))).abs()
    assert (difference.max(1).values > 1e-4).all()


@torch.no_grad()
def test_padding_of_the_face_does_not_change_the_logits(network):
    inputs = clips([9, 5, 1])
    together = network(inputs)
    rubbish = inputs.face.clone()
    rubbish[1, 5:] = 1e4
    torch.testing.assert_close(network(inputs._replace(face=rubbish)), together)
    for row, (n_voice, n_face) in enumerate([(40, 9), (25, 5), (13, 1)]):
        alone = Inputs(
            inputs.voice[row : row + 1, :n_voice], torch.tensor([n_voice]),
            inputs.face[row : row + 1, :n_face], torch.tensor([n_face]),
        )  # fmt: skip
        torch.testing.assert_close(network(alone)[0], together[row], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_face_is_normalised_by_its_own_statistics(network):
    inputs = clips([9, 5, 1])
    plain = create_model(ModelConfig("branched_lstm", 32, 5, SETTINGS)).eval()
    plain.load_state_dict(network.state_dict())
    plain.face_mean.zero_()
    plain.face_deviation.fill_(1)
    scaled = inputs._replace(face=(inputs.face - 2) / 3)
    torch.testing.assert_close(network(inputs), plain(scaled))


def test_without_face_features_there_is_no_branch_for_them():
    voice_alone = create_model(ModelConfig("branched_lstm", 32, 5, {**SETTINGS, "n_face": 0}))
    assert not [name for name in voice_alone.state_dict() if "face" in name]
    inputs = clips([9, 5, 1])
    assert voice_alone(inputs).shape == (3, 5)


@torch.no_grad()
def test_a_network_of_the_voice_does_not_look_at_a_face():
    torch.manual_seed(0)
    network = create_model(ModelConfig("tcn", 32, 5, {"n_filters": 8})).eval()
    inputs = clips([9, 5, 1])
    assert torch.equal(network(inputs), network(Inputs(inputs.voice, inputs.voice_lengths)))
