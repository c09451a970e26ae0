"""Speech encoders: what they compute is what transformers computes, clip by clip.

The oracle is transformers' own forward pass on one clip without padding. Sizes are tiny and weights
chance; every architecture, and every kind of normalisation that the published models have.
"""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs the extra 'speech'")

import torch
from small_encoders import NAMES, model_of, processor_of, write_encoder

from affectus.encoders import find_encoder
from affectus.encoders.computing import batches, compute, cut, open_encoder
from affectus.encoders.loading import create_encoder, load_encoder
from affectus.errors import ConfigError

LENGTHS = (16_000, 9_000, 20_011, 333)  # samples


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """A folder for each small encoder."""
    place = tmp_path_factory.mktemp("encoders")
    return {name: write_encoder(place / name, name) for name in NAMES}


def sounds(lengths=LENGTHS, seed=0):
    rng = np.random.default_rng(seed)
    return [(0.1 * rng.standard_normal(n) + 0.05).astype("f4") for n in lengths]


@torch.no_grad()
def states_of_transformers(name, waveform):
    """Hidden states [L + 1, T', D] of one clip; the last is what the model gives as its last."""
    model, processor = model_of(name), processor_of(name)
    ready = processor(waveform, sampling_rate=16_000, return_tensors="pt")
    if name == "whisper":
        found = model.encoder(ready["input_features"], output_hidden_states=True)
    else:
        found = model(ready["input_values"], output_hidden_states=True)
    states = torch.stack([*found.hidden_states[:-1], found.last_hidden_state])
    return states[:, 0].numpy()


@pytest.mark.parametrize("name", NAMES)
def test_frames_of_a_padded_batch_are_those_of_transformers_on_each_clip_alone(folders, name):
    encoder = open_encoder(folders[name])
    found = compute(encoder, sounds(), pooling="none", window=3.0)
    for waveform, frames in zip(sounds()[:3], found, strict=False):
        expected = states_of_transformers(name, waveform)[:, : len(frames)]
        side_by_side = expected.transpose(1, 0, 2).reshape(len(frames), -1)
        np.testing.assert_allclose(frames, side_by_side, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_alone_has_the_frames_that_it_has_in_a_batch(folders, name):
    encoder = open_encoder(folders[name])
    together = compute(encoder, sounds(), pooling="none", window=3.0)
    for waveform, frames in zip(sounds(), together, strict=True):
        (alone,) = compute(encoder, [waveform], pooling="none", window=3.0)
        np.testing.assert_allclose(frames, alone, atol=1e-5)


@pytest.mark.parametrize("name", ["xls-r", "wavlm", "whisper"])
def test_pooling_is_over_the_clips_own_frames(folders, name):
    encoder = open_encoder(folders[name])
    plain = compute(encoder, sounds(), layer=2, pooling="none", window=3.0)
    for pooled, frames in zip(
        compute(encoder, sounds(), layer=2, pooling="statistics", window=3.0), plain, strict=True
    ):
        expected = np.concatenate([frames.mean(0), frames.std(0)])
        np.testing.assert_allclose(pooled, expected[None], atol=1e-5)


@pytest.mark.parametrize("name", ["xls-r", "wavlm", "whisper"])
@pytest.mark.parametrize("layer", [0, 1, 3])
def test_one_layer_is_that_of_all(folders, name, layer):
    # Layers above the one that is asked for are not computed.
    encoder = open_encoder(folders[name])
    (every,) = compute(encoder, sounds()[:1], window=3.0)
    (one,) = compute(encoder, sounds()[:1], layer=layer, window=3.0)
    np.testing.assert_allclose(one, every[:, 32 * layer : 32 * (layer + 1)], atol=1e-6)


def test_bf16_is_near_and_does_not_change_which_clip_is_nearest(folders):
    encoder = open_encoder(folders["xls-r"])
    exact, rough = (
        np.concatenate(compute(encoder, sounds(), precision=precision))
        for precision in ("float32", "bf16")
    )
    assert 0 < np.abs(exact - rough).max() < 0.1
    nearest = ((rough[:, None] - exact) ** 2).sum(2).argmin(1)
    assert nearest.tolist() == [0, 1, 2, 3]


# --- windows and batches ---


def test_windows_keep_each_frame_of_the_whole_once(folders):
    encoder = open_encoder(folders["wav2vec2"])
    for n_samples in (320, 16_000, 16_100, 47_999, 48_000, 48_320, 100_003):
        windows = cut(encoder, n_samples, 3.0, 1.0)
        kept = []
        for window in windows:
            assert window.start % 320 == 0
            kept += [window.start // 320 + n for n in range(window.first, window.last)]
        assert kept == list(range(int(encoder.n_frames(torch.tensor([n_samples]))[0])))
        assert windows[-1].end == n_samples
        assert all(window.end - window.start <= 48_000 for window in windows)


def test_the_middle_of_a_long_recording_is_what_its_window_alone_gives(folders):
    encoder = open_encoder(folders["wavlm"])  # which does not normalise its sound
    (long,) = sounds((100_003,))
    (frames,) = compute(encoder, [long], layer=3, pooling="none", window=3.0, overlap=1.0)
    second = cut(encoder, len(long), 3.0, 1.0)[1]
    (alone,) = compute(encoder, [long[second.start : second.end]], layer=3, pooling="none")
    place = second.start // 320
    np.testing.assert_allclose(
        frames[place + second.first : place + second.last],
        alone[second.first : second.last],
        atol=1e-5,
    )


def test_a_long_recording_is_normalised_as_a_whole(folders):
    encoder = open_encoder(folders["xls-r"])
    (long,) = sounds((100_003,))
    (one,) = compute(encoder, [long], window=3.0)
    (other,) = compute(encoder, [3 * long], window=3.0)
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_batches_are_of_like_length_and_bounded():
    lengths = [4_000 * n for n in (1, 30, 2, 31, 1, 16, 16)]
    groups = batches(lengths)
    assert sorted(place for group in groups for place in group) == list(range(7))
    assert groups == [[3], [1], [5, 6], [2, 0, 4]]
    for group in groups:
        assert max(lengths[i] for i in group) * len(group) <= 8 * 16_000


# --- files ---


def test_sizes_are_known_from_the_settings(folders):
    files = find_encoder(folders["wavlm-large"])
    assert (files.architecture, files.n_layers, files.n_features) == ("wavlm", 3, 32)
    assert (files.hop, files.longest) == (320, float("inf"))
    files = find_encoder(folders["whisper"])
    assert (files.n_layers, files.n_features, files.hop, files.longest) == (3, 32, 320, 3.0)


def test_the_hash_is_that_of_the_weights_file(folders):
    import hashlib
    from pathlib import Path

    data = (Path(folders["hubert"]) / "model.safetensors").read_bytes()
    assert find_encoder(folders["hubert"]).sha256 == hashlib.sha256(data).hexdigest()


def copy(folders, tmp_path, name="wav2vec2"):
    shutil.copytree(folders[name], tmp_path / name)
    return tmp_path / name


def change(folder, file="config.json", **values):
    settings = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(settings | values))


def test_settings_have_a_hash_that_outlives_saving_again(folders, tmp_path):
    folder = copy(folders, tmp_path)
    before = find_encoder(folders["wav2vec2"]).settings_hash
    change(folder, transformers_version="9.9.9")
    assert find_encoder(str(folder)).settings_hash == before
    change(folder, layer_norm_eps=1e-3)
    assert find_encoder(str(folder)).settings_hash != before


def test_an_encoder_is_made_again_from_its_settings_and_filled(folders):
    for name in ("wav2vec2", "wavlm-large", "whisper"):
        files = find_encoder(folders[name])
        loaded, empty = load_encoder(files), create_encoder(files.config, files.preprocessor)
        empty.load_state_dict(loaded.state_dict(), strict=True)
        one, other = (compute(e, sounds()[:1], window=3.0)[0] for e in (loaded, empty))
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_of_a_whole_recogniser_is_taken_for_its_encoder(folders, tmp_path):
    import transformers

    model = model_of("wav2vec2")
    whole = transformers.Wav2Vec2ForCTC(model.config)
    whole.wav2vec2.load_state_dict(model.state_dict(), strict=False)
    whole.save_pretrained(tmp_path / "ctc")
    processor_of("wav2vec2").save_pretrained(tmp_path / "ctc")
    one, other = (
        compute(open_encoder(str(folder)), sounds()[:1])[0]
        for folder in (folders["wav2vec2"], tmp_path / "ctc")
    )
    np.testing.assert_array_equal(one, other)


def test_weights_that_are_missing_are_not_made_up(folders, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = copy(folders, tmp_path)
    weights = load_file(folder / "model.safetensors")
    lacking = "encoder.layers.1.attention.q_proj.weight"
    del weights[lacking]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match=rf"1 weights are missing .*{lacking}.*expected all of a"):
        load_encoder(find_encoder(str(folder)))


def test_weights_of_another_size_are_refused(folders, tmp_path):
    folder = copy(folders, tmp_path)
    change(folder, intermediate_size=40)
    with pytest.raises(ConfigError, match=r"expected (all of a wav2vec2|weights that fit)"):
        load_encoder(find_encoder(str(folder)))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json in it; expected it, which says"),
        (lambda f: (f / "preprocessor_config.json").unlink(), "whether sound is normalised"),
        (lambda f: (f / "config.json").write_text("{"), "expected JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "not a table; expected settings"),
        (lambda f: change(f, model_type="bert"), "model_type 'bert'; expected wav2vec2, hubert"),
        (lambda f: change(f, add_adapter=True), "add_adapter is set; expected a plain encoder"),
        (lambda f: change(f, hidden_size="x"), "expected the encoder's sizes"),
        (
            lambda f: change(f, "preprocessor_config.json", sampling_rate=8000),
            "made for 8000 Hz; expected 16000 Hz",
        ),
        (
            lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
            "no safetensors in it; expected model.safetensors. Other formats can run code",
        ),
    ],
)
def test_files_that_do_not_do_are_refused(folders, tmp_path, spoil, said):
    folder = copy(folders, tmp_path)
    spoil(folder)
    with pytest.raises(ConfigError) as caught:
        find_encoder(str(folder))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_file_of_weights_is_one_line(folders, tmp_path):
    folder = copy(folders, tmp_path)
    (folder / "model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(ConfigError, match=r"expected weights that fit config\.json") as caught:
        load_encoder(find_encoder(str(folder)))
    assert "\n" not in str(caught.value)


def test_a_hub_name_is_looked_up_in_the_cache_alone(folders, tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"not in this machine's cache.*hf download some/encoder"):
        find_encoder("some/encoder")
    # The cache's layout: models--ORG--NAME/refs/main names a folder of snapshots/.
    home = tmp_path / "models--some--encoder"
    shutil.copytree(folders["wavlm"], home / "snapshots" / "abc")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("abc")
    assert find_encoder("some/encoder").sha256 == find_encoder(folders["wavlm"]).sha256


def test_what_is_neither_folder_nor_name_is_refused():
    with pytest.raises(ConfigError, match=r"no such folder; expected one with model\.safetensors"):
        find_encoder("/no/such/folder")
