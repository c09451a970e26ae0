"""What the documents say exists, exists."""

import importlib
import re
from pathlib import Path

import pytest

from affectus.cli import app
from affectus.splits import list_protocols

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
DESIGN = (ROOT / "docs/design.md").read_text("utf-8")

STEPS = re.findall(r"^\| `([\w.]+)` \| ([\w/\\]+)\.py \|", DESIGN, flags=re.MULTILINE)


def test_the_story_has_its_steps():
    assert len(STEPS) >= 25


@pytest.mark.parametrize(("name", "file"), STEPS)
def test_every_function_of_the_story_is_where_it_says(name, file):
    module = file.replace("\\", "").removesuffix("/__init__").replace("/", ".")
    found = importlib.import_module(f"affectus.{module}")
    assert found.__name__ == f"affectus.{module}"
    for part in name.split("."):
        found = getattr(found, part)
    assert callable(found)


def test_every_command_is_in_the_readme():
    for command in app.registered_commands:
        assert f"affectus {command.name or command.callback.__name__}" in README


def test_every_command_in_the_documents_exists():
    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    for text in (README, DESIGN):
        for block in re.findall(r"```(?:console|sh)?\n(.*?)```", text, flags=re.DOTALL):
            for used in re.findall(r"^\$ affectus (\w+)", block, flags=re.MULTILINE):
                assert used in known


def test_every_option_in_the_readme_exists():
    import typer

    group = typer.main.get_command(app)
    for line in re.findall(r"^\$ affectus (.*)", README, flags=re.MULTILINE):
        words = line.split("#")[0].split()
        known = {option for p in group.commands[words[0]].params for option in p.opts}
        for word in words[1:]:
            if re.fullmatch(r"--[a-z-]+|-[a-z]", word):
                assert word in known, line


def test_every_make_target_in_the_readme_exists():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"make ([a-z-]+)", README):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_the_tree_in_the_readme_is_the_package():
    (tree,) = re.findall(r"```text\naffectus/\n(.*?)```", README, flags=re.DOTALL)
    told = set(re.findall(r"^  (\w+(?:\.\w+)?)/? ", tree, flags=re.MULTILINE))
    there = {
        path.name
        for path in (ROOT / "affectus").iterdir()
        if not path.name.startswith("__") and path.suffix != ".pyc"
    }
    assert told == there


def test_every_protocol_is_in_the_readme():
    for protocol in list_protocols():
        assert protocol.name in README


def test_every_error_code_of_the_gate_is_listed_in_its_module():
    import affectus.media

    text = "".join(p.read_text("utf-8") for p in Path(affectus.media.__file__).parent.glob("*.py"))
    listed = set(re.findall(r"\b[EW]\d{4}\b", affectus.media.__doc__))
    used = set(re.findall(r'"([EW]\d{4})"', text))
    assert used <= listed


def test_every_code_has_its_cause_and_remedy():
    table = (ROOT / "docs/codes.md").read_text("utf-8")
    rows = re.findall(r"^\| ([EW]\d{4}) \| (.+) \| (.+) \|$", table, flags=re.MULTILINE)
    explained = [code for code, _, _ in rows]
    assert len(explained) == len(set(explained))
    source = "".join(path.read_text("utf-8") for path in (ROOT / "affectus").rglob("*.py"))
    assert set(explained) == set(re.findall(r'"([EW]\d{4})"', source))
