"""Many recordings, by child processes: the same answers in the same order."""

import numpy as np
import pytest

from affectus.errors import ConfigError, MediaError
from affectus.media import Limits, write_audio
from affectus.predictor import load_model, many, predictor
from affectus.synthesis import synthesize_voice

RATE = 16_000


@pytest.fixture(scope="module")
def model(small_model):
    return load_model(small_model, speech="off")


def test_many_are_answered_by_processes_as_by_one(model, monkeypatch, tmp_path):
    monkeypatch.setattr(predictor, "MANY", 5)
    monkeypatch.setattr(many, "_CHUNK", 2)
    files = []
    for number in range(5):
        files.append(tmp_path / f"{number}.wav")
        write_audio(files[-1], synthesize_voice("sad", speaker=number)[: 8_000 * (number + 1)])
    (tmp_path / "bad.wav").write_text("not audio")
    asked = []

    def sources():
        for source in [*files, tmp_path / "bad.wav", (np.zeros(RATE, np.float32), RATE)] * 9:
            asked.append(source)
            yield source

    answers = model.predict_many(sources(), workers=2, abstain=0, limits=Limits(max_seconds=9))
    found = [next(answers)]
    assert len(asked) < 63  # some, as children are free
    found += answers
    assert len(found) == len(asked) == 63
    for source, answer in zip(asked, found, strict=True):
        if isinstance(answer, MediaError):
            assert source == tmp_path / "bad.wav" and answer.code == "E1002"
        else:
            assert answer == model.predict(source, abstain=0, limits=Limits(max_seconds=9))
    assert sum(isinstance(answer, MediaError) for answer in found) == 9


def test_a_recording_that_was_given_up_is_an_error_in_its_place(small_model):
    def take(place):
        if place == 1:
            raise many.LostItemError("E1603", "the decoder crashed")
        if place == 2:
            raise MemoryError

    sound = (0.1 * np.ones(RATE, np.float32), RATE)
    task = many._Task(7, predictor.Predictor, small_model, "off", [sound, sound, "long.wav"], {})
    number, (answer, crashed, large) = many._answer(task, take)
    assert number == 7 and answer.model
    assert (crashed.code, crashed.name) == ("E1603", "array")
    assert (large.code, large.name) == ("E1605", "long.wav")


def test_children_that_die_are_told_in_one_line(model, monkeypatch):
    def dead(*_, **__):
        raise many.WorkerError("worker processes die")
        yield

    monkeypatch.setattr(predictor, "MANY", 1)
    monkeypatch.setattr(many, "work_through", dead)
    with pytest.raises(ConfigError, match="predict: worker processes die"):
        list(model.predict_many([b"x"], workers=2))
