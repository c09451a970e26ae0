"""Each kind of leak that docs/leak-study.md measures, planted: seen, refused, stamped if asked for.

Training by clips dealt at random is asked for by the protocol's name; see test_splits.py.
"""

import shutil
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from small_run import prepare

from affectus.errors import AuditError, SplitError
from affectus.extraction import extract_features
from affectus.feature_files import import_features
from affectus.features import create_extractor
from affectus.manifest import Clip, Manifest, with_hashes
from affectus.media import read_audio, write_audio
from affectus.splits import make_splits, read_splits, write_splits
from affectus.store import FeatureStore
from affectus.synthesis import synthesize_voice
from affectus.training import evaluate_run, train

LOGISTIC = {"name": "logistic", "cost": 0.001}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """Tones of six speakers, extracted, with a model that is fitted in no time."""
    return prepare(tmp_path_factory.mktemp("tones"), model=LOGISTIC, training={})


def refused_then_stamped(experiment, folder, error, words):
    """Refused with these words; run all the same, every report says that it leaks, and why."""
    with pytest.raises(error, match=words):
        train(experiment, folder / "refused")
    assert not (folder / "refused").exists()
    run = train(experiment, folder / "asked", allow_leak=True)
    assert all(split.leaky for split in read_splits(run.folder / "splits.json"))
    cautions = evaluate_run(run, "test").cautions
    assert any(text.startswith("LEAKY") for text in cautions)
    assert any(words.replace("\\", "") in text for text in cautions)


def with_split(experiment, split, folder):
    write_splits([split], folder / "splits.json")
    config = msgspec.structs.replace(experiment.split, file=str(folder / "splits.json"), folds=())
    return msgspec.structs.replace(experiment, split=config)


def first_split(experiment):
    return replace(
        make_splits(Manifest.read(experiment.manifest), "sequential-6fold")[0], protocol="own"
    )


def with_clips(experiment, more, folder):
    """The experiment with more clips, extracted, in a manifest and a store of their own."""
    manifest = with_hashes(Manifest((*Manifest.read(experiment.manifest).clips, *more)))
    manifest.write(folder / "manifest.csv")
    shutil.copytree(experiment.store, folder / "store")
    log_mel = create_extractor("logmel", n_mels=32, f_max=6_000.0)
    assert extract_features(manifest, log_mel, folder / "store").ok
    return msgspec.structs.replace(
        experiment, manifest=str(folder / "manifest.csv"), store=str(folder / "store")
    )


def test_a_speaker_on_two_sides(experiment, tmp_path):
    split = first_split(experiment)
    moved = replace(split, train=split.train + split.test[:4], test=split.test[4:])
    refused_then_stamped(
        with_split(experiment, moved, tmp_path), tmp_path, SplitError,
        r"1 speaker \(tones:0\) in both train and test",
    )  # fmt: skip


def test_a_test_side_that_chooses_the_model(experiment, tmp_path):
    split = first_split(experiment)
    refused_then_stamped(
        with_split(experiment, replace(split, dev=split.test), tmp_path), tmp_path, SplitError,
        r"1 speaker \(tones:0\) in both dev and test",
    )  # fmt: skip


def planted(folder, change):
    """A voice of speaker 0 and a changed copy of it that claims to be speaker 3's."""
    voice = synthesize_voice("sad", speaker=1)
    clips = []
    for speaker, waveform in ((0, voice), (3, change(voice))):
        path = folder / f"{speaker}.wav"
        write_audio(path, waveform)
        clips.append(Clip(f"tones/{speaker}", "tones", str(path), f"tones:{speaker}", "sad"))
    return clips


def add_noise(voice):
    """White noise, 20 dB below the voice."""
    level = np.sqrt(np.mean(voice**2)) / 10
    return voice + np.random.default_rng(0).normal(0, level, len(voice)).astype(np.float32)


def test_a_noisy_copy_made_before_the_split(experiment, tmp_path):
    refused_then_stamped(
        with_clips(experiment, planted(tmp_path, add_noise), tmp_path), tmp_path, SplitError,
        r"1 near-identical sound \(tones/0 ~ tones/3\) in both train and test",
    )  # fmt: skip


def test_a_duplicated_clip_left_in(experiment, tmp_path):
    config = with_clips(experiment, planted(tmp_path, np.copy), tmp_path)
    split, manifest = first_split(experiment), Manifest.read(config.manifest)
    careless = replace(
        split,
        train=(*split.train, "tones/3"),
        test=(*split.test, "tones/0"),
        manifest_sha256=manifest.sha256,
    )
    refused_then_stamped(
        with_split(config, careless, tmp_path), tmp_path, SplitError,
        r"1 recording \(tones/3 = tones/0\) in both train and test",
    )  # fmt: skip


def with_imported(experiment, folder, change):
    """The experiment on the clips' mean log-mel, changed and imported as features of its own."""
    manifest = Manifest.read(experiment.manifest)
    with FeatureStore(experiment.store) as store:
        rows = np.stack([store.get("logmel", clip.content_key).mean(0) for clip in manifest])
    speakers = np.array([clip.speaker for clip in manifest])
    lines = ["file," + ",".join(f"f{i}" for i in range(rows.shape[1]))]
    for clip, row in zip(manifest, change(rows, speakers), strict=True):
        lines.append(f"{clip.path.stem}," + ",".join(f"{value:.6f}" for value in row))
    names = [clip.path.stem for clip in manifest]
    assert len(set(names)) == len(names)
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    assert import_features([folder / "table.csv"], manifest, folder / "store", "voice").ok
    return msgspec.structs.replace(
        experiment, features={"name": "voice"}, store=str(folder / "store"),
        augmentation=msgspec.structs.replace(experiment.augmentation, gain_db=0.0),
    )  # fmt: skip


def standardise(rows, speakers=None):
    return (rows - rows.mean(0)) / rows.std(0)


def by_speaker(rows, speakers):
    return np.concatenate([standardise(rows[speakers == name]) for name in np.unique(speakers)])


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """The tones under names that differ without their folder, as a table of features needs."""
    folder = tmp_path_factory.mktemp("named")
    found = prepare(folder, model=LOGISTIC, training={})
    clips = []
    for number, clip in enumerate(Manifest.read(found.manifest)):
        path = folder / f"c{number:03d}.wav"
        write_audio(path, read_audio(clip.path).waveform)
        clips.append(
            msgspec.structs.replace(clip, file=str(path), clip_id=f"tones/{path.stem}", sha256="")
        )
    manifest = with_hashes(Manifest(tuple(clips)))
    manifest.write(folder / "named.csv")
    log_mel = create_extractor("logmel", n_mels=32, f_max=6_000.0)
    assert extract_features(manifest, log_mel, folder / "named-store").ok
    return msgspec.structs.replace(
        found, manifest=str(folder / "named.csv"), store=str(folder / "named-store")
    )


def test_features_standardised_over_all_clips(named, tmp_path):
    refused_then_stamped(
        with_imported(named, tmp_path, standardise), tmp_path, AuditError,
        "mean 0 and deviation 1 over all clips together, those of test with them, and not over "
        "the training clips of fold-1",
    )  # fmt: skip


def as_measured(rows, speakers):
    return rows


def by_training_clips(rows, speakers):
    """What a fold of this protocol trains on: all but the test speaker and two for dev."""
    known = rows[~np.isin(speakers, ["tones:0", "tones:1", "tones:2"])]
    return (rows - known.mean(0)) / known.std(0)


@pytest.mark.parametrize("change", [as_measured, by_speaker, by_training_clips])
def test_features_that_were_not_standardised_over_all_clips_are_taken(named, tmp_path, change):
    config = with_imported(named, tmp_path, change)
    one = msgspec.structs.replace(config, split=msgspec.structs.replace(config.split, folds=(1,)))
    run = train(one, tmp_path / "runs")
    assert not any(split.leaky for split in run.splits)
