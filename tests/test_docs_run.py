"""The pages of docs/ are true: every command and every Python block in them is run, in order.

A page is run in a folder of its own, which holds what its readers have: a corpus under RAVDESS's
names (`ravdess`), a folder for each emotion (`recordings`), a table (`my.csv`), a recording
(`clip.wav`) and a model (`my-model`). What a command is expected to end with stands behind it where
it is not 0: `# exit 1: why`. Training is cut short. A block that cannot be run anywhere but at the
reader's stands below a comment that says so: `<!-- not run: needs a microphone -->`.
"""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from affectus.cli import run
from affectus.synthesis import write_corpus
from affectus.training import train

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(
    r"(?P<note><!-- not run: (?P<why>[^>]+) -->\n+)?"
    r"^```(?P<kind>console|python)\n(?P<text>.*?)^```",
    flags=re.MULTILINE | re.DOTALL,
)
QUICK = "--set training.epochs=1 --set training.batch_size=16"  # a page shows how, not how well


@pytest.fixture(scope="module")
def world(tmp_path_factory, tones_folder):
    """A folder with everything that a reader of the pages is told to have."""
    folder = tmp_path_factory.mktemp("world")
    write_corpus("ravdess", folder / "ravdess", n_speakers=6, n_sentences=1)
    for path in sorted((folder / "ravdess").rglob("*.wav")):
        number = int(path.stem.split("-")[2])
        emotion = {3: "happy", 4: "sad", 5: "angry"}.get(number)
        if emotion and path.stem.split("-")[3] == "01":
            speaker = f"spk{int(path.stem.split('-')[-1])}"
            copy = folder / "recordings" / emotion / f"{speaker}_{path.stem.split('-')[5]}.wav"
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    rows = ["file,emotion,speaker"]
    for copy in sorted((folder / "recordings").rglob("*.wav")):
        place = copy.relative_to(folder).as_posix()
        rows.append(f"{place},{copy.parent.name},{copy.stem.split('_')[0]}")
    (folder / "my.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    shutil.copy(copy, folder / "clip.wav")
    shutil.copy(copy, folder / "interview.wav")
    shutil.copytree(tones_folder / "model", folder / "my-model")
    shutil.copytree(ROOT / "experiments", folder / "experiments")
    return folder


def blocks(page):
    """The blocks of a page that are to be run, with the line each begins at."""
    text = page.read_text("utf-8")
    for found in BLOCK.finditer(text):
        yield text[: found.start()].count("\n") + 1, found


def commands(text):
    """Every `$ affectus …` of a console block, lines joined, and the exit code it says."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("$ affectus "):
            command, _, comment = line[2:].partition("  #")
            said = re.search(r"exit (\d+)", comment)
            yield command.strip(), int(said[1]) if said else 0


def train_shortly(experiment, *arguments, **options):
    """`train`, cut short as the commands are."""
    settings = replace(experiment.training, epochs=1, batch_size=16)
    return train(replace(experiment, training=settings), *arguments, **options)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_says_can_be_done(page, world, tmp_path, monkeypatch, capsys):
    found = list(blocks(page))
    if not any(block["note"] is None for _, block in found):
        pytest.skip("nothing on this page is to be run")
    place = tmp_path / "reader"
    shutil.copytree(world, place)
    monkeypatch.chdir(place)
    names = {"__name__": page.stem}
    monkeypatch.setattr("affectus.notebook.train", train_shortly)
    for line, block in found:
        if block["note"]:
            continue
        if block["kind"] == "python":
            exec(compile(block["text"], f"{page.name}:{line}", "exec"), names)
            continue
        for command, expected in commands(block["text"]):
            words = shlex.split(command)[1:]
            if words[0] == "train":
                words += shlex.split(QUICK)
            capsys.readouterr()
            code = run(words)
            said = capsys.readouterr()
            assert code == expected, f"{page.name}:{line}: {command}\n{said.out}{said.err}"


def test_the_runner_sees_blocks_and_exit_codes():
    text = (
        "<!-- not run: why -->\n```console\n$ affectus a\n```\n"
        "```console\n$ affectus b \\\n  c  # exit 2: d\n```\n"
    )
    one, two = BLOCK.finditer(text)
    assert one["why"] == "why" and two["note"] is None
    assert list(commands(two["text"])) == [("affectus b    c", 2)]
