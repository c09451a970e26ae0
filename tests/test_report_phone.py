"""Every page of results in a real browser: on a phone nothing is cut off, nothing is fetched."""

from dataclasses import replace
from pathlib import Path

import pytest
from test_crossing import answers, cross
from test_report import make_comparison, make_evaluation

from affectus.evaluation import compare_predictions
from affectus.report import render_comparison, render_matrix, render_report

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"no browser at {CHROMIUM}")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def long_comparison():
    """Three runs whose names are long, and cannot be broken at a space."""
    said = [answers("a", (share,) * 4, seed=seed) for seed, share in enumerate((0.9, 0.6, 0.5))]
    names = ("ravdess_functionals_adapted", "ravdess_crnn_speed_and_mixup", "predictions_of_others")
    return compare_predictions(dict(zip(names, said, strict=True)))


def long_matrix():
    said = replace(answers("b", (0.8,) * 4), folds=("fold-1",) * 240)
    return cross([said], [answers("a", (0.7,) * 4)])


PAGES = {
    "report": lambda: render_report(make_evaluation(cautions=("A caution.",))),
    "comparison": lambda: render_comparison(make_comparison()),
    "long comparison": lambda: render_comparison(long_comparison()),
    "matrix": lambda: render_matrix(long_matrix()),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_wide_as_the_phone_and_asks_for_nothing(browser, tmp_path, name):
    path = tmp_path / "page.html"
    path.write_text(PAGES[name](), encoding="utf-8")
    page = browser.new_page(viewport={"width": 390, "height": 844})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    # what scrolls by itself is the confusion matrix alone, of many classes
    cut = page.evaluate(
        "[...document.querySelectorAll('td, th, p, li, h1, dd')].filter(e => !e.closest('.scroll')"
        " && e.getBoundingClientRect().right > 391).map(e => e.textContent)"
    )
    assert cut == []
    assert asked == [path.as_uri()]
    page.close()
