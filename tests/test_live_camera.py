"""The camera is answered while it is seen; a film's file may stand in its place."""

import sys

import pytest
from film_models import RATE, make_film, person, voice, write_film_model
from test_live import sound  # noqa: F401  the fixture

import affectus
from affectus import live
from affectus.cli import run
from affectus.errors import ConfigError
from affectus.live import camera

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("camera")
    write_film_model(place / "both", "av_attention")
    (place / "film.mp4").write_bytes(make_film(person(4), voice(4)))
    return place


@pytest.fixture
def model(place):
    return affectus.load_model(place / "both", speech="energy")


def assert_alike(answer, wanted):
    # OpenCV's own way from YUV to pictures and back costs a shade here and there.
    assert answer.scores == pytest.approx(wanted.scores, abs=0.05)
    assert answer.used == wanted.used


def test_a_film_in_the_cameras_place_is_answered_as_the_film(place, model):
    film = place / "film.mp4"
    wanted = model.predict(film, only="face", window=2, hop=1)
    heard = list(live.listen(model, None, camera=film, window=2, hop=1))
    assert_alike(heard[-1].prediction, wanted)
    windows = [segment for one in heard for segment in one.segments]
    assert [(one.start, one.end) for one in windows] == [(0, 2), (1, 3), (2, 4)]
    assert [one.seconds for one in heard[:3]] == pytest.approx([1 / 15, 2 / 15, 3 / 15], abs=1e-3)


def test_microphone_and_camera_are_answered_together(place, model, sound):  # noqa: F811
    film = place / "film.mp4"
    sound.InputStream.waveform = voice(4)
    wanted = model.predict(film, window=2, hop=1)
    heard = list(live.listen(model, live.find_device("2"), camera=film, seconds=4, window=2, hop=1))
    assert_alike(heard[-1].prediction, wanted)
    windows = [segment for one in heard for segment in one.segments]
    assert [set(one.streams) for one in windows] == [{"voice", "face"}] * 3


def test_it_ends_after_the_seconds_that_were_asked_for(place, model):
    heard = list(live.listen(model, None, camera=place / "film.mp4", seconds=2, window=1))
    assert heard[-1].seconds == pytest.approx(2, abs=0.1)


class VideoCapture:
    """A camera that shows a person for three seconds, at its own pace, and is then pulled out."""

    def __init__(self, number):
        self.pictures = [] if number else [picture[..., ::-1] for picture in person(3, rate=10)]

    def isOpened(self):  # noqa: N802
        return bool(self.pictures)

    def get(self, what):
        return 10.0

    def read(self):
        Clock.now += 0.1
        return (True, self.pictures.pop(0)) if self.pictures else (False, None)

    def release(self):
        pass


class Clock:
    now = 0.0


@pytest.fixture
def one_camera(monkeypatch):
    import cv2

    monkeypatch.setattr(cv2, "VideoCapture", VideoCapture)
    monkeypatch.setattr(camera.time, "monotonic", lambda: Clock.now)


def test_the_command_looks_and_says_what_was_used(place, one_camera, capsys):
    command = ["listen", "--face-only", "--model", str(place / "both"), "--window", "1"]
    assert run([*command, "--seconds", "2"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("2.0 s: ")
    assert "Notice" in printed.err and "listening to camera 0" in printed.err
    assert "used: face alone" in printed.err


def test_a_camera_that_is_pulled_out_is_one_line(place, model, one_camera):
    with pytest.raises(ConfigError, match=r"^ConfigError: listen: camera 0 gave nothing any more;"):
        list(live.listen(model, None, camera=0))


def test_without_a_camera_it_is_one_line(place, one_camera, capsys):
    command = ["listen", "--face-only", "--camera-number", "1", "--model", str(place / "both")]
    assert run(command) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("ConfigError: listen: camera 1 cannot be opened; expected a camera")


def test_opencv_itself_says_nothing_of_a_camera_that_is_not_there(model, capfd):
    with pytest.raises(ConfigError, match="camera 77 cannot be opened"):
        list(live.listen(model, None, camera=77))
    assert capfd.readouterr().err == ""


def test_a_model_of_voices_does_not_look(small_model, sound, capsys):  # noqa: F811
    assert run(["listen", "--camera", "--model", str(small_model)]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("ConfigError: listen: a camera, but model 'small' looks at no face")


def test_without_opencv_it_says_what_to_install(place, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ConfigError, match=r"OpenCV is missing; .*affectus\[face\]"):
        camera.Camera(0, RATE)
