"""Evaluation: known answers have known scores, and everything that weakens a score is said."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sklearn import metrics as sklearn

from affectus.errors import EvaluationError
from affectus.evaluation import (
    Evaluation,
    Predictions,
    evaluate_predictions,
    join_predictions,
)
from affectus.manifest import Clip, Manifest
from affectus.metrics import Interval

LABELS = ("neutral", "happy", "sad", "angry")
K = len(LABELS)
PROTOCOL = {"name": "sequential-5fold", "version": 1, "text": "by speaker", "leaky": False}
N_SPEAKERS, N_EACH = 12, 10  # clips of each emotion by each speaker


def corpus(n_speakers=N_SPEAKERS, n_each=N_EACH, labels=LABELS):
    clips = []
    for speaker in range(n_speakers):
        for emotion in labels:
            for take in range(n_each):
                clips.append(
                    Clip(
                        f"own/{speaker}-{emotion}-{take}",
                        "own",
                        "x.wav",
                        f"own:{speaker}",
                        emotion,
                        sex=("male", "female")[speaker % 2],
                        intensity=("normal", "strong")[take % 2],
                    )
                )
    return Manifest(tuple(clips))


def sure(answers, k=K, confidence=0.7):
    """Scores [N, K] that give the answers with one confidence."""
    scores = np.full((len(answers), k), (1 - confidence) / (k - 1))
    scores[np.arange(len(answers)), answers] = confidence
    return scores


def predict(manifest, answers, **values):
    truth = np.array([LABELS.index(clip.emotion) for clip in manifest])
    facts = {
        "labels": LABELS,
        "clip_ids": tuple(clip.clip_id for clip in manifest),
        "speakers": tuple(clip.speaker for clip in manifest),
        "folds": ("fold-1",) * len(manifest),
        "truth": truth,
        "scores": sure(answers(truth)),
    }
    return Predictions(**{**facts, **values})


def judge(predictions, manifest, **values):
    settings = {"name": "try", "side": "test", "scheme": "four", "protocol": PROTOCOL, **values}
    return evaluate_predictions(predictions, manifest, **settings)


def mostly_right(truth, share=0.7, seed=0):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(truth)) < share, truth, rng.integers(0, K, len(truth)))


@pytest.fixture(scope="module")
def manifest():
    return corpus()


@pytest.fixture(scope="module")
def predictions(manifest):
    return predict(manifest, mostly_right)


@pytest.fixture(scope="module")
def evaluation(predictions, manifest):
    return judge(predictions, manifest)


# --- known answers ---


def test_scores_agree_with_scikit_learn(evaluation, predictions):
    truth, said = predictions.truth, predictions.prediction
    assert evaluation.uar.value == pytest.approx(sklearn.balanced_accuracy_score(truth, said))
    assert evaluation.war.value == pytest.approx(sklearn.accuracy_score(truth, said))
    f1 = sklearn.f1_score(truth, said, average="macro")
    assert evaluation.macro_f1.value == pytest.approx(f1)
    assert evaluation.nll == pytest.approx(sklearn.log_loss(truth, predictions.scores))
    assert evaluation.confusion == sklearn.confusion_matrix(truth, said).tolist()
    rows = zip(*sklearn.precision_recall_fscore_support(truth, said), strict=True)
    for found, (precision, recall, f1, n) in zip(evaluation.classes, rows, strict=True):
        assert (found.precision, found.recall) == pytest.approx((precision, recall))
        assert (found.f1, found.n) == (pytest.approx(f1), n)
    assert [found.label for found in evaluation.classes] == list(LABELS)


def test_the_calibration_error_of_one_confidence_is_its_distance_from_the_accuracy(
    evaluation, predictions
):
    # Guo et al. (2017), equation 3, with a single bin in use: |accuracy - 0.7|.
    accuracy = (predictions.truth == predictions.prediction).mean()
    assert evaluation.ece == pytest.approx(abs(accuracy - 0.7))


def test_a_perfect_answer_scores_one_and_is_doubted(manifest):
    found = judge(predict(manifest, lambda truth: truth), manifest)
    assert found.uar == Interval(1.0, 1.0, 1.0)
    assert found.mistakes == []
    assert found.cautions == [
        "Nearly perfect. Real speech is not: look for a leak before believing it."
    ]


def test_a_few_clips_answered_perfectly_are_not_doubted():
    small = corpus(n_speakers=3, n_each=4)  # 48 clips
    found = judge(predict(small, lambda truth: truth), small)
    assert not any("Nearly perfect" in caution for caution in found.cautions)


def test_a_constant_answer_scores_chance_and_is_called_so(manifest):
    found = judge(predict(manifest, lambda truth: np.full(len(truth), 2)), manifest)
    assert found.uar.value == found.chance == 1 / K
    assert "Every answer is sad: the model has learnt nothing." in found.cautions
    assert [c.precision for c in found.classes] == [None, None, 0.25, None]
    assert [c.f1 for c in found.classes] == [0.0, 0.0, pytest.approx(0.4), 0.0]


def test_shuffled_answers_have_an_interval_around_chance(manifest):
    held = 0
    for seed in range(20):  # 95 % intervals: three misses of twenty happen once in sixty
        shuffled = predict(manifest, np.random.default_rng(seed).permutation)
        found = judge(shuffled, manifest)
        assert found.uar.value == pytest.approx(found.chance, abs=0.08)
        held += found.uar.low <= found.chance <= found.uar.high
    assert held >= 16


def test_intervals_hold_their_values_and_depend_on_the_seed_alone(
    evaluation, predictions, manifest
):
    for interval in (evaluation.uar, evaluation.war, evaluation.macro_f1):
        assert interval.low < interval.value < interval.high
    assert judge(predictions, manifest) == evaluation
    other = judge(predictions, manifest, seed=1)
    assert other.uar.value == evaluation.uar.value
    assert other.uar != evaluation.uar


# --- groups ---


def test_groups_are_those_of_the_manifest_and_their_scores_those_of_their_clips(
    evaluation, predictions, manifest
):
    assert [(group.by, group.name) for group in evaluation.groups] == [
        ("sex", "female"), ("sex", "male"), ("intensity", "normal"), ("intensity", "strong"),
    ]  # fmt: skip
    for group in evaluation.groups:
        inside = np.array([getattr(clip, group.by) == group.name for clip in manifest])
        expected = sklearn.balanced_accuracy_score(
            predictions.truth[inside], predictions.prediction[inside]
        )
        assert group.uar.value == pytest.approx(expected)
        assert group.n == inside.sum()
        assert group.n_speakers == len(set(np.array(predictions.speakers)[inside]))
        assert group.uar.low < group.uar.value < group.uar.high


def test_a_trait_that_some_clips_lack_makes_no_groups(predictions, manifest):
    clips = (msgspec.structs.replace(manifest.clips[0], sex=""), *manifest.clips[1:])
    assert {group.by for group in judge(predictions, Manifest(clips)).groups} == {"intensity"}


def test_a_group_without_a_class_is_judged_on_the_others(predictions, manifest):
    clips = [
        msgspec.structs.replace(c, intensity="strong" if c.emotion == "sad" else "normal")
        for c in manifest
    ]
    groups = {g.name: g for g in judge(predictions, Manifest(tuple(clips))).groups}
    sad = predictions.truth == LABELS.index("sad")
    assert groups["strong"].uar.value == pytest.approx(
        (predictions.prediction[sad] == LABELS.index("sad")).mean()
    )


def test_each_speaker_has_a_score_and_no_interval(evaluation, predictions):
    assert evaluation.n_speakers == len(evaluation.speakers) == N_SPEAKERS
    for speaker in evaluation.speakers:
        inside = np.array(predictions.speakers) == speaker.name
        expected = sklearn.balanced_accuracy_score(
            predictions.truth[inside], predictions.prediction[inside]
        )
        assert (speaker.by, speaker.n, speaker.n_speakers) == ("speaker", K * N_EACH, 1)
        assert speaker.uar == Interval(pytest.approx(expected), None, None)


def test_without_speakers_there_are_scores_and_no_intervals(predictions, manifest):
    nobody = replace(predictions, speakers=("", *predictions.speakers[1:]))
    found = judge(nobody, manifest)
    assert (found.n_speakers, found.speakers) == (0, [])
    assert found.uar == Interval(judge(predictions, manifest).uar.value, None, None)
    assert "Speakers are not known: no interval can be given." in found.cautions
    mixed = [group for group in found.groups if group.name in ("male", "normal")]
    assert [(g.n_speakers, g.uar.low, g.uar.high) for g in mixed] == [(0, None, None)] * 2


# --- mistakes ---


def test_mistakes_are_the_surest_wrong_answers_surest_first(manifest):
    rng = np.random.default_rng(3)
    raw = rng.random((len(manifest), K)) ** 3
    predictions = predict(manifest, mostly_right, scores=raw / raw.sum(1, keepdims=True))
    found = judge(predictions, manifest).mistakes
    wrong = [
        (float(scores.max()), clip_id, LABELS[true], LABELS[scores.argmax()])
        for clip_id, true, scores in zip(
            predictions.clip_ids, predictions.truth, predictions.scores, strict=True
        )
        if scores.argmax() != true
    ]
    assert len(wrong) > 25
    expected = sorted(wrong, reverse=True)[:25]
    assert [(m.clip_id, m.truth, m.prediction) for m in found] == [row[1:] for row in expected]
    assert [m.score for m in found] == pytest.approx([row[0] for row in expected], abs=5e-5)


# --- cautions ---


def test_sound_predictions_need_no_caution(evaluation):
    assert evaluation.cautions == []


def test_a_leaky_protocol_is_called_so_first(predictions, manifest):
    found = judge(predictions, manifest, protocol={**PROTOCOL, "leaky": True})
    assert found.cautions[0].startswith("LEAKY: the same speakers are in training and in this side")


def test_dev_clips_are_called_optimistic(predictions, manifest):
    (caution,) = judge(predictions, manifest, side="dev").cautions
    assert caution == (
        "These are dev clips: the epoch was chosen on them, so the score is optimistic."
    )


def test_clips_without_an_answer_are_counted(predictions, manifest):
    found = judge(predictions, manifest, n_planned=1_500)
    assert (found.n_planned, found.n_answered) == (1_500, 480)
    assert found.cautions == ["1,020 of 1,500 clips got no answer."]


def test_all_clips_are_planned_unless_told_otherwise(evaluation):
    assert evaluation.n_planned == evaluation.n_answered == N_SPEAKERS * N_EACH * K


def test_a_class_without_clips_is_named_and_left_out_of_the_mean(manifest):
    fewer = manifest.filter(lambda clip: clip.emotion != "sad")
    predictions = predict(fewer, mostly_right)
    found = judge(predictions, fewer)
    assert found.cautions == ["No clip is sad: UAR is the mean over the other classes."]
    assert (found.classes[2].n, found.classes[2].recall) == (0, None)
    others = [c.recall for c in found.classes if c.label != "sad"]
    assert found.uar.value == pytest.approx(sum(others) / 3)


def test_classes_of_few_clips_are_named_with_their_numbers(manifest):
    kept = [c for c in manifest if c.emotion != "sad"]
    kept += [c for c in manifest if c.emotion == "sad"][:19]
    fewer = Manifest(tuple(kept))
    assert judge(predict(fewer, mostly_right), fewer).cautions == [
        "Classes with fewer than 20 clips: sad (19)."
    ]


@pytest.mark.parametrize(("n_speakers", "cautioned"), [(9, True), (10, False)])
def test_few_speakers_are_counted(n_speakers, cautioned):
    few = corpus(n_speakers)
    cautions = judge(predict(few, mostly_right), few).cautions
    assert cautions == (
        [f"Only {n_speakers} speakers: the interval itself is uncertain."] if cautioned else []
    )


def test_cautions_of_the_training_come_before_our_own(predictions, manifest):
    found = judge(predictions, manifest, cautions=["15 clips are missing"], side="dev")
    assert found.cautions[0] == "15 clips are missing"
    assert len(found.cautions) == 2


# --- what cannot be judged ---


def test_no_predictions_are_refused(manifest):
    nothing = Predictions(LABELS, (), (), (), np.zeros(0, int), np.zeros((0, K)))
    with pytest.raises(EvaluationError, match="no predictions; expected some"):
        judge(nothing, manifest)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused_with_the_clip(predictions, manifest, value):
    scores = predictions.scores.copy()
    scores[17, 2] = value
    with pytest.raises(EvaluationError) as caught:
        judge(replace(predictions, scores=scores), manifest)
    assert str(caught.value) == (
        f"EvaluationError: the scores of clip '{predictions.clip_ids[17]}' are not finite; "
        "expected numbers. Train again."
    )


@pytest.mark.parametrize("row", [[4.0, -1.0, 0.5, 0.2], [0.4, 0.4, 0.4, 0.4], [1.2, -0.2, 0, 0]])
def test_scores_that_are_no_probabilities_are_refused_with_the_clip(predictions, manifest, row):
    scores = predictions.scores.copy()
    scores[17] = row
    with pytest.raises(EvaluationError) as caught:
        judge(replace(predictions, scores=scores), manifest)
    assert str(caught.value) == (
        f"EvaluationError: the scores of clip '{predictions.clip_ids[17]}' are "
        f"{', '.join(f'{value:g}' for value in row)}; expected probabilities, which sum to 1. "
        "Give those, not logits."
    )


def test_rounded_probabilities_are_taken(predictions, manifest):
    judge(replace(predictions, scores=predictions.scores.round(2)), manifest)


def test_an_unknown_clip_is_refused_by_name(predictions, manifest):
    fewer = Manifest(manifest.clips[2:])
    with pytest.raises(EvaluationError) as caught:
        judge(predictions, fewer)
    assert str(caught.value) == (
        "EvaluationError: 2 clips are not in the manifest (the first: own/0-neutral-0); expected "
        "the manifest that was trained on."
    )


def test_a_clip_answered_twice_by_one_fold_is_refused(predictions, manifest):
    twice = (predictions.clip_ids[1], *predictions.clip_ids[1:])
    with pytest.raises(EvaluationError, match="a fold answered a clip twice"):
        judge(replace(predictions, clip_ids=twice), manifest)


def test_two_folds_may_answer_the_same_clip(predictions, manifest):
    other = replace(predictions, folds=("fold-2",) * len(predictions))
    pooled = join_predictions([predictions, other])
    found = judge(pooled, manifest)
    assert found.n_answered == 2 * len(predictions)
    assert found.uar.value == pytest.approx(judge(predictions, manifest).uar.value)


# --- pooling ---


def test_pooled_predictions_stand_in_the_order_of_their_folds(predictions):
    half = len(predictions) // 2
    parts = [
        Predictions(
            LABELS,
            predictions.clip_ids[part],
            predictions.speakers[part],
            (f"fold-{number}",) * half,
            predictions.truth[part],
            predictions.scores[part],
        )
        for number, part in enumerate((slice(half), slice(half, None)), 1)
    ]
    pooled = join_predictions(parts)
    assert pooled.clip_ids == predictions.clip_ids
    assert pooled.speakers == predictions.speakers
    assert pooled.folds == ("fold-1",) * half + ("fold-2",) * half
    np.testing.assert_array_equal(pooled.truth, predictions.truth)
    np.testing.assert_array_equal(pooled.scores, predictions.scores)


def test_predictions_of_other_labels_are_not_pooled(predictions):
    other = replace(predictions, labels=LABELS[::-1])
    with pytest.raises(EvaluationError, match="have different labels; expected the same"):
        join_predictions([predictions, other])


# --- on disk ---


def test_predictions_come_back_bit_equal(tmp_path, manifest):
    rng = np.random.default_rng(5)
    raw = rng.random((len(manifest), K))
    raw[0] = [1 / 3, 1 / 3 + 1e-15, 1 / 3, 0]  # an answer that six decimals would change
    scores = raw / raw.sum(1, keepdims=True)
    predictions = predict(manifest, mostly_right, scores=scores)
    predictions.write(tmp_path / "p.csv")
    found = Predictions.read(tmp_path / "p.csv")
    assert found.scores.tobytes() == scores.tobytes()
    assert found.truth.tolist() == predictions.truth.tolist()
    for name in ("labels", "clip_ids", "speakers", "folds"):
        assert getattr(found, name) == getattr(predictions, name)
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]


def test_names_with_commas_quotes_and_accents_come_back(tmp_path, predictions):
    odd = ('a,"b"', "é\u4e2d", *predictions.clip_ids[2:])
    replace(predictions, clip_ids=odd).write(tmp_path / "p.csv")
    assert Predictions.read(tmp_path / "p.csv").clip_ids == odd


def test_writing_predictions_is_complete_or_not_at_all(tmp_path, predictions, monkeypatch):
    # This file says that a fold is finished: half of it would be taken for all.
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        predictions.write(tmp_path / "p.csv")
    assert not (tmp_path / "p.csv").exists()


HEADER = "clip_id,fold,speaker,truth,prediction,neutral,happy"


def test_a_table_made_elsewhere_is_read(tmp_path):
    (tmp_path / "p.csv").write_text(f"{HEADER}\nc1,f,s1,happy,neutral,0.6,0.4\n")
    found = Predictions.read(tmp_path / "p.csv")
    assert (found.labels, found.clip_ids, found.speakers) == (
        ("neutral", "happy"),
        ("c1",),
        ("s1",),
    )
    assert found.truth.tolist() == [1]
    assert found.prediction.tolist() == [0]
    assert found.scores.tolist() == [[0.6, 0.4]]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("c1,f,s,glad,happy,0.4,0.6", "truth is 'glad'; expected one of neutral, happy"),
        ("c1,f,s,happy,glad,0.4,0.6", "prediction is 'glad'; expected one of neutral, happy"),
        ("c1,f,s,happy,happy,0.4,much", "could not convert string to float: 'much'"),
        ("c1,f,s,happy,happy,0.4", "6 cells; expected 7"),
        ("c1,f,s,happy,happy,0.4,0.6,0.1", "8 cells; expected 7"),
        ("", "0 cells; expected 7"),
        (
            "c1,f,s,happy,happy,0.6,0.4",
            "prediction is 'happy'; expected 'neutral', which has the best score",
        ),
    ],
)
def test_a_bad_row_is_refused_with_its_line(tmp_path, row, fault):
    path = tmp_path / "p.csv"
    path.write_text(f"{HEADER}\nc0,f,s,happy,happy,0.4,0.6\n{row}\n")
    with pytest.raises(EvaluationError) as caught:
        Predictions.read(path)
    assert str(caught.value) == f"EvaluationError: {path}:3: {fault}."


@pytest.mark.parametrize("answer", ["neutral", "happy"])
def test_of_equal_scores_either_may_be_the_prediction(tmp_path, answer):
    path = tmp_path / "p.csv"
    path.write_text(f"{HEADER}\nc0,f,s,happy,{answer},0.5,0.5\n")
    assert len(Predictions.read(path)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{HEADER}\n",
        "file,emotion\na,b\n",
        "clip_id,fold,speaker,truth,prediction,happy\nc,f,s,happy,happy,1.0\n",
        f"{HEADER},happy\nc,f,s,happy,happy,0.2,0.5,0.3\n",
    ],
    ids=["empty", "no rows", "other columns", "one label", "a label twice"],
)
def test_a_file_that_holds_no_predictions_is_refused_with_its_columns(tmp_path, text):
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(EvaluationError) as caught:
        Predictions.read(path)
    columns = ", ".join(text.split("\n")[0].split(",")) or "none"
    assert str(caught.value) == (
        f"EvaluationError: {path}: columns {columns}; expected clip_id, fold, speaker, truth, "
        "prediction and one for each label, and rows."
    )


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    path = tmp_path / "p.csv"
    with pytest.raises(EvaluationError, match=r"p\.csv: No such file or directory; expected pred"):
        Predictions.read(path)
    path.write_bytes(b"clip_id\xff\xfe")
    with pytest.raises(EvaluationError, match="expected a CSV in UTF-8"):
        Predictions.read(path)
    path.write_text(f"{HEADER}\n{'x' * 200_000}")  # beyond the csv module's limit
    with pytest.raises(EvaluationError, match="field larger than field limit"):
        Predictions.read(path)


def test_an_evaluation_survives_json(evaluation, predictions, manifest):
    nobody = judge(replace(predictions, speakers=("",) * len(predictions)), manifest)
    few = judge(predict(manifest, lambda truth: np.zeros(len(truth), int)), manifest)
    for found in (evaluation, nobody, few):
        again = msgspec.json.decode(msgspec.json.encode(found), type=Evaluation)
        assert again == found
    assert nobody.uar.low is None
    assert isinstance(again.uar, Interval)


def test_what_it_rests_on_is_kept(predictions, manifest):
    found = judge(predictions, manifest, provenance={"seed": 3}, n_planned=480)
    assert (found.name, found.side, found.scheme) == ("try", "test", "four")
    assert found.protocol == PROTOCOL
    assert found.provenance == {"seed": 3}


def test_chance_counts_the_labels_that_have_clips():
    predictions = Predictions(
        ("happy", "sad", "angry"),
        ("a", "b"),
        ("x:1", "x:2"),
        ("fold-1", "fold-1"),
        np.array([0, 1]),
        np.full((2, 3), 1 / 3),
    )
    manifest = Manifest(tuple(Clip(c, "x", c) for c in "ab"))
    found = evaluate_predictions(
        predictions, manifest, name="n", side="test", scheme="s", protocol={}
    )
    # `happy` for every clip is right for one of the two classes that there are.
    assert found.uar.value == found.chance == 0.5
