"""The pages, driven in a browser as people would, against the real service."""

import json
from pathlib import Path

import pytest
from served import voice
from visits import PHONE, Visit, check_accessibility, check_width, expect, launch, needs_browser

from affectus.media import write_audio

pytestmark = needs_browser


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Recordings to choose: of a few seconds, of half a minute, and no recording."""
    folder = tmp_path_factory.mktemp("sounds")
    write_audio(folder / "short.wav", voice(2.5))
    write_audio(folder / "long.wav", voice(14.0))
    write_audio(folder / "microphone.wav", voice(20.0))
    (folder / "diary.wav").write_text("Dear diary, nobody hears this.")
    (folder / "<img src=x onerror=alert(1)>.wav").write_bytes((folder / "short.wav").read_bytes())
    return folder


@pytest.fixture(scope="module")
def browser(sounds):
    with launch(f"--use-file-for-fake-audio-capture={sounds / 'microphone.wav'}") as started:
        yield started


@pytest.fixture
def visit(browser, service):
    """A function that visits the service's page."""
    return lambda *arguments, **named: Visit(browser, service, *arguments, **named)


# --- files ---------------------------------------------------------------------------------------


def test_a_recording_is_answered_in_words_and_bars(visit, service, sounds):
    answer = json.loads(service.post((sounds / "short.wav").read_bytes())[2])["predictions"][0]
    with visit() as seen:
        seen.choose(sounds / "short.wav")
        result = seen.page.locator(".result").first
        expect(result.locator(".verdict")).to_be_visible()
        said = result.locator(".verdict").inner_text().lower()
        silent = "unsure" if answer["reason"] == "unsure" else "no answer"
        assert said == (answer["emotion"] or silent)
        shown = dict(
            zip(
                result.locator(".bars dt").all_inner_texts(),
                result.locator(".bars .value").all_inner_texts(),
                strict=True,
            )
        )
        assert shown.keys() == answer["scores"].keys()
        for label, text in shown.items():
            assert abs(float(text.split("\u202f")[0]) - 100 * answer["scores"][label]) <= 0.51


def test_a_long_recording_has_a_timeline_that_plays(visit, sounds):
    with visit() as seen:
        seen.choose(sounds / "long.wav")
        expect(seen.page.locator(".band").first).to_be_visible()
        wave = seen.page.get_by_role("slider")
        wave.focus()
        wave.press("ArrowRight")
        expect(wave).to_have_attribute("aria-valuetext", "0:01")
        wave.press("End")
        expect(wave).to_have_attribute("aria-valuetext", "0:14")
        seen.page.get_by_role("button", name="Play", exact=True).click()
        expect(seen.page.get_by_role("button", name="Pause")).to_be_visible()


def test_what_cannot_be_used_is_told_in_the_commands_words(visit, service, sounds):
    reply = service.post((sounds / "diary.wav").read_bytes(), "/v1/predict?name=diary.wav")
    message = json.loads(reply[2])["error"]["message"]
    with visit() as seen:
        seen.choose(sounds / "diary.wav")
        expect(seen.page.locator(".card-problem")).to_have_text(message)


def test_two_models_stand_side_by_side(visit, sounds):
    with visit() as seen:
        seen.page.select_option("#compare", "other")
        seen.choose(sounds / "long.wav")
        expect(seen.page.locator(".result .by")).to_have_text(["small", "other"])
        expect(seen.page.locator(".result .bands")).to_have_count(2)
        expect(seen.page.locator("#history-rows tr")).to_have_count(2)


def test_a_name_and_a_card_are_text_and_never_run(visit, sounds):
    with visit() as seen:
        seen.choose(sounds / "<img src=x onerror=alert(1)>.wav")
        expect(seen.page.locator(".result h2")).to_have_text("<img src=x onerror=alert(1)>.wav")
        seen.page.select_option("#model", "other")
        seen.page.click("#show-card")
        expect(seen.page.locator("#card-text")).to_contain_text("<script>alert(2)</script>")
        assert seen.page.locator("#card-text img, #card-text script, .result img").count() == 0


# --- history -------------------------------------------------------------------------------------


def test_history_is_kept_saved_and_cleared(visit, sounds):
    with visit() as seen:
        page = seen.page
        assert not page.locator("#history").is_visible()
        seen.choose(sounds / "short.wav", sounds / "long.wav")
        expect(page.locator("#history-rows tr")).to_have_count(2)
        page.reload()
        expect(page.locator("#history-rows tr")).to_have_count(2)
        with page.expect_download() as saved:
            page.click("#export-csv")
        lines = Path(saved.value.path()).read_text().splitlines()
        assert lines[0].startswith("when,model,file,start,end,emotion,")
        assert {"short.wav", "long.wav"} <= {line.split(",")[2] for line in lines[1:]}
        with page.expect_download() as saved:
            page.click("#export-json")
        entries = json.loads(Path(saved.value.path()).read_text())
        assert {entry["file"] for entry in entries} == {"short.wav", "long.wav"}
        page.click("#clear")
        expect(page.locator("#history")).to_be_hidden()
        assert page.evaluate("localStorage.length") == 0


# --- microphone ----------------------------------------------------------------------------------

WATCH = """() => {
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
window.asked = [];
navigator.mediaDevices.getUserMedia = (wanted) => {
  const box = document.getElementById("notice").getBoundingClientRect();
  window.asked.push(box.height > 0 && document.getElementById("consent").checked);
  return ask(wanted);
};
}"""


def test_the_notice_comes_before_the_microphone(visit):
    with visit() as seen:
        page = seen.page
        page.evaluate(WATCH)
        expect(page.locator("#notice")).to_be_visible()
        expect(page.locator("#record")).to_be_disabled()
        assert page.evaluate("window.asked") == []
        page.check("#consent")
        page.click("#record")
        expect(page.locator("#live")).to_be_visible()
        assert page.evaluate("window.asked") == [True]
        page.click("#discard")
        expect(page.locator("#live")).to_be_hidden()


def test_what_is_spoken_is_answered_while_it_is_spoken_and_as_a_whole(visit):
    with visit() as seen:
        page = seen.page
        page.check("#consent")
        page.click("#record")
        expect(page.locator("#strip li").nth(1)).to_be_visible(timeout=30_000)
        assert page.locator("#clock").inner_text() != "0:00"
        page.click("#record")
        result = page.locator(".result")
        expect(result.locator(".verdict")).to_be_visible()
        expect(result.locator("h2")).to_contain_text("Microphone, ")
        expect(result.get_by_role("slider")).to_be_visible()  # it can be played


def test_what_is_discarded_is_not_kept(visit):
    with visit() as seen:
        seen.page.check("#consent")
        seen.page.click("#record")
        expect(seen.page.locator("#live")).to_be_visible()
        seen.page.click("#discard")
        expect(seen.page.locator("#live")).to_be_hidden()
        assert seen.page.locator(".result").count() == 0
        assert seen.page.evaluate("localStorage.length") == 0


# --- for everybody -------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_no_serious_finding_of_accessibility(visit, sounds, scheme):
    with visit(size=PHONE, scheme=scheme) as seen:
        seen.page.select_option("#compare", "other")
        seen.choose(sounds / "long.wav", sounds / "diary.wav")
        expect(seen.page.locator(".verdict").first).to_be_visible()
        expect(seen.page.locator(".card-problem")).to_be_visible()
        check_accessibility(seen.page)
        seen.page.click("#show-card")
        check_accessibility(seen.page)


def test_the_page_works_by_keyboard_alone(visit):
    with visit() as seen:
        page = seen.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        reached = set()
        for _ in range(12):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.id"))
        assert {"model", "show-card", "files", "consent"} <= reached


@pytest.mark.parametrize("path", ["/", "/runs"])
@pytest.mark.parametrize("size", [PHONE, {"width": 320, "height": 640}])
def test_nothing_stands_out_of_a_phone(visit, sounds, path, size):
    with visit(path, size=size) as seen:
        if path == "/":
            seen.choose(sounds / "long.wav")
            expect(seen.page.locator(".verdict")).to_be_visible()
        check_width(seen.page)
