"""The page of runs, driven in a browser: a training to watch, scores to read, runs to compare."""

import json
import threading

import msgspec
import pytest
from served import Served
from small_run import prepare
from visits import DESKTOP, PHONE, Visit, check_accessibility, check_width, expect, launch
from visits import needs_browser as pytestmark  # noqa: F401

from affectus.training import evaluate_run, train, train_seeds

SHORT = {"epochs": 3, "batch_size": 12, "average": 0.0, "learning_rate": 0.02}
FOLDS = {"protocol": "sequential-6fold", "folds": [1]}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """An experiment of one fold and three epochs."""
    return prepare(tmp_path_factory.mktemp("tones"), training=SHORT, split=FOLDS)


@pytest.fixture(scope="module")
def runs_dir(experiment, tmp_path_factory, one_thread):
    """A run that was judged, one with another network, and one of two seeds."""
    folder = tmp_path_factory.mktemp("runs")
    evaluate_run(train(experiment, folder), "test")
    smaller = {**experiment.model, "channels": [4, 4, 4]}
    train(msgspec.structs.replace(experiment, name="smaller", model=smaller), folder)
    train_seeds(msgspec.structs.replace(experiment, name="pooled"), [1, 2], folder)
    return folder


@pytest.fixture(scope="module")
def browser():
    with launch() as started:
        yield started


@pytest.fixture(scope="module")
def watching(small_model, runs_dir):
    """`affectus serve` that shows the runs."""
    served = Served(small_model, options=["--workers", "1", "--runs", str(runs_dir)])
    yield served
    served.stop()


@pytest.fixture
def visit(browser, watching):
    return lambda path="/runs", **named: Visit(browser, watching, path, **named)


def test_curves_move_while_a_run_trains(visit, experiment, runs_dir):
    go_on = threading.Event()

    def hold(epoch, done, total):
        if epoch.epoch == 2:
            assert go_on.wait(120)

    begun = msgspec.structs.replace(experiment, name="going")
    training = threading.Thread(target=train, args=(begun, runs_dir), kwargs={"on_epoch": hold})
    training.start()
    try:
        with visit("/runs?run=going") as seen:
            article = seen.page.get_by_role("article", name="going")
            curve = article.get_by_role("img", name="UAR on dev speakers by epoch")
            expect(article.locator("span.state")).to_have_text("training, 2 epochs")
            expect(curve).to_have_accessible_name(last_uar(runs_dir / "going"))
            go_on.set()
            expect(article.locator("span.state")).to_have_text("finished")
            training.join()
            expect(curve).to_have_accessible_name(last_uar(runs_dir / "going"))
            assert len((runs_dir / "going/fold-1/history.jsonl").read_text().splitlines()) == 3
    finally:
        go_on.set()
        training.join()


def last_uar(folder):
    lines = (folder / "fold-1" / "history.jsonl").read_text().splitlines()
    return f"UAR on dev speakers by epoch; last: fold-1 {json.loads(lines[-1])['dev_uar']:.3f}"


def test_the_confusion_matrix_is_that_of_the_evaluation(visit, runs_dir):
    found = json.loads((runs_dir / "tones" / "evaluation_test.json").read_text())
    with visit("/runs?run=tones") as seen:
        matrix = seen.page.locator("table.confusion")
        expect(matrix.locator("tbody th")).to_have_text(list(found["labels"]))
        cells = [str(count) for row in found["confusion"] for count in row]
        expect(matrix.locator("td")).to_have_text(cells)
        expect(seen.page.locator("dl.facts").last).to_contain_text(f"{found['uar'][0]:.3f}")


def test_chosen_runs_stand_side_by_side_with_what_differs(visit):
    with visit() as seen:
        page = seen.page
        page.get_by_role("checkbox", name="tones").check()
        page.get_by_role("checkbox", name="smaller").check()
        expect(page.get_by_role("article")).to_have_count(3)
        rows = page.get_by_role("region", name="Settings that differ, table").locator("tbody tr")
        expect(rows).to_have_count(1)
        expect(rows.locator("td")).to_have_text(["model.channels", "8,8,8", "4,4,4"])
        expect(page.get_by_role("region", name="Scores, table").locator("tbody tr")).to_have_count(
            2
        )
        page.reload()  # the address keeps what was chosen
        expect(page.get_by_role("article")).to_have_count(3)
        page.get_by_role("checkbox", name="smaller").uncheck()
        expect(page.get_by_role("article")).to_have_count(1)


def test_a_run_of_several_seeds_shows_a_curve_for_each(visit):
    with visit("/runs?run=pooled") as seen:
        article = seen.page.get_by_role("article", name="pooled")
        legend = article.locator(".legend").first.locator("li")
        expect(legend).to_have_text(["seed 1 fold-1", "seed 2 fold-1"])
        expect(article.locator("dl.facts").first).to_contain_text("1, 2")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_runs_fit_and_have_no_serious_finding_of_accessibility(visit, size, scheme):
    with visit("/runs?run=tones&run=smaller&run=pooled", size=size, scheme=scheme) as seen:
        expect(seen.page.get_by_role("article")).to_have_count(4)
        check_width(seen.page)
        check_accessibility(seen.page)
