"""Success that should not be believed is told, with what is likely behind it."""

import msgspec
import numpy as np
import pytest
from small_run import prepare

from affectus.evaluation import Predictions
from affectus.runs import read_provenance
from affectus.training import evaluate_run, train
from affectus.training.doubts import find_doubts

LABELS = ("neutral", "happy", "sad")


def says(truth, prediction, sure=0.8):
    truth, prediction = np.array(truth), np.array(prediction)
    scores = np.full((len(truth), 3), (1 - sure) / 2)
    scores[np.arange(len(truth)), prediction] = sure
    ids = tuple(f"c/{n}" for n in range(len(truth)))
    return Predictions(LABELS, ids, ("c:1",) * len(truth), ("f",) * len(truth), truth, scores)


TRUTH = [n % 3 for n in range(60)]
MOSTLY = [(label if n % 4 else (label + 1) % 3) for n, label in enumerate(TRUTH)]
HALF = [(label if n % 2 else (label + 1) % 3) for n, label in enumerate(TRUTH)]


def doubts(training, dev):
    return " ".join(find_doubts(training, dev))


def test_a_usual_result_is_not_doubted():
    assert find_doubts(says(TRUTH, TRUTH), says(TRUTH, MOSTLY)) == []
    assert find_doubts(says(TRUTH, MOSTLY), says(TRUTH, MOSTLY)) == []


def test_a_perfect_dev_side_is_doubted_unless_it_is_small():
    text = doubts(says(TRUTH, TRUTH), says(TRUTH, TRUTH))
    assert text.startswith("Dev UAR is 1.000 over 60 clips: real voices are not that easy. Likely:")
    assert find_doubts(says(TRUTH, TRUTH), says(TRUTH[:12], TRUTH[:12])) == []


def test_one_answer_for_all_is_told_with_its_label():
    text = doubts(says(TRUTH, MOSTLY), says(TRUTH, [2] * 60))
    assert text.startswith("All 60 dev clips are called sad: nothing was learnt. Likely:")
    assert find_doubts(says(TRUTH, MOSTLY), says([2] * 12, [2] * 12)) == []  # there is no other


def test_a_loss_of_nothing_is_doubted():
    text = doubts(says(TRUTH, TRUTH, sure=1 - 1e-6), says(TRUTH, MOSTLY))
    assert "The loss on the 60 training clips is 1e-06, that is, nothing" in text


def test_unheard_clips_far_better_than_heard_ones_are_doubted():
    text = doubts(says(TRUTH * 4, HALF * 4), says(TRUTH * 4, MOSTLY * 4))
    assert "Dev UAR is 0.750, but 0.500 on the training clips themselves" in text
    few = says(TRUTH[:12], MOSTLY[:12])
    assert find_doubts(says(TRUTH, HALF), few) == []  # two standard errors of 12 clips


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    made = prepare(tmp_path_factory.mktemp("tones"))
    return msgspec.structs.replace(made, split=msgspec.structs.replace(made.split, folds=(1,)))


def test_doubts_are_told_at_once_and_stay_with_the_run(experiment, tmp_path, capsys):
    run = train(experiment, tmp_path)
    (facts,) = read_provenance(run)
    (text,) = [text for text in facts["cautions"] if "not that easy" in text]
    assert text.startswith("fold-1: Dev UAR is 1.000 over 24 clips")
    assert text in capsys.readouterr().err
    assert text in evaluate_run(run, "test").cautions
    assert 0.5 < facts["train_uar"] <= 1


def test_what_learnt_nothing_says_so(experiment, tmp_path, capsys):
    config = msgspec.structs.replace(
        experiment,
        training=msgspec.structs.replace(
            experiment.training, epochs=1, learning_rate=1e-9, average=0.0
        ),
    )
    train(config, tmp_path)
    assert "24 dev clips are called" in capsys.readouterr().err
