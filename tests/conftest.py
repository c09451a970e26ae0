"""What all tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run, and no test that fails because the machine is busy.
settings.register_profile("affectus", derandomize=True, deadline=None, database=None)
settings.load_profile("affectus")


@pytest.fixture
def make_file(tmp_path):
    """A function (name, bytes) that writes a file, with its folders, and returns its path."""

    def write(name, data=b""):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return write


@pytest.fixture(scope="module")
def one_thread():
    """Let torch have one thread: on a busy machine, more wait for each other ten times as long."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def corpora_dir():
    """The folder of the real corpora, from the environment: `make test-corpora CORPORA=FOLDER`."""
    folder = Path(os.environ.get("CORPORA", "no such folder"))
    if not folder.is_dir():
        pytest.skip("CORPORA names no folder")
    return folder.absolute()
