"""The house: a file imports from lower levels only, and heavy things stay where they belong."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "affectus"

LEVELS = [
    {"errors", "files", "memory"},
    {
        "adaptation",
        "cluster",
        "console",
        "emotions",
        "encoders",
        "face_rows",
        "fingerprint",
        "media",
        "metrics",
        "model_folder",
        "notice",
        "onnx_session",
        "page",
        "pooling",
        "store",
        "workers",
    },
    {"manifest"},
    {"corpora", "audit", "splits", "features", "models", "experiment"},
    {"synthesis", "extraction", "feature_files", "describe", "batches", "evaluation", "runs"},
    {"training", "export", "predictor", "report"},
    {"demo", "fusion", "live", "notebook", "server"},
    {"cli"},
    {"__main__", "__init__"},
]
LEVEL = {name: number for number, names in enumerate(LEVELS) for name in names}

DECODERS = {"soundfile", "soxr", "av", "librosa", "torchaudio", "wave"}
NO_PICKLE = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal"}
TORCH = {"batches", "encoders", "models", "training", "export"}


def sources():
    return sorted(PACKAGE.rglob("*.py"))


def unit(path):
    """The file or sub-package that a source belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    """Every module that a file imports anywhere, also inside functions: (name, line)."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            if node.module == "affectus":
                yield from ((f"affectus.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield node.module, node.lineno


def test_every_file_has_a_level():
    assert {unit(path) for path in sources()} == set(LEVEL)


def breaches(files):
    """Every import of ours that does not point down, in words."""
    found = []
    for path in files:
        home = unit(path)
        for module, line in imported(path):
            parts = module.split(".")
            if parts[0] != "affectus" or len(parts) < 2 or home == "__init__":
                continue
            if parts[1] != home and LEVEL[parts[1]] >= LEVEL[home]:
                found.append(f"{path.name}:{line} imports {module}")
    return found


def test_imports_point_down():
    assert breaches(sources()) == []


def test_an_import_that_points_up_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    bad = tmp_path / "media.py"
    bad.write_text("def f():\n    from affectus.manifest import Clip\n    return Clip\n")
    assert breaches([bad]) == ["media.py:2 imports affectus.manifest"]


def test_only_the_decode_gate_imports_a_decoder():
    users = {
        unit(path)
        for path in sources()
        for module, _ in imported(path)
        if module.split(".")[0] in DECODERS
    }
    assert users == {"media"}


def test_opencv_finds_faces_and_opens_cameras_and_decodes_nothing():
    users = [path for path in sources() for module, _ in imported(path) if module == "cv2"]
    homes = {path.relative_to(PACKAGE).parent for path in users}
    assert homes == {Path("features/face"), Path("live")}
    for path in users:
        text = path.read_text("utf-8")
        assert not re.search("imread|imdecode", text), path
        assert ("VideoCapture" in text) == (path.name == "camera.py"), path


def test_nothing_imports_pickle():
    users = [
        (path.name, module)
        for path in sources()
        for module, _ in imported(path)
        if module.split(".")[0] in NO_PICKLE
    ]
    assert users == []


def test_nothing_can_unpickle():
    # torch.load and numpy's allow_pickle run code that a file brings along.
    for path in sources():
        text = path.read_text("utf-8")
        assert "torch.load" not in text, path
        assert "allow_pickle" not in text, path


def test_only_training_files_import_torch():
    users = {
        unit(path)
        for path in sources()
        for module, _ in imported(path)
        if module.split(".")[0] == "torch" or module == "safetensors.torch"
    }
    assert users == TORCH


@pytest.mark.parametrize(
    "command",
    [
        "import affectus.cli; affectus.cli.run(['--help'])",
        "import affectus.cli; affectus.cli.run(['predict', '--help'])",
        "import affectus.predictor",
        "import affectus; affectus.load_model",
    ],
)
def test_prediction_loads_no_torch(command):
    check = (
        "; import sys; assert 'torch' not in sys.modules; assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", command + check], check=True, capture_output=True)


def test_the_package_itself_loads_neither_torch_nor_onnxruntime():
    code = "import sys, affectus; assert not {'torch', 'onnxruntime', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_library_keeps_or_sends_what_it_was_used_for(tmp_path):
    # onnxruntime's telemetry leaves a session file in the temporary folder as soon as it is loaded.
    code = "import affectus.predictor, affectus.features.embedding, onnxruntime"
    variables = {"CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS"}  # each silences it
    kept = {key: value for key, value in os.environ.items() if key not in variables}
    places = {"TMPDIR": str(tmp_path), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env={**kept, **places})
    assert list(tmp_path.iterdir()) == []


def test_extraction_loads_no_onnxruntime():
    # Each of its workers would load it anew.
    code = "import sys, affectus.extraction; assert 'onnxruntime' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_all_exist():
    import affectus

    for name in affectus.__all__:
        assert getattr(affectus, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = affectus.nothing


def test_every_source_file_has_its_test_file():
    tests = {path.name for path in Path(__file__).parent.glob("test_*.py")}
    units = {unit(path) for path in sources()} - {"__init__", "__main__"}
    assert {f"test_{name}.py" for name in units} <= tests
