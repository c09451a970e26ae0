"""A browser for tests, and what is watched while a page is looked at."""

from contextlib import contextmanager
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = Path("/usr/bin/chromium")
needs_browser = pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"no browser at {CHROMIUM}")

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@contextmanager
def launch(*arguments):
    """A browser whose microphone and camera are made up, and always allowed."""
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox", "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream", *arguments,
            ],
        )  # fmt: skip
        yield started
        started.close()


def expect(locator):
    return playwright.expect(locator)


class Visit:
    """A page in a fresh browser context; in the end nothing was wrong that one does not see."""

    def __init__(self, browser, service, path="/", size=DESKTOP, scheme="light"):
        self.context = browser.new_context(viewport=size, color_scheme=scheme)
        self.context.set_default_timeout(30_000)
        self.page = self.context.new_page()
        self.address = f"http://{service.host}:{service.port}"
        self.complaints, self.outside = [], []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", self._look)
        self.page.goto(self.address + path)

    def _hear(self, message):
        # That a refusal came is logged by the browser itself.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def _look(self, request):
        if not request.url.startswith((self.address, "blob:", "data:")):
            self.outside.append(request.url)

    def choose(self, *files):
        self.page.set_input_files("#files", [str(file) for file in files])

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.context.close()
        if kind is None:
            assert self.complaints == []
            assert self.outside == []


def check_accessibility(page):
    """No serious finding of axe-core, which puts itself into the page by a script of its own.

    Our policy would refuse it; as an evaluated text it is not the page's.
    """
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious] == []


def check_width(page):
    """Nothing stands out of the screen at the side."""
    wide, inside = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= inside
