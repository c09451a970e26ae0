"""What the networks are made of, beside what torch or a line of arithmetic makes of it."""

import pytest
import torch

from affectus.models.attention import EncoderLayer, MultiHeadAttention
from affectus.models.convolutions import ConvolutionBranch
from affectus.models.layers import (
    AttentionPooling,
    MaskedRecurrent,
    last_states,
    peaks,
    shorten,
    stretches,
)
from affectus.models.tcn import CausalBlock

LENGTHS = torch.tensor([7, 3, 1])


@pytest.fixture
def frames():
    return torch.randn(3, 7, 8, generator=torch.Generator().manual_seed(0))


def mask():
    return torch.arange(7) >= LENGTHS[:, None]


@torch.no_grad()
def test_attention_is_that_of_torch(frames):
    torch.manual_seed(0)
    ours = MultiHeadAttention(8, 2)
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
    theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
    theirs.out_proj.load_state_dict(ours.output.state_dict())
    asking = torch.randn(3, 4, 8)
    expected, _ = theirs(asking, frames, frames, key_padding_mask=mask())
    torch.testing.assert_close(ours(asking, frames, LENGTHS), expected, atol=1e-6, rtol=0)


@torch.no_grad()
def test_an_encoder_layer_is_that_of_torch(frames):
    torch.manual_seed(0)
    ours = EncoderLayer(8, 2, 16, 0.4).eval()
    theirs = torch.nn.TransformerEncoderLayer(8, 2, 16, 0.4, batch_first=True).train()
    for module in theirs.modules():  # in evaluation it would take its faster path
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    theirs.self_attn.dropout = 0.0
    heads = ours.attention
    theirs.self_attn.in_proj_weight.copy_(
        torch.cat([heads.query.weight, heads.key.weight, heads.value.weight])
    )
    theirs.self_attn.in_proj_bias.copy_(
        torch.cat([heads.query.bias, heads.key.bias, heads.value.bias])
    )
    theirs.self_attn.out_proj.load_state_dict(heads.output.state_dict())
    theirs.linear1.load_state_dict(ours.dense[0].state_dict())
    theirs.linear2.load_state_dict(ours.dense[3].state_dict())
    expected = theirs(frames, src_key_padding_mask=mask())
    found = ours(frames, LENGTHS)
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(found[row, :length], expected[row, :length], atol=1e-5, rtol=0)


@torch.no_grad()
def test_last_states_are_those_that_the_recurrence_returns(frames):
    torch.manual_seed(0)
    layer = MaskedRecurrent(8, 5, kind=torch.nn.LSTM)
    found = last_states(layer(frames, LENGTHS), LENGTHS)
    for row, length in enumerate(LENGTHS):
        _, (hidden, _) = layer.recurrent(frames[row : row + 1, :length])
        torch.testing.assert_close(found[row], hidden[:, 0].flatten())


@torch.no_grad()
def test_attention_pooling_is_a_mean_where_every_score_is_equal(frames):
    pooling = AttentionPooling(8)
    pooling.score.weight.zero_()
    for row, length in enumerate(LENGTHS):
        expected = frames[row, :length].mean(0)
        torch.testing.assert_close(pooling(frames, LENGTHS)[row], expected)


def test_shortened_frames_are_means_of_what_there_is():
    frames = torch.tensor([[1.0, 3, 5, 7, 9], [2, 4, 6, 99, 99]])[:, :, None]
    means, lengths = shorten(frames, torch.tensor([5, 3]), 2)
    assert lengths.tolist() == [3, 2]
    assert means[:, :, 0].tolist() == [[2, 6, 9], [3, 6, 0]]


def test_peaks_are_never_of_the_padding():
    frames = torch.tensor([[[-1.0, -5], [-2, -3], [-4, -9]], [[-7, -8], [0, 0], [0, 0]]])
    found, lengths = peaks(frames, torch.tensor([3, 1]), (2, 2))
    assert lengths.tolist() == [2, 1]
    assert found[:, :, 0].tolist() == [[-1, -4], [-7, 0]]


def test_stretches_are_the_means_of_equal_parts():
    frames = torch.tensor([[1.0, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 99, 99]])[:, :, None]
    found = stretches(frames, torch.tensor([8, 6]), 4)[:, :, 0]
    # Six frames in quarters of 1.5: the second frame is half in the first, half in the second.
    expected = [[1.5, 3.5, 5.5, 7.5], [2 / 1.5, 4 / 1.5, 6.5 / 1.5, 8.5 / 1.5]]
    expected[1] = [(1 + 0.5 * 2) / 1.5, (0.5 * 2 + 3) / 1.5, (4 + 2.5) / 1.5, (2.5 + 6) / 1.5]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_a_clip_of_one_frame_is_that_frame_in_every_stretch():
    found = stretches(torch.tensor([[[3.0], [99.0]]]), torch.tensor([1]), 4)
    torch.testing.assert_close(found[0, :, 0], torch.full((4,), 3.0))


@torch.no_grad()
def test_a_causal_block_hears_only_what_was_and_keeps_padding_at_zero():
    torch.manual_seed(0)
    block = CausalBlock(8, 64, dilation=2, dropout=0.0)
    frames = torch.randn(2, 8, 20)
    mask = torch.ones(2, 1, 20)
    mask[1, :, 12:] = 0
    changed = frames.clone()
    changed[:, :, 9] += 1
    before, after = (block.eval()(values * mask, mask) for values in (frames, changed))
    moved = (before != after).any(1)
    # Two kernels of 3 at dilation 2: frame 9 is heard at 9, 11, 13, 15 and 17.
    assert moved[0].nonzero().flatten().tolist() == [9, 11, 13, 15, 17]
    assert moved[1].nonzero().flatten().tolist() == [9, 11]
    inner = []
    block.norms[1].register_forward_hook(lambda _, given, __: inner.append(given[0]))
    block(frames * mask, mask)
    assert (before[1, :, 12:] == 0).all()
    torch.testing.assert_close(inner[0][1, :, 16:], torch.zeros(64, 4))


def test_the_convolution_branch_says_as_much_of_the_published_image_as_flattening_did():
    # 128 bands by 563 frames, pooled by 2, 4, 4, 4: 64 channels by 1 band by 4 time steps.
    branch = ConvolutionBranch(128, (16, 32, 64, 64), (2, 4, 4, 4), 0.3)
    assert branch(torch.randn(2, 563, 128), torch.tensor([563, 400])).shape == (2, 256)
    assert branch.n_out == 256
