"""Training on voice and face: one network for either stream, and only the clip's own face helps."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from affectus import models
from affectus.batches import load_examples
from affectus.emotions import label_scheme
from affectus.errors import ConfigError, StoreError
from affectus.experiment import make_experiment
from affectus.export import compare, export_network
from affectus.face_rows import INFO, join_rows
from affectus.features import create_extractor, describe_extractor
from affectus.manifest import Clip, Manifest
from affectus.metrics import confusion_matrix, uar
from affectus.runs import read_provenance
from affectus.store import FeatureStore, Result, write_shard
from affectus.training import evaluate_run, predict, train
from affectus.training.sides import read_examples

pytestmark = pytest.mark.usefixtures("one_thread")

# The voice tells lively from quiet, the face pleasant from not: neither tells the four apart.
EMOTIONS = {"neutral": (-1, 1), "happy": (1, 1), "sad": (-1, -1), "angry": (1, -1)}
N_SPEAKERS, N_TAKES = 10, 6
SILENT = "s0-neutral-0"  # a clip that is no film


def fill(store, name, record, arrays):
    with store.writing():
        store.define(name, record)
        for shard, keys in store.plan(name, [(key, key) for key in arrays]):
            own = {key: arrays[key] for key in keys}
            sha256 = write_shard(store.folder, name, shard, own)
            store.commit(name, shard, sha256, [Result(key, len(own[key])) for key in keys])


def imported(name, n_columns, rate):
    columns = [f"{name}_{n}" for n in range(n_columns)]
    return {"name": name, "kind": "imported", "columns": columns, "frame_rate": rate}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("faces"), np.random.default_rng(0)
    clips, voices, faces = [], {}, {}
    for speaker in range(N_SPEAKERS):
        own = rng.normal(0, 0.4, (2, 4))  # what is this person's, whatever the emotion
        for emotion, (lively, pleasant) in EMOTIONS.items():
            for take in range(N_TAKES):
                key = f"s{speaker}-{emotion}-{take}"
                clips.append(Clip(key, "drawn", f"{key}.mp4", speaker=f"drawn:{speaker}",
                                  emotion=emotion, sha256=key))  # fmt: skip
                for kept, sign, part in ((voices, lively, own[0]), (faces, pleasant, own[1])):
                    n_frames = int(rng.integers(6, 14))
                    cue = np.array([sign, -sign, 0, 0])
                    noise = rng.normal(0, 0.7, (n_frames, 4))
                    kept[key] = (part + cue + noise).astype(np.float32)
    del faces[SILENT]
    Manifest(tuple(clips)).write(folder / "manifest.csv")
    with FeatureStore(folder / "store", create=True) as store:
        fill(store, "heard", imported("heard", 4, 60.0), voices)
        fill(store, "seen", imported("seen", 4, 15.0), faces)
    return folder


def experiment(folder, **changes):
    content = {
        "name": "both",
        "manifest": str(folder / "manifest.csv"),
        "store": str(folder / "store"),
        "labels": {"scheme": "four"},
        "features": {"name": "heard"},
        "face": {"name": "seen"},
        "split": {"protocol": "sequential-5fold", "folds": [1]},
        "model": {"name": "av_attention", "pool": 1, "n_hidden": 8, "n_heads": 2, "n_dense": 16},
        "training": {"epochs": 14, "batch_size": 16, "learning_rate": 0.01, "average": 0.8},
        "augmentation": {"gain_db": 0, "band_masks": 0, "modality_dropout": 0.4},
    }
    return make_experiment({**content, **changes})


@pytest.fixture(scope="module")
def run(folder):
    return train(experiment(folder), folder / "runs")


def judged(run, change=lambda examples: examples):
    """The UAR on the test speakers of the first fold, of examples changed as asked."""
    clips = {clip.clip_id: clip for clip in Manifest.read(run.experiment.manifest)}
    network, _ = models.load(run.fold_dir(run.splits[0]) / "weights.safetensors")
    with FeatureStore(run.experiment.store) as store:
        found = read_examples(run.experiment, [clips[i] for i in run.splits[0].test], store)
    answers = predict(network, change(found), run.experiment.scheme.labels)
    return float(uar(confusion_matrix(answers.truth, answers.prediction, 4)))


def without_voice(found):
    return replace(found, frames=tuple(frames[:0] for frames in found.frames))


def without_face(found):
    return replace(found, faces=tuple(face[:0] for face in found.faces))


def with_faces_of_others(found, seed):
    order = np.random.default_rng(seed).permutation(len(found))
    return replace(found, faces=tuple(found.faces[i] for i in order))


def test_one_model_tells_unseen_speakers_better_by_both_streams_than_by_each(run):
    # Each stream tells two of four apart: 0.5 is the most that one alone can reach on average.
    both, voice, face = (
        judged(run, change) for change in (lambda e: e, without_face, without_voice)
    )
    others = np.mean([judged(run, partial(with_faces_of_others, seed=seed)) for seed in range(8)])
    print(f"UAR on unseen speakers: both {both:.3f}, voice alone {voice:.3f}, face alone "
          f"{face:.3f}, faces of other clips {others:.3f}")  # fmt: skip
    assert both > 0.85
    assert 0.35 < voice < 0.65 and 0.35 < face < 0.65
    assert others < voice + 0.06  # another clip's face must not help


def test_a_run_says_what_faces_it_learnt_from(run):
    (facts,) = read_provenance(run)
    assert facts["face"]["n_columns"] == 4 and facts["face"]["name"] == "seen"
    told = [text for text in facts["cautions"] if "have no face" in text]
    silent_trains = SILENT in run.splits[0].train
    assert bool(told) == silent_trains


def test_a_run_with_faces_is_evaluated_and_its_network_exported(run):
    assert evaluate_run(run, "test").uar.value == pytest.approx(judged(run), abs=1e-9)
    adapted = evaluate_run(run, adapted=True)
    assert "Adapted is the voice alone: the face's features are as they are." in adapted.cautions
    network, config = models.load(run.fold_dir(run.splits[0]) / "weights.safetensors")
    assert config.settings["n_face"] == 4
    assert not torch.equal(network.face_mean, torch.zeros(4))
    data = export_network(network, 4)
    assert compare(network, data, 4) < 1e-5


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"model": {"name": "crnn"}}, ConfigError, "model 'crnn' looks at no face, but [face]"),
        ({"face": {"name": "sene"}}, StoreError, "no features 'sene'; expected those of the face"),
        ({"face": {}}, ConfigError, "augmentation.modality_dropout is 0.4, but there is no [face]"),
        ({"augmentation": {"gain_db": 0, "mixup": 0.2}}, ConfigError, "faces are not mixed"),
        ({"face": {"rate": 3}}, ConfigError, "face has no name; expected face.name"),
    ],
)
def test_what_does_not_go_with_faces_is_refused(folder, tmp_path, changes, error, said):
    with pytest.raises(error) as caught:
        train(experiment(folder, **changes), tmp_path)
    assert said in str(caught.value)


def rows(found, size=16):
    info = np.zeros((len(found), len(INFO)), np.float32)
    info[:, 0] = found
    pixels = np.arange(len(found), dtype=np.uint8)[:, None].repeat(size * size, 1)
    return join_rows(info, pixels)


def test_only_frames_with_a_face_are_learnt_from(tmp_path):
    record = {**describe_extractor(create_extractor("face_crops", size=16)), "decoder": "test"}
    heard = {key: np.zeros((3, 2), np.float32) for key in "abc"}
    seen = {"a": rows([1, 0, 1, 0]), "b": rows([0, 0])}
    clips = [Clip(key, "x", "", emotion="sad", sha256=key) for key in "abc"]
    with FeatureStore(tmp_path, create=True) as store:
        fill(store, "heard", imported("heard", 2, 60.0), heard)
        fill(store, "face_crops", record, seen)
        found = load_examples(clips, store, "heard", label_scheme("four"), "face_crops")
        faces = load_examples(
            clips, store, "heard", label_scheme("four"), "face_crops", face_only=True
        )
    assert [len(face) for face in found.faces] == [2, 0, 0]
    assert found.faces[0].dtype == torch.uint8 and found.faces[0][:, 0].tolist() == [0, 2]
    assert [clip.clip_id for clip in faces.clips] == ["a"]  # the others have no answer there
