"""Films that are sent to the service: each is answered, or refused in a sentence with its code."""

import json
import os
import signal
import threading
import time

import numpy as np
import pytest
from film_models import blank, make_film, person, voice, write_film_model
from served import Served


@pytest.fixture(scope="module")
def service(tmp_path_factory, one_thread):
    model = tmp_path_factory.mktemp("models") / "both"
    write_film_model(model, "av_attention")
    served = Served(model, options=["--workers", "1"])
    yield served
    assert served.stop() == 0


def ask(service, film):
    status, _, body = service.post(film)
    return status, json.loads(body)


@pytest.mark.parametrize(
    ("pictures", "sound", "why"),
    [
        (person, voice, "voice and face"),
        (blank, voice, "voice alone: no face found in 100% of 45 frames"),
        (person, lambda s: np.zeros(round(16_000 * s), np.float32), "face alone: no speech"),
        (person, lambda _: None, "face alone: no sound in it"),
    ],
)
def test_a_film_is_answered_from_what_it_has(service, pictures, sound, why):
    status, found = ask(service, make_film(pictures(3.0), sound(3.0)))
    assert (status, found["predictions"][0]["why"]) == (200, why)
    assert found["predictions"][0]["emotion"] is not None


def test_a_film_with_neither_voice_nor_face_is_not_answered_and_says_so(service):
    status, found = ask(service, make_film(blank(3.0)))
    assert status == 200
    assert found["predictions"][0]["emotion"] is None
    assert found["predictions"][0]["reason"] == "no speech and no face"


@pytest.mark.parametrize(
    ("film", "status", "code", "text"),
    [
        (lambda: make_film(person(0.07)), 400, "E1201", "1 picture; expected a film of two"),
        (lambda: make_film(person(3.0), voice(3.0))[:9_000], 400, "E1402", "readable mp4"),
        (
            lambda: make_film(blank(0.2, size=(2_304, 4_112))),
            413,
            "E1502",
            "pixels; the limit is 9,437,184",
        ),
    ],
    ids=["one picture", "cut", "large"],
)
def test_a_film_that_is_none_is_refused_with_its_code(service, film, status, code, text):
    found = ask(service, film())
    assert (found[0], found[1]["error"]["code"]) == (status, code)
    assert text in found[1]["error"]["message"]


def test_a_film_of_the_largest_pictures_fits_into_what_a_child_may_take(service):
    status, found = ask(service, make_film(blank(0.5, size=(2_304, 4_096))))
    assert (status, found["predictions"][0]["reason"]) == (200, "no speech and no face")


def test_a_film_whose_processor_time_is_used_up_is_refused_and_costs_no_child(service):
    small = make_film(person(3.0), voice(3.0))
    (child,), expected = service.children, ask(service, small)
    replies = []
    film = make_film(person(3.0) * 20, voice(60.0))
    thread = threading.Thread(target=lambda: replies.append(ask(service, film)))
    thread.start()
    while thread.is_alive():  # what the system sends after 30 s of processor time, and each second
        os.kill(child, signal.SIGXCPU)
        time.sleep(0.1)
    ((status, found),) = replies
    assert (status, found["error"]["code"]) == (422, "E1604")
    assert (
        "took more than 30 s of processor time; expected less. Cut it."
        in (found["error"]["message"])
    )
    assert service.children == [child]
    assert ask(service, small) == expected
