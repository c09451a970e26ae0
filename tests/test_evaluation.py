"""Evaluation: known answers have known scores, and everything that weakens a score is said."""

import itertools
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn

from affectus import metrics
from affectus.audit.listening import Heard, Refused
from affectus.emotions import label_scheme
from affectus.errors import EvaluationError
from affectus.evaluation import (
    Evaluation,
    Predictions,
    annotate,
    compare_predictions,
    count_left_out,
    error_rates,
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
    nll = sklearn.log_loss(truth, predictions.scores)
    assert evaluation.calibration.nll.value == pytest.approx(nll)
    top2 = sklearn.top_k_accuracy_score(truth, predictions.scores, k=2)
    assert evaluation.top2.value == pytest.approx(
        top2, abs=0.1
    )  # equal scores: either may be second
    assert evaluation.confusion == sklearn.confusion_matrix(truth, said).tolist()
    rows = zip(*sklearn.precision_recall_fscore_support(truth, said), strict=True)
    for found, (precision, recall, f1, n) in zip(evaluation.classes, rows, strict=True):
        values = (found.precision.value, found.recall.value, found.f1.value)
        assert values == pytest.approx((precision, recall, f1))
        assert found.n == n
        assert found.recall.low < found.recall.value < found.recall.high
    assert [found.label for found in evaluation.classes] == list(LABELS)


def test_the_calibration_error_of_one_confidence_is_its_distance_from_the_accuracy(
    evaluation, predictions
):
    # Guo et al. (2017), equation 3, with a single bin in use: |accuracy - 0.7|.
    accuracy = (predictions.truth == predictions.prediction).mean()
    assert evaluation.calibration.ece.value == pytest.approx(abs(accuracy - 0.7))


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
    assert [c.precision and c.precision.value for c in found.classes] == [None, None, 0.25, None]
    assert [c.f1.value for c in found.classes] == [0.0, 0.0, pytest.approx(0.4), 0.0]


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


def test_clips_that_lack_a_trait_are_a_group_that_is_called_so(predictions, manifest):
    clips = (msgspec.structs.replace(manifest.clips[0], sex=""), *manifest.clips[1:])
    found = judge(predictions, Manifest(clips)).groups
    counts = {group.name: group.n for group in found if group.by == "sex"}
    assert counts == {"female": 240, "male": 239, "not known": 1}


def test_a_trait_that_all_clips_lack_or_share_makes_no_groups(predictions, manifest):
    clips = tuple(msgspec.structs.replace(c, sex="", intensity="normal") for c in manifest)
    assert judge(predictions, Manifest(clips)).groups == []


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
    assert found.cautions[0].startswith(
        "LEAKY: speakers or recordings of this side are in training"
    )


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
    others = [c.recall.value for c in found.classes if c.label != "sad"]
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


def test_of_too_few_speakers_for_an_interval_none_is_called_uncertain():
    two = corpus(2)
    found = judge(predict(two, mostly_right), two)
    assert found.uar.low is None
    assert "Only 2 speakers: no interval can be given." in found.cautions


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


# --- how far groups are apart ---


def right_by_sex(manifest, female, male, seed=0):
    """Answers that are right for those shares of the clips of women and men."""
    rng = np.random.default_rng(seed)
    shares = np.array([female if clip.sex == "female" else male for clip in manifest])

    def answers(truth):
        wrong = (truth + rng.integers(1, K, len(truth))) % K
        return np.where(rng.random(len(truth)) < shares, truth, wrong)

    return predict(manifest, answers)


def test_a_gap_is_the_difference_of_the_groups_and_clear_of_zero_where_it_is_large(manifest):
    found = judge(right_by_sex(manifest, 0.9, 0.5), manifest)
    (gap,) = [gap for gap in found.gaps if gap.by == "sex"]
    scores = {group.name: group.uar.value for group in found.groups if group.by == "sex"}
    assert (gap.best, gap.worst, gap.n_groups, gap.raters) == ("female", "male", 2, None)
    assert gap.uar.value == pytest.approx(scores["female"] - scores["male"])
    assert 0 < gap.uar.low < gap.uar.value < gap.uar.high


def test_a_gap_between_clips_of_the_same_speakers_draws_each_speaker_for_both(manifest):
    # Speakers differ widely, but each is as good in one intensity as in the other: paired, the gap
    # is narrow; drawn apart, it would be as wide as speakers differ (0.2 or more).
    rng = np.random.default_rng(0)
    shares = {name: rng.uniform(0.3, 1.0) for name in manifest.speakers}

    def answers(truth):
        right = [int(c.clip_id[-1]) // 2 < round(5 * shares[c.speaker]) for c in manifest]
        return np.where(right, truth, (truth + 1) % K)

    found = judge(predict(manifest, answers), manifest)
    (gap,) = [gap for gap in found.gaps if gap.by == "intensity"]
    assert gap.uar.value == pytest.approx(0.0, abs=1e-9)
    assert gap.uar.high - gap.uar.low < 1e-6
    assert found.uar.high - found.uar.low > 0.15


def test_groups_of_two_speakers_or_of_other_classes_are_not_compared(manifest):
    clips = [
        msgspec.structs.replace(
            c, sex="other" if c.speaker in ("own:0", "own:2") else c.sex,
            intensity="strong" if c.emotion == "sad" else "normal",
        )
        for c in manifest
    ]  # fmt: skip
    found = judge(right_by_sex(manifest, 0.9, 0.5), Manifest(tuple(clips)))
    assert {group.name for group in found.groups if group.by == "sex"} == {
        "female", "male", "other",
    }  # fmt: skip
    assert [(g.by, g.n_groups) for g in found.gaps] == [("sex", 2)]


def test_ages_are_grouped_by_decade(predictions, manifest):
    clips = [msgspec.structs.replace(c, age=str(20 + 7 * int(c.speaker[4:]))) for c in manifest]
    found = judge(predictions, Manifest(tuple(clips))).groups
    names = [group.name for group in found if group.by == "age"]
    assert names == [f"{decade}–{decade + 9}" for decade in range(20, 100, 10)]


# --- raters ---


def with_votes(manifest, votes):
    return Manifest(tuple(msgspec.structs.replace(c, votes=votes(c)) for c in manifest))


def test_raters_are_scored_by_the_share_of_votes_for_what_was_meant(predictions, manifest):
    def votes(clip):  # half of the raters get sad clips of women, all get everything else
        return {"sad": 5, "angry": 5} if clip.emotion == "sad" else {clip.emotion: 10}

    voted = with_votes(manifest, votes)
    found = judge(predictions, voted)
    for group in found.groups:
        assert group.raters.value == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    targets = {(t.who, t.target): t for t in found.targets}
    assert targets["one rater", "intended"].uar.value == pytest.approx(0.875)
    assert targets["one rater", "intended"].war.value == pytest.approx(0.875)
    assert targets["model", "intended"].uar.value == pytest.approx(found.uar.value)
    # Sad clips are ties: no emotion is perceived, so they are left out.
    assert targets["model", "perceived"].n == 360
    assert targets["most raters", "intended"].uar.value == 1.0


def test_a_model_that_answers_what_raters_hear_is_right_about_that_alone(manifest):
    after = dict(zip(LABELS, (*LABELS[1:], LABELS[0]), strict=True))
    voted = with_votes(manifest, lambda clip: {after[clip.emotion]: 6, clip.emotion: 4})
    found = judge(predict(manifest, lambda truth: (truth + 1) % K), voted)
    scores = {(t.who, t.target): t.uar.value for t in found.targets}
    assert scores == {
        ("model", "intended"): 0.0,
        ("model", "perceived"): 1.0,
        ("one rater", "intended"): pytest.approx(0.4),
        ("most raters", "intended"): 0.0,
        ("one rater", "perceived"): pytest.approx(0.6),
    }


def test_what_was_meant_is_the_corpus_own_label_where_the_table_has_the_perceived_one(manifest):
    clips = [
        msgspec.structs.replace(c, source_label="ANG", votes={c.emotion: 3, "angry": 1})
        for c in manifest
    ]
    found = judge(predict(manifest, lambda truth: truth), Manifest(tuple(clips)))
    scores = {(t.who, t.target): t.war.value for t in found.targets}
    assert scores["model", "intended"] == pytest.approx(0.25)
    assert scores["model", "perceived"] == 1.0


def test_votes_for_calm_count_as_neutral_where_the_scheme_merges_them(manifest):
    voted = with_votes(manifest, lambda clip: {"calm": 3, "neutral": 2, "sad": 4})
    found = judge(predict(manifest, mostly_right), voted, scheme=label_scheme("six"))
    scores = {(t.who, t.target): t.n for t in found.targets}
    assert scores["one rater", "perceived"] == len(manifest)
    neutral = [t for t in found.targets if (t.who, t.target) == ("model", "perceived")]
    said = predict(manifest, mostly_right).prediction
    assert neutral[0].war.value == pytest.approx((said == 0).mean())
    unmerged = judge(predict(manifest, mostly_right), voted)
    (sad,) = [t for t in unmerged.targets if (t.who, t.target) == ("model", "perceived")]
    assert sad.war.value == pytest.approx((said == 2).mean())


def test_without_votes_there_are_no_raters(evaluation):
    assert evaluation.targets == []
    assert all(group.raters is None for group in evaluation.groups)


# --- calibration, abstaining, the control ---


def test_a_temperature_mends_overconfidence_and_leaves_answers_alone(manifest):
    fair = sure(
        mostly_right(np.array([LABELS.index(c.emotion) for c in manifest])), confidence=0.77
    )
    sharp = metrics.scale_scores(fair, 0.3)
    predictions = predict(manifest, mostly_right, scores=sharp)
    plain = judge(predictions, manifest)
    mended = judge(predictions, manifest, temperatures={"fold-1": 1 / 0.3})
    assert mended.confusion == plain.confusion
    assert mended.calibration.ece.value < 0.05 < plain.calibration.ece.value
    assert mended.calibration.raw["ece"] == pytest.approx(plain.calibration.ece.value)
    assert mended.calibration.raw["nll"] > mended.calibration.nll.value
    assert mended.calibration.temperatures == {"fold-1": pytest.approx(3.3333)}
    assert plain.calibration.raw == {}


def test_a_temperature_is_applied_to_its_own_fold_alone(predictions):
    half = len(predictions) // 2
    folds = ("fold-1",) * half + ("fold-2",) * half
    found = replace(predictions, folds=folds).scaled({"fold-2": 2.0}).scores
    np.testing.assert_array_equal(found[:half], predictions.scores[:half])
    expected = metrics.scale_scores(predictions.scores[half:], 2.0)
    np.testing.assert_array_equal(found[half:], expected)


def test_the_surest_clips_are_better_answered_and_all_of_them_are_the_war(manifest):
    rng = np.random.default_rng(2)
    truth = np.array([LABELS.index(c.emotion) for c in manifest])
    raw = rng.random((len(manifest), K)) + 0.6 * np.eye(K)[truth]
    scores = raw / raw.sum(1, keepdims=True)
    found = judge(predict(manifest, mostly_right, scores=scores), manifest)
    assert [s.coverage for s in found.selected] == [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert found.selected[-1].accuracy == pytest.approx(found.war.value)
    assert found.selected[-1].uar == pytest.approx(found.uar.value)
    assert found.selected[0].accuracy > found.war.value + 0.05
    kept = scores.max(1) >= found.selected[0].threshold
    assert kept.sum() == found.selected[0].n == 240
    assert found.curve[-1] == (1.0, pytest.approx(1 - found.war.value))
    assert len(found.curve) == 100


def test_shuffled_labels_score_chance_and_no_shuffle_reaches_a_good_score(evaluation):
    control = evaluation.control
    assert control.n_draws == 1_000
    assert control.low < evaluation.chance < control.high
    assert control.mean == pytest.approx(evaluation.chance, abs=0.005)
    assert control.n_reached == 0


def test_a_score_that_shuffles_reach_is_called_luck(manifest):
    found = judge(predict(manifest, np.random.default_rng(1).permutation), manifest)
    assert found.control.n_reached > 50
    assert any(text.startswith("No better than luck: ") for text in found.cautions)


# --- confusions and notes ---


def test_the_pairs_most_taken_for_each_other_come_first_with_their_surest_clips(manifest):
    truth = np.array([LABELS.index(c.emotion) for c in manifest])
    said = truth.copy()
    sad, angry = np.flatnonzero(truth == 2), np.flatnonzero(truth == 3)
    said[sad[:60]] = 0  # half of the sad clips are called neutral
    said[angry[:12]] = 1
    scores = sure(said, confidence=0.6)
    scores[sad[7]] = sure(np.array([0]), confidence=0.9)[0]
    found = judge(predict(manifest, mostly_right, scores=scores), manifest).confused
    assert [(c.truth, c.prediction, c.n, c.share) for c in found] == [
        ("sad", "neutral", 60, 0.5), ("angry", "happy", 12, 0.1),
    ]  # fmt: skip
    assert found[0].clip_ids[0] == manifest.clips[sad[7]].clip_id
    assert len(found[0].clip_ids) == 3


def test_annotated_predictions_are_read_as_the_plain_ones(tmp_path, predictions, manifest):
    notes = annotate(predictions, list(manifest))
    predictions.write(tmp_path / "p.csv", notes)
    found = Predictions.read(tmp_path / "p.csv")
    assert found.labels == LABELS
    assert found.scores.tobytes() == predictions.scores.tobytes()
    header, first, *_ = (tmp_path / "p.csv").read_text().splitlines()
    assert header.split(",")[9:] == [
        "right", "confidence", "second", "rank_of_truth", "file", "corpus", "sex", "intensity",
    ]  # fmt: skip
    assert first.endswith(",x.wav,own,male,normal")


def test_notes_tell_what_was_right_and_where_the_truth_ranked(manifest):
    two = Manifest(manifest.clips[:2])  # both neutral
    scores = np.array([[0.5, 0.3, 0.15, 0.05], [0.2, 0.4, 0.3, 0.1]])
    notes = annotate(predict(two, mostly_right, scores=scores), list(two))
    assert notes["right"] == ["yes", "no"]
    assert notes["second"] == ["happy", "sad"]
    assert notes["rank_of_truth"] == [1, 3]
    assert notes["confidence"] == [0.5, 0.4]


def heard(seconds, level):
    return Heard(b"", "", seconds, level, None, 16_000, 1, "wav", ("W1304",), b"")


def test_error_rates_are_those_of_the_shortest_middle_and_longest_third(manifest):
    rng = np.random.default_rng(0)
    seconds = rng.permutation(len(manifest)) / 100 + 1
    sounds = {c.clip_id: heard(s, -20.0) for c, s in zip(manifest, seconds, strict=True)}
    short = seconds < np.quantile(seconds, 1 / 3)
    predictions = predict(manifest, lambda truth: np.where(short, (truth + 1) % K, truth))
    rates = error_rates(predictions, list(manifest), sounds)
    lengths = [rate for rate in rates if rate.by == "length"]
    assert [(rate.n, rate.n_wrong) for rate in lengths] == [(160, 160), (160, 0), (160, 0)]
    assert lengths[0].name == "1.0 to 2.6 s"
    assert lengths[0].wrong.value == 1.0
    assert [rate.by for rate in rates[3:]] == ["level"] * 3


def test_a_clip_that_cannot_be_heard_is_noted_and_in_no_third(manifest):
    sounds = {c.clip_id: heard(2.0, -20.0) for c in manifest}
    sounds[manifest.clips[0].clip_id] = Refused("E1000", "no such file")
    predictions = predict(manifest, mostly_right)
    notes = annotate(predictions, list(manifest), sounds)
    assert (notes["seconds"][0], notes["sound_warnings"][0]) == ("", "no such file")
    assert (notes["level_db"][1], notes["sound_warnings"][1]) == (-20.0, "W1304")
    rates = error_rates(predictions, list(manifest), sounds)
    assert sum(rate.n for rate in rates if rate.by == "length") == len(manifest) - 1


# --- what was left out ---


def test_every_clip_without_an_answer_is_counted_once_with_its_reason(manifest):
    clips = [
        msgspec.structs.replace(manifest.clips[0], fault="excluded: silent"),
        msgspec.structs.replace(manifest.clips[1], emotion=None),
        msgspec.structs.replace(manifest.clips[2], emotion="surprised"),
        *manifest.clips[3:],
    ]
    side = {c.clip_id for c in manifest.clips[:100]}
    answered = {c.clip_id for c in manifest.clips[5:100]}
    found = count_left_out(Manifest(tuple(clips)), label_scheme("four"), side, answered, "test")
    assert [(item.reason, item.n) for item in found] == [
        ("on no test side of the folds that were run", 380),
        ("no answer: its features are missing", 2),
        ("'surprised' is none of the labels", 1),
        ("excluded: silent", 1),
        ("no emotion that is known", 1),
    ]
    assert found[3].clip_ids == [manifest.clips[0].clip_id]
    assert sum(item.n for item in found) + len(answered) == len(manifest)


# --- runs beside each other ---


def test_a_better_run_is_told_from_a_worse_one(manifest):
    named = {
        "good": predict(manifest, lambda truth: mostly_right(truth, 0.8)),
        "poor": predict(manifest, lambda truth: mostly_right(truth, 0.5, seed=1)),
    }
    found = compare_predictions(named)
    (pair,) = found.pairs
    scores = {run.name: run.uar.value for run in found.runs}
    assert pair.difference.value == pytest.approx(scores["good"] - scores["poor"])
    assert pair.difference.low > 0
    by_speaker = [
        [
            sklearn.balanced_accuracy_score(part.truth[inside], part.prediction[inside])
            for name in found.speakers
            for inside in [np.array(part.speakers) == name]
        ]
        for part in named.values()
    ]
    assert by_speaker == [pytest.approx(run.by_speaker) for run in found.runs]
    steps = np.round(np.subtract(*by_speaker), 12)
    assert pair.p == pytest.approx(wilcoxon_of_scipy(steps), abs=1e-9)
    assert (pair.n_better, pair.n_worse) == ((steps > 0).sum(), (steps < 0).sum())
    right = [part.prediction == part.truth for part in named.values()]
    assert pair.only_first == (right[0] & ~right[1]).sum()
    assert pair.mcnemar == pytest.approx(
        stats.binomtest(pair.only_first, pair.only_first + pair.only_second).pvalue
    )


def wilcoxon_of_scipy(steps):
    # With ties scipy's exact method is a permutation of signs, as ours is.
    kept = steps[steps != 0]
    signs = np.array(list(itertools.product((-1, 1), repeat=len(kept))))
    ranks = stats.rankdata(np.abs(kept))
    sums = (signs * ranks).sum(1)
    return (np.abs(sums) >= abs((np.sign(kept) * ranks).sum()) - 1e-9).mean()


def test_a_run_does_not_differ_from_itself(predictions):
    (pair,) = compare_predictions({"a": predictions, "b": predictions}).pairs
    assert pair.difference == Interval(0.0, 0.0, 0.0)
    assert (pair.p, pair.p_holm, pair.mcnemar) == (1.0, 1.0, 1.0)


def test_three_runs_make_three_pairs_whose_p_values_are_adjusted(manifest):
    named = {
        name: predict(manifest, lambda truth, s=share, n=seed: mostly_right(truth, s, n))
        for seed, (name, share) in enumerate([("a", 0.8), ("b", 0.7), ("c", 0.6)])
    }
    found = compare_predictions(named)
    assert [(p.first, p.second) for p in found.pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [p.p_holm for p in found.pairs] == metrics.holm_adjusted([p.p for p in found.pairs])


def test_only_clips_that_all_answered_are_compared(manifest, predictions):
    rows = np.arange(40, len(manifest))
    found = compare_predictions({"a": predictions, "b": predictions.take(rows)})
    assert (found.n_shared, found.n_unshared) == (440, 40)
    assert found.cautions[0].startswith("40 clips were answered by some of the runs only")
    assert [run.n_answered for run in found.runs] == [480, 440]


def test_runs_with_their_labels_in_another_order_are_compared_by_name(predictions):
    column = [2, 0, 3, 1]
    other = replace(
        predictions,
        labels=tuple(LABELS[i] for i in column),
        truth=np.argsort(column)[predictions.truth],
        scores=predictions.scores[:, column],
    )
    (pair,) = compare_predictions({"a": predictions, "b": other}).pairs
    assert (pair.only_first, pair.only_second) == (0, 0)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda p: replace(p, labels=("a", "b", "c", "d")), "labels a, b, c, d; expected those of"),
        (lambda p: replace(p, clip_ids=tuple(f"{c}x" for c in p.clip_ids)), "no clip was answered"),
        (lambda p: replace(p, truth=(p.truth + 1) % K), "is happy; in one it is neutral"),
        (lambda p: join_predictions([p, p]), "answered a clip in more than one fold"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(predictions, change, fault):
    with pytest.raises(EvaluationError, match=fault):
        compare_predictions({"one": predictions, "two": change(predictions)})


def test_one_run_is_not_compared(predictions):
    with pytest.raises(EvaluationError, match="1 runs; expected two or more"):
        compare_predictions({"one": predictions})


def test_few_speakers_are_said_to_be_too_few_for_the_test():
    small = corpus(n_speakers=5)
    named = {"a": predict(small, mostly_right), "b": predict(small, lambda truth: truth)}
    assert compare_predictions(named).cautions == [
        "Only 5 speakers: a difference cannot reach p 0.05, whatever it is."
    ]
