"""What is not declared is not needed: every module loads beside nothing but what its extra brings.

A machine on which everything is installed hides a dependency that nobody wrote down. So here each
module is loaded in a process that cannot find any package beyond those that pyproject.toml names,
and what these need in turn.
"""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

# What needs more than the core as soon as it is loaded; everything else needs none.
NEEDS = {
    "affectus.batches": "train", "affectus.demo": "train",
    "affectus.encoders.computing": "speech", "affectus.encoders.loading": "speech",
    "affectus.encoders.wav2vec": "speech", "affectus.encoders.whisper": "speech",
    "affectus.export": "train", "affectus.fusion": "train", "affectus.models": "train",
    "affectus.notebook": "train", "affectus.report": "train",
    "affectus.server": "serve",
    "affectus.training": "train",
}  # fmt: skip


def normal(name):
    """A distribution's name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(texts):
    """The distributions that requirements stand for, and all that they require."""
    found, waiting = set(), [Requirement(text) for text in texts]
    while waiting:
        requirement = waiting.pop()
        key = normal(requirement.name)
        if key == "affectus" or key in found:
            continue
        found.add(key)
        try:
            needed = requires(requirement.name) or []
        except PackageNotFoundError:  # of another system
            continue
        extras = requirement.extras or {""}
        waiting += [
            inner
            for inner in map(Requirement, needed)
            if inner.marker is None or any(inner.marker.evaluate({"extra": e}) for e in extras)
        ]
    return found


LOAD = """
import importlib, json, sys
hidden, modules = json.load(sys.stdin)
class Hiding:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"{name} is hidden", name=name)
sys.meta_path.insert(0, Hiding())
failed = {}
for module in modules:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        failed[module] = error.name
print(json.dumps(failed))
"""


def load(modules, extra):
    """Load modules where only an extra's packages are; return {module: what it lacks}."""
    allowed = closure([*PROJECT["dependencies"], *PROJECT["optional-dependencies"].get(extra, [])])
    hidden = [
        name
        for name, homes in packages_distributions().items()
        if name != "affectus" and not allowed & {normal(home) for home in homes}
    ]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD],
        input=json.dumps([hidden, modules]), check=True, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    return json.loads(done.stdout)


def modules():
    """Every module of ours."""
    paths = (path.relative_to(ROOT) for path in sorted((ROOT / "affectus").rglob("*.py")))
    names = (".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths)
    return [name for name in names if not name.endswith("__main__")]


def needs(module):
    """The extra that a module is said to need, and what of NEEDS says so; '' for none."""
    for name, extra in NEEDS.items():
        if f"{module}.".startswith(f"{name}."):
            return extra, name
    return "", ""


def test_every_module_loads_with_the_core_alone_unless_it_is_said_to_need_more():
    failed = load(modules(), "")
    assert [module for module in failed if not needs(module)[0]] == []
    assert {needs(module)[1] for module in failed} == NEEDS.keys()


@pytest.mark.parametrize("extra", sorted(set(NEEDS.values())))
def test_a_module_that_needs_more_loads_with_its_extra(extra):
    assert load([module for module in modules() if needs(module)[0] == extra], extra) == {}


def test_what_is_imported_is_declared_and_not_only_brought_along():
    declared = {
        normal(Requirement(text).name)
        for texts in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
        for text in texts
    }
    homes = packages_distributions()
    imported = {
        name.partition(".")[0]
        for path in (ROOT / "affectus").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or node.names[0].name]
    } - {"affectus", *sys.stdlib_module_names}
    assert {n for n in imported if not declared & {normal(h) for h in homes.get(n, [n])}} == set()


def test_a_package_that_nobody_declares_is_found_out():
    assert load(["affectus", "librosa"], "") == {"librosa": "librosa"}
