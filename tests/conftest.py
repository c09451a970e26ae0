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


@pytest.fixture(scope="session")
def tones_folder(tmp_path_factory):
    """A folder of tones with a network that learnt them: recordings, store, runs/tones, model.

    Every file of tests has the same; what changes it takes a copy.
    """
    from small_run import prepare

    from affectus.export import export_run
    from affectus.training import train

    folder = tmp_path_factory.mktemp("tones")
    export_run(train(prepare(folder), folder / "runs"), folder / "model")
    return folder


@pytest.fixture(scope="session")
def small_model(tmp_path_factory):
    """A folder with a small model of fresh weights."""
    from served import write_model

    return write_model(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="session")
def other_model(tmp_path_factory):
    """Another one, which answers otherwise."""
    from served import write_model

    card = "# Another <img src=x onerror=alert(1)>\n\n<script>alert(2)</script>\n"
    return write_model(tmp_path_factory.mktemp("models") / "other", "other", seed=7, card=card)


@pytest.fixture(scope="session")
def service(small_model, other_model):
    """`affectus serve` with two models, as it is by default."""
    from served import Served

    served = Served(small_model, other_model, options=["--workers", "2", "--dev"])
    yield served
    served.stop()


@pytest.fixture(scope="session")
def guarded(small_model):
    """`affectus serve` with a token and a rate, as one would open it to others."""
    from served import TOKEN, Served

    options = ["--workers", "1", "--rate", "50"]
    served = Served(small_model, options=options, environment={"AFFECTUS_TOKEN": TOKEN})
    yield served
    served.stop()
