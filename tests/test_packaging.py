"""What is installed: the same bytes from every build, all of the package, and nothing else."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# What `make` and the tools leave in the folder; none of it may reach a package.
LEFT = (".*", "build", "dist", "demo", "__pycache__", "site", "runs", "*.egg-info")


def build(source, target, epoch="1700000000"):
    """Build the sdist and the wheel of a source folder, without a network."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(target)],
        cwd=source, check=True, capture_output=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": epoch},
    )  # fmt: skip
    (wheel,), (sdist,) = target.glob("*.whl"), target.glob("*.tar.gz")
    return wheel, sdist


def copy_source(target):
    """Copy the sources, with the times of now and of another umask."""
    shutil.copytree(
        ROOT, target, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns(*LEFT)
    )
    shutil.copyfile(ROOT / ".gitignore", target / ".gitignore")
    return target


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A wheel and an sdist of a copy of the sources."""
    folder = tmp_path_factory.mktemp("packages")
    return build(copy_source(folder / "source"), folder / "dist")


def test_two_builds_are_equal(built, tmp_path):
    source = copy_source(tmp_path / "elsewhere")
    for path in source.rglob("*.py"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    (source / "affectus" / "__pycache__").mkdir()
    (source / "affectus" / "__pycache__" / "demo.cpython-311.pyc").write_bytes(b"left")
    for one, other in zip(built, build(source, tmp_path / "dist"), strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_the_wheel_is_the_same_from_the_sdist(built, tmp_path):
    wheel, sdist = built
    with tarfile.open(sdist) as archive:
        for member in archive.getmembers():
            assert member.isfile() and not member.name.startswith(("/", ".."))
            archive.extract(member, tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    assert build(source, tmp_path / "dist")[0].read_bytes() == wheel.read_bytes()


def test_the_wheel_holds_the_package_and_nothing_else(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = set(wheel.namelist())
        notice = wheel.read("affectus-0.1.0.dist-info/licenses/NOTICE").decode()
    expected = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "affectus").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    about = {name for name in names if name.startswith("affectus-0.1.0.dist-info/")}
    assert names - about == expected | {"affectus/SECURITY.md"}
    assert {name.partition("/")[2] for name in about} == {
        "METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE",
    }  # fmt: skip
    assert "affectus/py.typed" in names  # else nobody sees the types (PEP 561)
    for corpus in ("RAVDESS", "nEMO", "BanglaSER", "TESS"):
        assert corpus in notice


def test_the_sdist_holds_what_its_tests_need(built):
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("Makefile", "constraints.txt", "pyproject.toml", "SECURITY.md", "NOTICE",
                 "LICENSE", "mkdocs.yml", "torture/__main__.py", "tests/making.py",
                 "experiments/LOG.md", "docs/index.md", "benchmarks/__init__.py"):  # fmt: skip
        assert name in names
    assert not [name for name in names if "__pycache__" in name or ".venv" in name]


def test_what_is_installed_from_the_wheel_answers(built, tmp_path):
    with zipfile.ZipFile(built[0]) as wheel:
        wheel.extractall(tmp_path)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import affectus, numpy as np\n"
        "assert affectus.__file__.startswith(sys.argv[1]), affectus.__file__\n"
        "rng = np.random.default_rng(0)\n"
        "model = affectus.load_model('voice')\n"
        "model.predict((rng.normal(0, 0.1, 16_000), 16_000))\n"
        "print(model.labels)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(tmp_path)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "sad" in done.stdout


def test_every_word_of_the_project_file_is_true():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for name in (*project["license-files"], project["readme"]):
        assert (ROOT / name).is_file()
    shipped = {path.parent.name for path in (ROOT / "affectus/pretrained").glob("*/model.json")}
    for name in shipped:
        assert f"affectus/pretrained/{name}" in (ROOT / "NOTICE").read_text("utf-8")
