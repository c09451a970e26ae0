import hashlib
import json
import math
import re
import shutil
import sqlite3
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np
import pytest
import torch
from small_models import FACE_CNN
from small_run import prepare

from affectus import models
from affectus.adaptation import adapt, learn
from affectus.batches import Examples
from affectus.errors import (
    AuditError,
    ConfigError,
    DiskError,
    EvaluationError,
    SplitError,
    StoreError,
    TrainingError,
)
from affectus.evaluation import Evaluation, Predictions
from affectus.experiment import SplitConfig
from affectus.extraction import extract_features
from affectus.features import create_extractor
from affectus.manifest import Clip, Manifest, with_hashes, write_exclusions
from affectus.media import write_audio
from affectus.metrics import find_temperature, negative_log_likelihood
from affectus.models import ModelConfig, create_model
from affectus.runs import open_run, read_history, read_provenance
from affectus.splits import make_splits, write_splits
from affectus.store import FeatureStore
from affectus.synthesis import synthesize_voice
from affectus.training import (
    checks,
    evaluate_run,
    follow,
    predict_side,
    schedule,
    soft_cross_entropy,
    train,
)
from affectus.training.judging import adapt_examples


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="module")
def run(experiment, tmp_path_factory):
    return train(experiment, tmp_path_factory.mktemp("runs"))


def short(experiment, **changes):
    training = msgspec.structs.replace(experiment.training, epochs=2)
    return msgspec.structs.replace(experiment, training=training, **changes)


def test_easy_classes_are_learnt_for_unseen_speakers(run):
    assert evaluate_run(run, "test").uar.value > 0.8


def test_a_run_holds_everything_it_should(run):
    for split in run.splits:
        names = {path.name for path in run.fold_dir(split).iterdir()}
        assert names >= {
            "history.jsonl",
            "weights.safetensors",
            "last.safetensors",
            "predictions_dev.csv",
            "provenance.json",
        }
    assert open_run(run.folder) == run


def test_the_best_epoch_by_smoothed_dev_uar_is_kept(run):
    for split in run.splits:
        history = [epoch for epoch in read_history(run) if epoch.fold == split.fold]

        def standing(epoch, history=history):
            recent = [e.dev_uar for e in history[max(0, epoch.epoch - 5) : epoch.epoch]]
            return sum(recent) / len(recent), -epoch.dev_nll

        best = max(history, key=standing)
        assert [epoch.epoch for epoch in history if epoch.best][-1] == best.epoch
        kept = Predictions.read(run.fold_dir(split) / "predictions_dev.csv")
        assert np.mean(kept.prediction == kept.truth) == pytest.approx(best.dev_war)


def test_dev_predictions_are_those_of_the_kept_weights(run, experiment):
    from affectus.batches import load_examples
    from affectus.training import predict

    split = run.splits[0]
    network, _ = models.load(run.fold_dir(split) / "weights.safetensors")
    clips = {clip.clip_id: clip for clip in Manifest.read(experiment.manifest)}
    with FeatureStore(experiment.store) as store:
        dev = load_examples([clips[i] for i in split.dev], store, "logmel", experiment.scheme)
    again = predict(network, dev, experiment.scheme.labels)
    kept = Predictions.read(run.fold_dir(split) / "predictions_dev.csv")
    np.testing.assert_allclose(again.scores, kept.scores, atol=1e-6)


def test_normalisation_comes_from_training_clips_alone(run, experiment):
    split = run.splits[0]
    network, _ = models.load(run.fold_dir(split) / "weights.safetensors")
    clips = {clip.clip_id: clip for clip in Manifest.read(experiment.manifest)}
    with FeatureStore(experiment.store) as store:
        frames = np.concatenate(
            [store.get("logmel", clips[clip_id].content_key) for clip_id in split.train]
        )
    np.testing.assert_allclose(network.mean, frames.mean(0), rtol=1e-4)


def test_training_never_reads_the_test_side(experiment, tmp_path, monkeypatch):
    read = set()
    get = FeatureStore.get

    def spy(self, name, key):
        read.add(key)
        return get(self, name, key)

    monkeypatch.setattr(FeatureStore, "get", spy)
    only = short(experiment, split=msgspec.structs.replace(experiment.split, folds=(1,)))
    trained = train(only, tmp_path)
    clips = {clip.clip_id: clip for clip in Manifest.read(experiment.manifest)}
    (split,) = trained.splits
    assert read == {clips[i].content_key for i in (*split.train, *split.dev)}
    evaluate_run(trained, "dev")
    assert not read & {clips[i].content_key for i in split.test}
    predict_side(trained, "test")
    assert read >= {clips[i].content_key for i in split.test}


def test_what_does_not_change_is_read_once(experiment, tmp_path, monkeypatch):
    calls = Counter()

    def count(owner, name, key):
        plain = getattr(owner, name)

        def counted(*arguments, **settings):
            calls[key] += 1
            return plain(*arguments, **settings)

        monkeypatch.setattr(owner, name, counted)

    count(FeatureStore, "ledger", "ledger")
    count(FeatureStore, "fingerprints", "fingerprints")
    count(Manifest, "read", "manifest")
    count(checks, "create_extractor", "extractor")
    only = short(experiment, split=msgspec.structs.replace(experiment.split, folds=(1,)))
    train(only, tmp_path)
    # One extractor is made to check the store, one for the fold's bands; none for each epoch.
    assert calls == {"ledger": 1, "fingerprints": 1, "manifest": 1, "extractor": 2}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(experiment, tmp_path):
    def weights(name, seed):
        training = msgspec.structs.replace(experiment.training, epochs=2, seed=seed)
        split = msgspec.structs.replace(experiment.split, folds=(1,))
        made = msgspec.structs.replace(experiment, name=name, training=training, split=split)
        folder = train(made, tmp_path).folder
        return hashlib.sha256((folder / "fold-1/weights.safetensors").read_bytes()).hexdigest()

    assert weights("a", 3) == weights("b", 3) != weights("c", 4)


def test_resume_keeps_finished_folds(experiment, tmp_path):
    config = short(experiment)
    run = train(config, tmp_path)
    kept = (run.folder / "fold-1/weights.safetensors").stat().st_mtime_ns
    (run.folder / "fold-2/predictions_dev.csv").unlink()
    epochs = []
    train(config, tmp_path, resume=True, on_epoch=lambda *event: epochs.append(event))
    assert [(epoch.fold, done, total) for epoch, done, total in epochs] == [
        ("fold-2", 1, 2),
        ("fold-2", 2, 2),
    ]
    assert (run.folder / "fold-1/weights.safetensors").stat().st_mtime_ns == kept


def test_provenance_names_its_parents(run, experiment):
    facts = read_provenance(run)[0]
    assert facts["manifest_sha256"] == Manifest.read(experiment.manifest).sha256
    data = (run.folder / "fold-1/weights.safetensors").read_bytes()
    assert facts["weights_sha256"] == hashlib.sha256(data).hexdigest()
    assert facts["features"]["n_mels"] == 32
    assert facts["versions"]["torch"] == torch.__version__


def test_early_stopping_ends_a_fold(experiment, tmp_path):
    training = msgspec.structs.replace(
        experiment.training, epochs=200, patience=2, learning_rate=1e-9
    )
    split = msgspec.structs.replace(experiment.split, folds=(1,))
    config = msgspec.structs.replace(experiment, training=training, split=split)
    history = read_history(train(config, tmp_path))
    last_best = max(epoch.epoch for epoch in history if epoch.best)
    assert history[-1].epoch == last_best + 2 < 200


def test_features_with_other_parameters_are_refused(experiment, tmp_path):
    config = short(experiment, features={"name": "logmel", "n_mels": 40, "f_max": 6_000.0})
    with pytest.raises(StoreError, match="n_mels is 32 there and 40 here"):
        train(config, tmp_path)
    assert not any(tmp_path.iterdir())


def test_features_that_were_not_extracted_are_refused_with_the_command(experiment, tmp_path):
    manifest = Manifest.read(experiment.manifest)
    FeatureStore(tmp_path / "store", create=True).close()
    with pytest.raises(StoreError, match=r"no features 'logmel'.*affectus extract"):
        train(short(experiment, store=str(tmp_path / "store")), tmp_path)
    assert len(manifest) == 72


def test_an_incomplete_corpus_is_refused_and_named_in_the_evaluation(experiment, tmp_path):
    # The tones under RAVDESS's name: two of its 1,440 clips.
    from affectus.corpora import load_corpus
    from affectus.extraction import extract_features
    from affectus.features import create_extractor
    from affectus.media import write_audio

    rng = np.random.default_rng(0)
    for actor in range(1, 7):
        for code in ("01", "03", "04", "05"):
            wave = rng.normal(0, 0.1, 8_000).astype(np.float32)
            write_audio(tmp_path / f"03-01-{code}-01-01-01-{actor:02d}.wav", wave)
    manifest = load_corpus("ravdess", tmp_path)
    manifest.write(tmp_path / "ravdess.csv")
    extractor = create_extractor("logmel", n_mels=32, f_max=6_000.0)
    extract_features(manifest, extractor, tmp_path / "store")
    config = short(
        experiment, manifest=str(tmp_path / "ravdess.csv"), store=str(tmp_path / "store")
    )
    with pytest.raises(AuditError, match=r"ravdess: 24 of 1,440 clips.*--allow-incomplete"):
        train(config, tmp_path / "runs")
    run = train(config, tmp_path / "runs", allow_incomplete=True)
    (caution, *_) = evaluate_run(run, "test").cautions
    assert caution.startswith("ravdess: 24 of 1,440 clips")


def test_a_leaking_split_is_refused_and_stamped_when_allowed(experiment, tmp_path):
    manifest = Manifest.read(experiment.manifest)
    split = make_splits(manifest, "sequential-6fold")[0]
    moved = replace(
        split, train=split.train + split.test[:4], test=split.test[4:], protocol="own", text="own"
    )
    write_splits([moved], tmp_path / "split.json")
    config = short(
        experiment,
        split=msgspec.structs.replace(
            experiment.split, file=str(tmp_path / "split.json"), folds=()
        ),
    )
    with pytest.raises(SplitError, match=r"1 speaker \(tones:0\) in both train and test"):
        train(config, tmp_path / "runs")
    run = train(config, tmp_path / "runs", allow_leak=True)
    evaluation = evaluate_run(run, "test")
    assert any("tones:0) in both train and test" in text for text in evaluation.cautions)
    assert any("LEAKY" in text for text in evaluation.cautions)


def test_a_softer_copy_on_two_sides_is_refused(experiment, tmp_path):
    voice = synthesize_voice("sad", speaker=1)
    clips = []
    for speaker in (0, 3):
        path = tmp_path / f"{speaker}.wav"
        write_audio(path, voice / (1 + speaker))
        clips.append(Clip(f"tones/{speaker}", "tones", str(path), f"tones:{speaker}", "sad"))
    manifest = with_hashes(Manifest((*Manifest.read(experiment.manifest).clips, *clips)))
    manifest.write(tmp_path / "manifest.csv")
    shutil.copytree(experiment.store, tmp_path / "store")
    log_mel = create_extractor("logmel", n_mels=32, f_max=6_000.0)
    assert extract_features(manifest, log_mel, tmp_path / "store").ok
    config = msgspec.structs.replace(
        experiment, manifest=str(tmp_path / "manifest.csv"), store=str(tmp_path / "store")
    )
    with pytest.raises(SplitError, match=r"near-identical sound \(tones/0 ~ tones/3\) in both"):
        train(config, tmp_path / "runs")


def test_clips_whose_sound_was_never_compared_are_told(experiment, tmp_path):
    shutil.copytree(experiment.store, tmp_path / "store")
    index = sqlite3.connect(tmp_path / "store/index.sqlite", isolation_level=None)
    index.executescript("DROP TABLE fingerprints; PRAGMA user_version = 1;")
    index.close()
    old = train(short(experiment, store=str(tmp_path / "store")), tmp_path / "runs")
    new = train(short(experiment), tmp_path / "others")
    count = len(Manifest.read(experiment.manifest))
    text = f"The sound of {count:,} of {count:,} clips was not compared with that of others"
    assert any(caution.startswith(text) for caution in evaluate_run(old, "dev").cautions)
    assert not any("compared" in caution for caution in evaluate_run(new, "dev").cautions)


def test_a_loss_that_is_not_finite_stops_and_names_clips(experiment, tmp_path):
    training = msgspec.structs.replace(
        experiment.training, learning_rate=1e30, precision="float32", clip_norm=1e30
    )
    config = msgspec.structs.replace(experiment, training=training)
    with pytest.raises(TrainingError, match=r"fold-1 step \d+: the loss is (nan|inf).*tones/spk"):
        train(config, tmp_path)


def test_a_manifest_that_changed_is_not_evaluated(experiment, tmp_path):
    manifest = Manifest.read(experiment.manifest)
    manifest.write(tmp_path / "manifest.csv")
    run = train(short(experiment, manifest=str(tmp_path / "manifest.csv")), tmp_path / "runs")
    Manifest(manifest.clips[1:]).write(tmp_path / "manifest.csv")
    with pytest.raises(TrainingError, match="changed since the run was trained"):
        evaluate_run(run, "test")


def test_the_schedule_rises_to_one_and_falls_to_zero():
    rates = [schedule(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.5 * (1 + math.cos(math.pi * 89 / 90)))
    assert all(a <= b for a, b in pairwise(rates[:11]))
    assert all(a >= b for a, b in pairwise(rates[10:]))


def test_the_loss_is_torchs_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 4, generator=generator)
    labels = torch.arange(7) % 4
    targets = torch.nn.functional.one_hot(labels, 4).float()
    for smoothing in (0.0, 0.1):
        ours = soft_cross_entropy(logits, targets, None, smoothing)
        theirs = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        torch.testing.assert_close(ours, theirs)
    weights = torch.tensor([1.0, 2.0, 0.5, 4.0])
    ours = soft_cross_entropy(logits, targets, weights, 0.0)
    theirs = torch.nn.functional.cross_entropy(logits, labels, weights, reduction="sum") / 7
    torch.testing.assert_close(ours, theirs)


def test_labels_that_a_clip_could_not_have_are_no_part_of_its_loss():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, generator=generator, requires_grad=True)
    labels = torch.tensor([0, 2, 3, 0, 2, 3])
    targets = torch.nn.functional.one_hot(labels, 4).float()
    allowed = torch.tensor([True, False, True, True]).expand(6, 4)
    for smoothing in (0.0, 0.2):
        ours = soft_cross_entropy(logits, targets, None, smoothing, allowed)
        # The same clips, of a network that has three outputs.
        theirs = torch.nn.functional.cross_entropy(
            logits[:, [0, 2, 3]], torch.tensor([0, 1, 2, 0, 1, 2]), label_smoothing=smoothing
        )
        torch.testing.assert_close(ours, theirs)
        (gradient,) = torch.autograd.grad(ours, logits)
        assert torch.isfinite(gradient).all() and not gradient[:, 1].any()
        everything = soft_cross_entropy(
            logits, targets, None, smoothing, torch.ones(6, 4, dtype=torch.bool)
        )
        torch.testing.assert_close(everything, soft_cross_entropy(logits, targets, None, smoothing))


def of_two_corpora(experiment, tmp_path, **training):
    """The tones, where speakers 3 and 5 are a corpus that has only two of the four emotions."""
    everything = Manifest.read(experiment.manifest)
    clips = (
        msgspec.structs.replace(clip, corpus="few") if clip.speaker[-1] in "35" else clip
        for clip in everything
    )
    kept = Manifest(tuple(c for c in clips if c.corpus != "few" or c.emotion in ("happy", "sad")))
    kept.write(tmp_path / "two.csv")
    known = {clip.clip_id for clip in kept}
    split = make_splits(everything, "sequential-6fold")[0]
    train = tuple(i for i in split.train if i in known)
    write_splits([replace(split, train=train, manifest_sha256="")], tmp_path / "split.json")
    return msgspec.structs.replace(
        experiment,
        manifest=str(tmp_path / "two.csv"),
        training=msgspec.structs.replace(experiment.training, **training),
        split=SplitConfig(file=str(tmp_path / "split.json")),
    )


def test_what_corpora_lack_is_told_and_left_out_with_partial_labels(experiment, tmp_path):
    for partial in (False, True):
        config = of_two_corpora(experiment, tmp_path, partial_labels=partial)
        run = train(config, tmp_path / str(partial))
        (facts,) = read_provenance(run)
        assert facts["label_sets"] == {
            "few": ["happy", "sad"],
            "tones": ["neutral", "happy", "sad", "angry"],
        }
        texts = [text for text in evaluate_run(run).cautions if "training.partial_labels" in text]
        assert bool(texts) is not partial
        if texts:
            assert "(few has no neutral, angry)" in texts[0]


def test_the_average_follows_and_without_decay_is_the_network():
    network, average = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    follow(average, network, 0.0, 1)
    assert torch.equal(average.weight, network.weight)
    with torch.no_grad():
        network.weight += 1
    follow(average, network, 0.9, 1_000)
    torch.testing.assert_close(average.weight, network.weight - 0.9)


def test_history_is_a_line_an_epoch(run):
    lines = (run.folder / "fold-1/history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, len(lines) + 1))


def test_weights_that_are_not_the_trained_ones_are_refused(experiment, tmp_path):
    run = train(short(experiment), tmp_path)
    path = run.folder / "fold-1/weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(TrainingError, match="not the weights that this fold trained"):
        evaluate_run(run, "test")


def test_a_full_disk_is_one_line_and_exit_5(experiment, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("affectus.training.fold.models.save", full)
    with pytest.raises(DiskError, match=r"fold-1: .*No space left.*--resume") as caught:
        train(short(experiment), tmp_path)
    assert caught.value.exit_code == 5
    monkeypatch.undo()
    assert train(short(experiment), tmp_path, resume=True).splits


def test_an_evaluation_leaves_its_scores_and_the_judged_predictions(run):
    found = evaluate_run(run, "test")
    kept = msgspec.json.decode((run.folder / "evaluation_test.json").read_bytes(), type=Evaluation)
    assert kept == found
    judged = Predictions.read(run.folder / "predictions_test.csv")
    assert judged.labels == found.labels and len(judged) == found.n_answered
    assert found.calibration.nll.value == pytest.approx(
        negative_log_likelihood(judged.truth, judged.scores)
    )


def test_temperatures_are_those_of_dev_and_dev_is_judged_as_it_is(run):
    found = evaluate_run(run, "test")
    for split in run.splits:
        dev = Predictions.read(run.fold_dir(split) / "predictions_dev.csv")
        expected = find_temperature(dev.truth, dev.scores)
        assert found.calibration.temperatures[split.fold] == pytest.approx(expected, abs=1e-4)
    assert evaluate_run(run, "dev").calibration.temperatures == {}
    assert found.calibration.raw["nll"] != pytest.approx(found.calibration.nll.value)


def test_adapted_scores_are_stamped_and_leave_the_strict_ones_alone(run):
    strict = evaluate_run(run, "test")
    before = {
        path: path.read_bytes()
        for path in run.folder.rglob("predictions_*.csv")
        if "adapted" not in path.name
    }
    found = evaluate_run(run, "test", adapted=True)
    assert found.adapted and not strict.adapted
    assert any(caution.startswith("ADAPTED: ") for caution in found.cautions)
    assert found.calibration.nll != strict.calibration.nll
    assert all(path.read_bytes() == content for path, content in before.items())
    assert (run.folder / "predictions_test_adapted.csv").is_file()
    assert evaluate_run(run, "dev", adapted=True).adapted


def adaptable(n_clips=30, speaker="a:1"):
    """Examples of one speaker, whose columns are far from those of training; and a network."""
    rng = np.random.default_rng(0)
    frames = [
        torch.from_numpy(rng.normal(50, 9, (rng.integers(4, 9), 6)).astype("f"))
        for _ in range(n_clips)
    ]
    clips = tuple(Clip(f"a/{i}", "a", "", speaker=speaker) for i in range(n_clips))
    network = create_model(ModelConfig("logistic", 6, 3))
    network.mean.copy_(torch.arange(6.0))
    network.deviation.copy_(torch.arange(1.0, 7))
    return Examples(clips, tuple(frames), np.zeros(n_clips, np.intp)), network


def test_adapted_examples_are_what_a_predictor_makes_of_a_speakers_clips():
    examples, network = adaptable()
    profile = learn(frames.numpy() for frames in examples.frames)
    expected = adapt(
        examples.frames[3].numpy(), profile, network.mean.numpy(), network.deviation.numpy()
    )
    found = adapt_examples(examples, network)
    np.testing.assert_allclose(found.frames[3], expected, rtol=1e-5)
    assert abs(float(torch.cat(found.frames).mean()) - 2.5) < 5  # from 50: near the training mean
    assert found.clips == examples.clips


def test_clips_without_a_speaker_are_not_adapted():
    examples, network = adaptable(speaker="")
    with pytest.raises(TrainingError, match=r"30 clips without a speaker .*Leave --adapted out"):
        adapt_examples(examples, network)


def test_a_network_of_faces_alone_is_not_adapted():
    examples, _ = adaptable()
    network = create_model(ModelConfig("face_cnn_lstm", 6, 3, FACE_CNN))
    with pytest.raises(TrainingError, match=r"a model of faces alone; .* Leave --adapted out"):
        adapt_examples(examples, network)


def test_clips_on_no_test_side_are_counted_as_left_out(run):
    found = evaluate_run(run, "test")
    (left_out,) = found.left_out
    n_clips = len(Manifest.read(run.experiment.manifest))
    assert left_out.reason == "on no test side of the folds that were run"
    assert left_out.n == n_clips - found.n_answered > 0


def test_only_dev_and_test_are_judged(run):
    with pytest.raises(EvaluationError, match="side 'train': not to be judged"):
        evaluate_run(run, "train")


def test_a_wrong_model_setting_leaves_no_folder_behind(experiment, tmp_path):
    config = short(experiment, model={"name": "crnn", "chanels": [8, 8]})
    with pytest.raises(ConfigError, match=r"no setting 'chanels'.*Did you mean 'channels'\?"):
        train(config, tmp_path)
    assert not any(tmp_path.iterdir())


def test_clips_of_an_exclusion_list_are_on_no_side_and_counted(experiment, tmp_path):
    manifest = Manifest.read(experiment.manifest)
    left_out = {clip.clip_id: "silent" for clip in manifest.clips[::9]}
    write_exclusions(left_out, tmp_path / "bad.csv")
    chosen = short(experiment, exclude=str(tmp_path / "bad.csv"))
    run = train(chosen, tmp_path)
    for split in run.splits:
        assert not left_out.keys() & {*split.train, *split.dev, *split.test}
    found = evaluate_run(run, "test")
    assert f"{len(left_out)} clips are left out by {tmp_path}/bad.csv" in found.cautions
    on_test = {i for split in run.splits for i in split.test}
    assert found.n_planned == len(on_test) < len(manifest)

    write_exclusions({}, tmp_path / "bad.csv")  # another list: other clips
    with pytest.raises(TrainingError, match="or its list of exclusions; expected the same clips"):
        evaluate_run(run, "test")


def test_a_label_of_no_training_clip_is_refused_by_name_and_leaves_no_run(experiment, tmp_path):
    changed = msgspec.structs.replace(
        experiment, labels=msgspec.structs.replace(experiment.labels, scheme="six")
    )
    with pytest.raises(TrainingError) as caught:
        train(changed, tmp_path / "runs")
    text = str(caught.value)
    assert re.search("fold-1: no training clip is (fearful or disgust|disgust or fearful); ", text)
    assert not (tmp_path / "runs").exists(), "the name is free for the next try"
    (scheme,) = re.findall(r"--set labels\.scheme=(\S+)$", text)
    assert sorted(scheme.split("+")) == ["angry", "happy", "neutral", "sad"]
    labels = msgspec.structs.replace(experiment.labels, scheme=scheme)
    once = msgspec.structs.replace(experiment.training, epochs=1)
    fixed = msgspec.structs.replace(experiment, labels=labels, training=once)
    assert train(fixed, tmp_path / "runs").splits
