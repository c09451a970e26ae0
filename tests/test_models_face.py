"""Networks with a face: what it adds, and that nothing is added where there is none."""

import re

import pytest
import torch
from small_models import FACE_CNN, SMALL

from affectus.errors import ConfigError
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


BOTH = [("branched_lstm", SETTINGS), ("av_attention", {**SMALL["av_attention"], "n_face": 6})]


@pytest.fixture(params=BOTH, ids=[name for name, _ in BOTH])
def of_both(request):
    torch.manual_seed(0)
    name, settings = request.param
    network = create_model(ModelConfig(name, 32, 5, settings)).eval()
    network.face_mean.fill_(2.0)
    return network


@torch.no_grad()
def test_one_network_serves_voice_alone_face_alone_and_both(of_both):
    inputs = clips([9, 5, 4])
    nothing = torch.zeros(3, dtype=torch.int64)
    both = of_both(inputs)
    voice = of_both(inputs._replace(face_lengths=nothing))
    face = of_both(inputs._replace(voice_lengths=nothing))
    torch.testing.assert_close(voice, of_both(Inputs(inputs.voice, inputs.voice_lengths)))
    for one, other in [(both, voice), (both, face), (voice, face)]:
        assert ((one - other).abs().max(1).values > 1e-4).all()
    mixed = inputs._replace(
        voice_lengths=torch.tensor([40, 0, 13]), face_lengths=torch.tensor([9, 5, 0])
    )
    rows = torch.stack([both[0], face[1], voice[2]])
    torch.testing.assert_close(of_both(mixed), rows, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_what_lies_in_a_stream_that_is_missing_does_not_matter(of_both):
    inputs = clips([9, 0, 4])._replace(voice_lengths=torch.tensor([0, 25, 13]))
    rubbish = inputs._replace(voice=inputs.voice.clone(), face=inputs.face.clone())
    rubbish.voice[0] = 1e3
    rubbish.face[1] = 1e3
    rubbish.face[2, 4:] = 1e3
    torch.testing.assert_close(of_both(rubbish), of_both(inputs), atol=1e-5, rtol=1e-4)


@pytest.fixture
def of_crops():
    torch.manual_seed(0)
    return create_model(ModelConfig("face_cnn_lstm", 32, 5, FACE_CNN)).eval()


def crops(lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    face = torch.randn(len(lengths), max(lengths), 256, generator=generator)
    return Inputs(torch.zeros(len(lengths), 1, 32), torch.zeros(len(lengths)).long(), face,
                  torch.tensor(lengths))  # fmt: skip


@torch.no_grad()
def test_padding_of_crops_does_not_change_the_logits(of_crops):
    inputs = crops([9, 5, 1])
    together = of_crops(inputs)
    inputs.face[1, 5:] = 1e3
    torch.testing.assert_close(of_crops(inputs), together, atol=1e-5, rtol=1e-4)
    for row, length in enumerate([9, 5, 1]):
        alone = Inputs(*(stream[row : row + 1] for stream in inputs))
        alone = alone._replace(face=alone.face[:, :length])
        torch.testing.assert_close(of_crops(alone)[0], together[row], atol=1e-5, rtol=1e-4)
        changed = inputs.face.clone()
        changed[row, length - 1] += 3
        difference = of_crops(inputs._replace(face=changed)) - together
        assert difference[row].abs().max() > 1e-5


@torch.no_grad()
def test_the_voice_does_not_reach_a_network_of_faces_alone(of_crops):
    inputs = crops([9, 5])
    heard = inputs._replace(voice=torch.randn(2, 30, 32), voice_lengths=torch.tensor([30, 11]))
    assert torch.equal(of_crops(heard), of_crops(inputs))
    assert of_crops.streams == ("face",)


def test_colours_of_a_crop_are_its_last_axis():
    # As `face_crops` stores them: red, green, blue of a pixel, one after the other.
    network = create_model(
        ModelConfig("face_cnn_lstm", 32, 5, {**FACE_CNN, "n_face": 768, "colour": True})
    ).eval()
    seen = []
    network.body.crops.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    inputs = crops([1])._replace(face=torch.arange(768.0)[None, None])
    network(inputs)
    image = torch.arange(768.0).reshape(16, 16, 3)
    assert torch.equal(seen[0][0, 1], image[:, :, 1])


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("face_cnn_lstm", {}, "0 columns of the face are no square grey crop of 16 pixels or more"),
        ("face_cnn_lstm", {"n_face": 250}, "250 columns of the face are no square grey crop"),
        ("face_cnn_lstm", {"n_face": 256, "colour": True}, "no square colour crop"),
        ("face_cnn_lstm", {"n_face": 256, "channels": []}, "0 convolutions, which is not 1 to 3"),
        ("av_attention", {}, "n_face is 0; a network of both needs a [face] table"),
    ],
)
def test_what_is_no_face_is_refused(name, settings, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        create_model(ModelConfig(name, 32, 5, settings))
