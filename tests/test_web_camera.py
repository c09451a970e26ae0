"""The page's camera, where a model looks at faces: a drawn face before a fake camera."""

import json

import av
import pytest
from film_models import LABELS, make_film, person, voice, write_film_model
from served import Served
from visits import PHONE, Visit, check_accessibility, check_width, expect, launch
from visits import needs_browser as pytestmark  # noqa: F401

from affectus.media import write_audio


def write_y4m(path, pictures, rate=15):
    """Write pictures as raw video, which Chromium's fake camera shows.

    **Source:** YUV4MPEG2, yuv4mpeg(5): a line of parameters, then FRAME and the planes of each.
    """
    height, width = pictures[0].shape[:2]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{rate}:1 Ip A1:1 C420jpeg\n".encode())
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
            file.write(b"FRAME\n" + frame.to_ndarray().tobytes())


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """What camera and microphone give, and a film to choose."""
    folder = tmp_path_factory.mktemp("camera")
    write_y4m(folder / "camera.y4m", person(8.0, size=(480, 640)))
    write_audio(folder / "microphone.wav", voice(8.0))
    for codec in ("libx264", "mpeg4"):  # of which browsers know the first
        film = make_film(person(3.0), voice(3.0), codec=codec)
        (folder / ("film.mp4" if codec == "libx264" else "old.mp4")).write_bytes(film)
    return folder


@pytest.fixture(scope="module")
def watcher(tmp_path_factory, one_thread):
    """`affectus serve` with models of voice and face, of a voice, and of a face."""
    folder = tmp_path_factory.mktemp("models")
    names = {"both": "av_attention", "voice": "crnn", "face": "face_cnn_lstm"}
    for name, model in names.items():
        write_film_model(folder / name, model)
    served = Served(*(folder / name for name in names), options=["--workers", "1"])
    yield served
    served.stop()


@pytest.fixture(scope="module")
def browser(media):
    with launch(
        f"--use-file-for-fake-video-capture={media / 'camera.y4m'}",
        f"--use-file-for-fake-audio-capture={media / 'microphone.wav'}",
    ) as started:
        yield started


@pytest.fixture
def visit(browser, watcher):
    return lambda **named: Visit(browser, watcher, **named)


def test_a_film_is_answered_by_the_service_as_by_the_library(watcher, media):
    answers = {}
    for name in ("both", "voice", "face"):
        status, _, body = watcher.post(
            (media / "film.mp4").read_bytes(), f"/v1/predict?model={name}"
        )
        assert status == 200, body
        answers[name] = json.loads(body)["predictions"][0]
    assert {name: found["used"] for name, found in answers.items()} == {
        "both": ["voice", "face"], "voice": ["voice"], "face": ["face"],
    }  # fmt: skip
    assert set(answers["both"]["streams"]) == {"voice", "face"}
    models = json.loads(watcher.get("/v1/models")[2])["models"]
    assert [model["streams"] for model in models] == [["voice", "face"], ["voice"], ["face"]]


def test_a_camera_is_offered_where_the_model_looks_at_faces(visit):
    with visit() as seen:
        page = seen.page
        expect(page.locator("#camera")).to_be_visible()
        expect(page.locator("#camera")).not_to_be_checked()
        page.select_option("#model", "voice")
        expect(page.locator("#camera")).to_be_hidden()
        expect(page.locator("#question")).to_have_text("What does this voice express?")
        page.select_option("#model", "face")
        expect(page.locator("#camera")).to_be_checked()
        expect(page.locator("#camera")).to_be_disabled()  # it is all that this model takes
        expect(page.locator("#notice")).to_contain_text("your voice and face express")


WATCH = """() => {
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
window.asked = [];
navigator.mediaDevices.getUserMedia = (wanted) => {
  window.asked.push([Boolean(wanted.video), document.getElementById("consent").checked,
    document.getElementById("notice").innerText.includes("Sound and pictures go to this service")]);
  return ask(wanted);
};
}"""


def test_who_agreed_to_a_microphone_is_asked_again_for_a_camera(visit):
    with visit() as seen:
        page = seen.page
        page.evaluate(WATCH)
        page.check("#consent")
        page.check("#camera")
        expect(page.locator("#consent")).not_to_be_checked()
        expect(page.locator("#record")).to_be_disabled()
        assert page.evaluate("window.asked") == []
        page.check("#consent")
        page.click("#record")
        expect(page.locator("#picture")).to_be_visible()
        assert page.evaluate("window.asked") == [[True, True, True]]
        page.click("#discard")
        expect(page.locator("#live")).to_be_hidden()
        assert page.locator(".result").count() == 0
        assert page.evaluate("document.getElementById('picture').srcObject") is None


def test_what_is_filmed_is_answered_by_voice_and_face_and_can_be_played(visit):
    with visit() as seen:
        page = seen.page
        page.check("#camera")
        page.check("#consent")
        page.click("#record")
        expect(page.locator("#level")).not_to_have_attribute("aria-valuenow", "-60")
        expect(page.locator("#clock")).to_have_text("0:04")
        assert page.evaluate("document.getElementById('picture').videoWidth") == 640
        page.click("#record")
        result = page.locator(".result")
        expect(result.locator(".verdict")).to_be_visible()
        expect(result.locator("h2")).to_contain_text("Camera, ")
        expect(result.locator(".say")).to_contain_text("Voice and face seem")
        expect(result.locator(".alone")).to_contain_text("Each by itself: the voice ")
        expect(result.locator("video.film")).to_be_visible()
        expect(result.locator(".bars dt")).to_have_count(len(LABELS))
        entry = page.evaluate("JSON.parse(localStorage.getItem('affectus.history'))[0]")
        assert entry["used"] == ["voice", "face"]
        wave = result.get_by_role("slider")
        wave.focus()
        wave.press("ArrowRight")
        expect(wave).to_have_attribute("aria-valuetext", "0:01")


def test_a_film_that_is_chosen_says_what_it_was_answered_from(visit, media):
    with visit() as seen:
        seen.page.select_option("#compare", "voice")
        seen.choose(media / "film.mp4")
        says = seen.page.locator(".say")
        expect(says.nth(0)).to_contain_text("Voice and face seem")
        expect(says.nth(1)).to_contain_text("The voice sounds")
        expect(seen.page.locator(".alone").nth(1)).to_contain_text("Used: voice alone")


def test_pictures_that_the_browser_cannot_show_leave_no_hole(visit, media):
    with visit() as seen:
        seen.choose(media / "old.mp4")
        expect(seen.page.locator(".say")).to_contain_text("Voice and face seem")
        expect(seen.page.locator(".result video.film")).to_be_hidden()
        expect(seen.page.locator(".result .wave")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_filming_fits_a_phone_and_has_no_serious_finding(visit, media, scheme):
    with visit(size=PHONE, scheme=scheme) as seen:
        page = seen.page
        seen.choose(media / "film.mp4")
        expect(page.locator("video.film").nth(1)).to_be_visible()
        page.check("#camera")
        page.check("#consent")
        page.click("#record")
        expect(page.locator("#picture")).to_be_visible()
        check_width(page)
        check_accessibility(page)
        page.click("#discard")
