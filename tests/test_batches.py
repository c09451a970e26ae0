from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch

from affectus.batches import (
    Bands,
    Examples,
    allow_labels,
    augment,
    class_weights,
    collate,
    find_label_sets,
    fit_face_normalisation,
    fit_normalisation,
    load_examples,
    ordered_batches,
    training_batches,
)
from affectus.batches.augmentation import Change, change_face, drop_stream
from affectus.emotions import label_scheme
from affectus.errors import ConfigError, TrainingError
from affectus.experiment import AugmentationConfig
from affectus.features import create_extractor
from affectus.manifest import Clip
from affectus.store import FeatureStore, Result, write_shard
from affectus.synthesis import synthesize_voice

OFF = AugmentationConfig(
    band_masks=0, frame_masks=0, stretch=0.0, gain_db=0.0, mixup=0.0
)  # fmt: skip

LOGMEL = create_extractor("logmel", trim_db=None)
BANDS = Bands(LOGMEL.centres, 16_000 / 512)


def examples(lengths=(30, 10, 20, 40, 25), labels=(0, 1, 0, 1, 0), n_features=6):
    rng = np.random.default_rng(0)
    frames = [torch.from_numpy(rng.normal(3, 2, (n, n_features)).astype("f")) for n in lengths]
    clips = [Clip(f"c/{i}", "c", "", speaker=f"c:{i}") for i in range(len(lengths))]
    return Examples(tuple(clips), tuple(frames), np.array(labels))


def drawn(found, config=OFF, seed=0, batch_size=2, bands=None):
    fill, rng = fit_normalisation(found)[0], np.random.default_rng(seed)
    return list(training_batches(found, 2, batch_size, config, fill, rng, bands))


def test_normalisation_is_numpys_over_all_frames():
    found = examples()
    mean, deviation = fit_normalisation(found)
    every = np.concatenate([f.numpy() for f in found.frames])
    np.testing.assert_allclose(mean, every.mean(0), rtol=1e-5)
    np.testing.assert_allclose(deviation, every.std(0), rtol=1e-5)


def test_a_constant_column_gets_deviation_one():
    found = examples()
    for frames in found.frames:
        frames[:, 2] = -100.0
    assert fit_normalisation(found)[1][2] == 1.0


def test_class_weights_are_those_of_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    found = examples()
    expected = compute_class_weight("balanced", classes=np.arange(2), y=found.labels)
    np.testing.assert_allclose(class_weights(found, 2), expected, rtol=1e-6)


def test_a_label_without_clips_is_refused():
    with pytest.raises(TrainingError, match="no training clip has label number 2 of 3"):
        class_weights(examples(), 3)


def test_every_clip_is_drawn_once_an_epoch():
    rows = np.concatenate([batch.rows for batch in drawn(examples())])
    assert sorted(rows) == [0, 1, 2, 3, 4]


def test_batches_hold_what_they_say():
    found = examples()
    for batch in drawn(found):
        for place, row in enumerate(batch.rows):
            length = len(found.frames[row])
            assert batch.inputs.voice_lengths[place] == length
            assert torch.equal(batch.inputs.voice[place, :length], found.frames[row])
            assert not batch.inputs.voice[place, length:].any()
            assert batch.targets[place].argmax() == found.labels[row]


def test_batches_are_drawn_by_the_seed():
    def order(seed):
        return [batch.rows.tolist() for batch in drawn(examples(), seed=seed)]

    assert order(1) == order(1)
    assert len({str(order(seed)) for seed in range(8)}) > 1


def of_two_corpora():
    """Corpus c has labels 0 and 1, corpus d has 0 and 2."""
    found = examples(lengths=(30, 10, 20, 40, 25, 12), labels=(0, 1, 0, 2, 0, 2))
    clips = tuple(
        msgspec.structs.replace(clip, corpus="cccddd"[n]) for n, clip in enumerate(found.clips)
    )
    return replace(found, clips=clips)


def test_the_label_set_of_a_corpus_is_what_its_clips_have():
    found = of_two_corpora()
    sets = find_label_sets(found, 3)
    assert sets == {"c": (0, 1), "d": (0, 2)}
    allowed = allow_labels(found, sets, 3).allowed
    assert allowed.tolist() == [[True, True, False]] * 3 + [[True, False, True]] * 3


def test_a_corpus_of_one_label_cannot_have_partial_labels():
    found = replace(of_two_corpora(), labels=np.array([0, 1, 0, 2, 2, 2]))
    with pytest.raises(TrainingError, match="the training clips of d all have one label"):
        allow_labels(found, find_label_sets(found, 3), 3)


def test_batches_carry_what_their_clips_are_allowed():
    found = of_two_corpora()
    found = allow_labels(found, find_label_sets(found, 3), 3)
    fill, rng = fit_normalisation(found)[0], np.random.default_rng(0)
    for batch in training_batches(found, 3, 4, OFF, fill, rng):
        assert torch.equal(batch.allowed, found.allowed[batch.rows])
    assert all(batch.allowed is None for batch in drawn(examples()))


def test_mixup_stays_among_clips_that_are_allowed_the_same_labels():
    found = of_two_corpora()
    found = allow_labels(found, find_label_sets(found, 3), 3)
    config = msgspec.structs.replace(OFF, mixup=0.5)
    n_mixed = 0
    for seed in range(20):
        fill, rng = fit_normalisation(found)[0], np.random.default_rng(seed)
        for batch in training_batches(found, 3, 6, config, fill, rng):
            assert not batch.targets[~batch.allowed].any()
            n_mixed += int((batch.targets.max(1).values < 1).sum())
    assert n_mixed > 10


def test_ordered_batches_leave_clips_as_they_are():
    found = examples()
    (batch,) = ordered_batches(found, 2)
    assert batch.rows.tolist() == [1, 2, 4, 0, 3]
    assert torch.equal(batch.inputs.voice[4, :40], found.frames[3])


def test_collate_pads_with_zeros():
    inputs = collate([torch.ones(2, 3), torch.ones(4, 3)])
    assert inputs.voice.shape == (2, 16, 3)
    assert inputs.voice.sum() == 18
    assert inputs.voice_lengths.tolist() == [2, 4]


@pytest.mark.parametrize(
    "part", ["band_masks", "frame_masks", "stretch", "speed", "tract", "gain_db", "noise"]
)
def test_augmentation_never_touches_the_stored_frames(part):
    value = ("white", "babble") if part == "noise" else 2 if part.endswith("masks") else 0.5
    config = msgspec.structs.replace(OFF, noise_share=1.0, **{part: value})
    found = examples()
    before = [frames.clone() for frames in found.frames]
    drawn(found, config, bands=Bands(np.linspace(100, 1_000, 6), 31.25))
    assert all(torch.equal(a, b) for a, b in zip(before, found.frames, strict=True))


def test_masks_set_whole_bands_and_frames_to_the_fill():
    frames, fill = torch.zeros(50, 6), torch.arange(1.0, 7.0)
    config = msgspec.structs.replace(OFF, band_masks=1, band_width=3)
    rng = np.random.default_rng(0)
    for _ in range(20):
        masked = augment(frames, config, fill, rng)
        bands = (masked != 0).all(0)
        assert torch.equal(masked[:, bands], fill[bands].expand(50, -1))
        assert int(bands.sum()) <= 3 and not (masked[:, ~bands] != 0).any()
    config = msgspec.structs.replace(OFF, frame_masks=1, frame_width=20)
    for _ in range(20):
        hit = (augment(frames, config, fill, rng) != 0).any(1)
        assert int(hit.sum()) <= 10  # a fifth of 50


def log_mel_at(speed):
    """Log-mel frames of a voice played `speed` times as fast, in truth."""
    seconds = np.arange(round(32_000 / speed)) / 16_000 * speed
    phase = 2 * np.pi * (140 * seconds + 30 * np.sin(2 * np.pi * 2 * seconds))
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    formant = np.sin(2 * np.pi * 1_500 * seconds) * (1 + np.sin(2 * np.pi * 3 * seconds))
    return LOGMEL((0.1 * voice + 0.2 * formant).astype("f4"), 16_000)


@pytest.mark.parametrize("speed", [0.85, 1.15])
def test_speed_does_to_the_bands_what_playing_faster_does_to_the_sound(speed):
    config = msgspec.structs.replace(OFF, speed=0.15)
    factor = np.log(speed) / np.log1p(config.speed)

    class Chance:
        uniform = staticmethod(lambda low, high: factor if high == 1 else 0.0)

    plain, truth = log_mel_at(1.0), log_mel_at(speed)
    found = augment(torch.from_numpy(plain), config, torch.zeros(64), Chance, BANDS).numpy()
    assert abs(len(found) - len(truth)) <= 2
    n = min(len(found), len(truth), len(plain))
    inside = truth[:n] > truth.max() - 40  # where there is sound
    error = np.abs(found[:n] - truth[:n])[inside].mean()
    assert error < 0.6 * np.abs(plain[:n] - truth[:n])[inside].mean()


def test_tract_moves_a_band_s_energy_by_its_share_and_keeps_the_length():
    centres = LOGMEL.centres
    tone = torch.full((10, 64), -80.0)
    tone[:, 30] = 0.0
    config = msgspec.structs.replace(OFF, tract=0.2)
    rng = np.random.default_rng(0)
    for _ in range(50):
        moved = augment(tone, config, torch.zeros(64), rng, BANDS)
        assert moved.shape == tone.shape
        ratio = centres[int(moved[0].argmax())] / centres[30]
        assert 1 / 1.25 < ratio < 1.25
    assert len({int(augment(tone, config, torch.zeros(64), rng, BANDS)[0].argmax())
                for _ in range(50)}) > 3  # fmt: skip


@pytest.mark.parametrize("part", [{"speed": 0.1}, {"tract": 0.1}, {"noise": ("white",)}])
def test_what_needs_bands_is_refused_where_none_are_known(part):
    config = msgspec.structs.replace(OFF, noise_share=1.0, **part)
    with pytest.raises(ConfigError, match=r"these features have none; .* augmentation\.speed=0"):
        drawn(examples(), config)


def voice_at(seconds=2.0):
    """A voice that rises and falls, with pauses: [T] float32."""
    return synthesize_voice("happy", speaker=1)[: int(16_000 * seconds)]


def mean_bands(frames):
    """The mean power of each band over time, in dB."""
    return 10 * np.log10((10 ** (np.asarray(frames, np.float64) / 10)).mean(0))


@pytest.mark.parametrize("kind", ["white", "pink"])
@pytest.mark.parametrize("snr", [0.0, 12.0])
def test_noise_in_the_bands_is_what_the_noise_would_have_been_in_the_sound(kind, snr):
    voice, rng = voice_at(), np.random.default_rng(1)
    spectrum = np.fft.rfft(rng.normal(0, 1, len(voice)))
    hertz = np.fft.rfftfreq(len(voice), 1 / 16_000)
    if kind == "pink":
        spectrum /= np.sqrt(np.maximum(hertz, 20.0))
    # The ratio is that of what the bands hear, 50 to 8,000 Hz.
    spectrum[hertz < 50] = 0
    noise = np.fft.irfft(spectrum, len(voice))
    noise *= np.sqrt(np.square(voice).mean() / np.square(noise).mean() / 10 ** (snr / 10))
    truth = LOGMEL((voice + noise).astype("f4"), 16_000)
    clean = LOGMEL(voice, 16_000)
    config = msgspec.structs.replace(OFF, noise=(kind,), noise_snr=(snr, snr), noise_share=1.0)
    found = augment(torch.from_numpy(clean), config, torch.zeros(64), rng, BANDS).numpy()
    error = mean_bands(found) - mean_bands(truth)
    assert abs(error.mean()) < 0.5 and abs(error).max() < 3.0
    # It scatters as the real one does: from frame to frame, in quiet places.
    quiet = clean.mean(1) < np.median(clean.mean(1))
    ours, theirs = found[quiet].std(0).mean(), truth[quiet].std(0).mean()
    assert abs(ours - theirs) < 0.2 * theirs


def test_babble_is_other_training_clips_at_the_ratio():
    clean = torch.from_numpy(LOGMEL(voice_at(), 16_000))
    pool = [torch.full((3 + n, 64), -100.0) for n in range(4)]
    for n, frames in enumerate(pool):
        frames[:, 10 * n] = -20.0  # each is one band, at a time of its own
    config = msgspec.structs.replace(OFF, noise=("babble",), noise_snr=(6.0, 6.0), noise_share=1.0)
    rng, heard = np.random.default_rng(0), set()
    for _ in range(20):
        found = augment(clean, config, torch.zeros(64), rng, BANDS, pool)
        plain = 10 ** (clean.numpy().astype("f8") / 10)
        added = 10 ** (found.numpy().astype("f8") / 10) - plain
        ratio = (plain @ BANDS.half_widths).sum() / (added @ BANDS.half_widths).sum()
        assert 10 * np.log10(ratio) == pytest.approx(6.0, abs=0.05)
        heard |= set(np.flatnonzero(added.mean(0) > added.mean() / 100).tolist())
    assert heard == {0, 10, 20, 30}


def test_noise_is_given_to_its_share_of_the_clips_between_its_ratios():
    clean = torch.full((40, 64), -30.0)
    config = msgspec.structs.replace(
        OFF, noise=("white", "pink"), noise_snr=(3.0, 20.0), noise_share=0.3
    )
    rng, ratios = np.random.default_rng(0), []
    for _ in range(400):
        found = augment(clean, config, torch.zeros(64), rng, BANDS)
        if torch.equal(found, clean):
            continue
        added = 10 ** (found.numpy().astype("f8") / 10) - 10**-3
        power = float((added @ BANDS.half_widths).mean())
        ratios.append(10 * np.log10(1e-3 * BANDS.half_widths.sum() / power))
    assert 0.24 < len(ratios) / 400 < 0.36
    assert 2 < min(ratios) < 5 and 18 < max(ratios) < 21


def test_stretch_changes_the_length_within_its_bounds_and_keeps_values():
    config = msgspec.structs.replace(OFF, stretch=0.25)
    rng = np.random.default_rng(0)
    ramp = torch.linspace(0, 1, 100)[:, None].expand(100, 6)
    lengths = []
    for _ in range(50):
        stretched = augment(ramp, config, torch.zeros(6), rng)
        lengths.append(len(stretched))
        assert (stretched.diff(dim=0) >= -1e-6).all()
        assert stretched.min() >= 0 and stretched.max() <= 1
    assert 80 <= min(lengths) < 90 and 110 < max(lengths) <= 125


def test_gain_moves_all_bands_alike():
    config = msgspec.structs.replace(OFF, gain_db=6.0)
    rng = np.random.default_rng(0)
    gains = []
    for _ in range(50):
        louder = augment(torch.zeros(9, 6), config, torch.zeros(6), rng)
        assert louder.unique().numel() == 1
        gains.append(float(louder[0, 0]))
    assert -6 <= min(gains) < -4 and 4 < max(gains) <= 6


def test_mixup_mixes_frames_and_targets_by_the_same_share():
    found = Examples(
        examples().clips[:2],
        (torch.full((5, 6), 1.0), torch.full((5, 6), 2.0)),
        np.array([0, 1]),
    )
    config = msgspec.structs.replace(OFF, mixup=0.5)
    for seed in range(10):
        (batch,) = drawn(found, config, seed)
        expected = batch.targets[:, 0] * 1 + batch.targets[:, 1] * 2
        torch.testing.assert_close(batch.inputs.voice[:, 0, 0], expected)
        torch.testing.assert_close(batch.targets.sum(1), torch.ones(2))
        own = batch.targets[torch.arange(2), torch.from_numpy(found.labels[batch.rows])]
        assert (own >= 0.5).all()


def test_examples_come_from_the_store_with_the_schemes_labels(tmp_path):
    arrays = {key: np.full((4, 3), n, np.float32) for n, key in enumerate("abc")}
    with FeatureStore(tmp_path, create=True) as store, store.writing():
        store.define("logmel", {"name": "logmel"})
        ((shard, keys),) = store.plan("logmel", [(key, key) for key in arrays])
        sha256 = write_shard(store.folder, "logmel", shard, arrays)
        store.commit("logmel", shard, sha256, [Result(key, 4) for key in keys])
        emotions = {"a": "calm", "b": "surprised", "c": "sad"}
        clips = [Clip(k, "x", "", emotion=e, sha256=k) for k, e in emotions.items()]
        found = load_examples(clips, store, "logmel", label_scheme("six"))
    # calm counts as neutral in `six`, surprised is left out
    assert [clip.clip_id for clip in found.clips] == ["a", "c"]
    assert found.labels.tolist() == [0, 2]
    assert found.frames[1][0, 0] == 2


def test_features_that_are_not_finite_are_refused_by_name(tmp_path):
    with FeatureStore(tmp_path, create=True) as store, store.writing():
        store.define("logmel", {"name": "logmel"})
        ((shard, _),) = store.plan("logmel", [("a", "a")])
        sha256 = write_shard(
            store.folder, "logmel", shard, {"a": np.full((2, 2), np.nan, np.float32)}
        )
        store.commit("logmel", shard, sha256, [Result("a", 2)])
        clip = Clip("x/1", "x", "", emotion="sad", sha256="a")
        with pytest.raises(TrainingError, match="'logmel' of x/1 are not finite"):
            load_examples([clip], store, "logmel", label_scheme("six"))


def with_faces(n_faces, seed=0):
    """Clips of 20 to 40 voice frames, with as many face frames as asked, of bytes."""
    rng = np.random.default_rng(seed)
    frames = tuple(torch.from_numpy(rng.normal(size=(20 + n, 3)).astype(np.float32))
                   for n in range(len(n_faces)))  # fmt: skip
    faces = tuple(torch.from_numpy(rng.integers(0, 256, (n, 4), np.uint8)) for n in n_faces)
    clips = tuple(Clip(f"c/{n}", "c", "", speaker="c:1") for n in range(len(n_faces)))
    return Examples(clips, frames, np.zeros(len(n_faces), np.intp), faces=faces)


def test_faces_are_padded_beside_the_voice_and_none_is_length_0():
    faces = [torch.full((2, 4), 7, dtype=torch.uint8), torch.zeros(0, 4)]
    inputs = collate([torch.ones(5, 3), torch.ones(2, 3)], faces=faces)
    assert inputs.face.shape == (2, 16, 4) and inputs.face.dtype == torch.float32
    assert inputs.face_lengths.tolist() == [2, 0]
    assert inputs.face[0, :2].unique().tolist() == [7] and not inputs.face[0, 2:].any()
    alone = collate([torch.zeros(0, 3)], faces=[torch.ones(1, 4)])
    assert alone.voice_lengths.tolist() == [0] and alone.voice.shape[1] > 0


def test_the_statistics_of_faces_are_those_of_all_their_frames():
    found = with_faces([3, 0, 5])
    mean, deviation = fit_face_normalisation(found)
    every = np.concatenate([face.numpy() for face in found.faces]).astype(np.float64)
    np.testing.assert_allclose(mean, every.mean(0), rtol=1e-6)
    np.testing.assert_allclose(deviation, every.std(0), rtol=1e-6)
    with pytest.raises(TrainingError, match="none of 2 training clips has a face; expected some"):
        fit_face_normalisation(with_faces([0, 0]))


def test_a_share_of_the_clips_is_shown_without_one_of_its_streams():
    found = with_faces([4] * 400)
    config = AugmentationConfig(
        modality_dropout=0.5, gain_db=0, stretch=0, band_masks=0, frame_masks=0
    )
    rng, fills = np.random.default_rng(0), (torch.zeros(3), torch.zeros(4))
    lost = np.zeros(2)
    for batch in training_batches(found, 2, 16, config, fills[0], rng, face_fill=fills[1]):
        heard, seen = batch.inputs.voice_lengths > 0, batch.inputs.face_lengths > 0
        assert (heard | seen).all()
        lost += [int((~heard).sum()), int((~seen).sum())]
    # Binomial, 400 at 0.25: 100 with a deviation of 8.7.
    assert (np.abs(lost - 100) < 4 * 8.7).all()


def test_a_clip_with_one_stream_keeps_it():
    voice, face = torch.ones(5, 3), torch.ones(2, 4)
    for which, left in [("voice", [0, 2]), ("face", [5, 0]), ("", [5, 2])]:
        assert list(map(len, drop_stream(voice, face, which))) == left
        assert len(drop_stream(voice, face[:0], which)[0]) == 5
        assert len(drop_stream(voice[:0], face, which)[1]) == 2


def test_a_face_is_stretched_and_masked_as_its_voice_is():
    face = torch.arange(40.0)[:, None].repeat(1, 2)
    fill = torch.full((2,), -1.0)
    change = Change(n_frames=200, warp=1, noise=None, gain=0, bands=(), frames=((50, 25),))
    changed = change_face(face, change, 100, fill)
    assert len(changed) == 80  # twice as slow, as the voice: 100 frames to 200
    masked = torch.nonzero(changed[:, 0] == -1).flatten().tolist()
    assert masked == list(range(20, 30))  # frames 50 to 75 of 200 are a quarter to three eighths
    kept = [n for n in range(80) if n not in masked]
    np.testing.assert_array_equal(changed[kept, 0], np.arange(80)[kept] // 2)
    assert len(change_face(face[:0], change, 100, fill)) == 0
    plain = Change(n_frames=100, warp=1, noise=None, gain=3, bands=(), frames=())
    assert torch.equal(change_face(face, plain, 100, fill), face)


def test_examples_without_faces_are_batched_as_before():
    found = with_faces([4, 4])
    plain = Examples(found.clips, found.frames, found.labels)
    (batch,) = ordered_batches(plain, 2)
    assert batch.inputs.face is None
    (batch,) = ordered_batches(found, 2)
    assert batch.inputs.face_lengths.tolist() == [4, 4]
