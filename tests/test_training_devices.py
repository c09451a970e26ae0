"""Devices and precisions: what can be seen of them without a GPU."""

import threading

import numpy as np
import pytest
import torch
from safetensors import safe_open
from small_run import prepare

from affectus.batches import prepare_ahead
from affectus.errors import ConfigError
from affectus.training import epoch as steps
from affectus.training import train
from affectus.training.checkpoints import find_states
from affectus.training.devices import choose_device, describe_device

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("tones")


@pytest.fixture(scope="module")
def experiments(place):
    import msgspec

    plain = prepare(
        place,
        split={"protocol": "sequential-6fold", "folds": [1]},
        model={"name": "crnn", "channels": [4, 4], "n_hidden": 4, "n_attention": 4},
        training={"epochs": 2, "batch_size": 9},
        augmentation={"mixup": 0.2},
    )

    def changed(**settings):
        training = msgspec.structs.replace(plain.training, **settings)
        return msgspec.structs.replace(plain, training=training)

    return changed


def weights_of(run):
    return (run.folder / "fold-1/weights.safetensors").read_bytes()


def test_auto_is_cuda_where_it_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    assert describe_device(torch.device("cpu")) == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("auto") == torch.device("cuda", 1)
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(experiments, device, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(
        ConfigError,
        match=rf"training\.device is '{device}', but torch finds none; expected one that is there\."
        r" Add --set training\.device=auto",
    ):
        train(experiments(device=device), tmp_path)
    assert not (tmp_path / "tones").exists()


def test_fp16_learns_and_goes_on_with_its_scale(experiments, tmp_path):
    class Killed(BaseException):
        pass

    def kill(epoch, done, total):
        raise Killed

    config = experiments(precision="fp16")
    whole = train(config, tmp_path / "whole")
    with pytest.raises(Killed):
        train(config, tmp_path / "killed", on_epoch=kill)
    (state,) = find_states(tmp_path / "killed/tones/fold-1")
    with safe_open(state, framework="np") as file:
        assert '"scale"' in file.metadata()["facts"]
    assert weights_of(train(config, tmp_path / "killed", resume=True)) == weights_of(whole)
    assert weights_of(train(experiments(), tmp_path / "bf16")) != weights_of(whole)


def test_a_step_that_overflows_is_left_out(experiments, tmp_path, monkeypatch):
    # Gradients beyond fp16's 65,504 at a scale of 2**40: torch leaves the step out and halves it.
    scales = []
    real = torch.amp.GradScaler

    class Huge(real):
        def __init__(self, device, enabled):
            super().__init__(device, init_scale=2.0**40, enabled=enabled)

        def update(self):
            scales.append(self.get_scale())
            super().update()

    monkeypatch.setattr(torch.amp, "GradScaler", Huge)
    run = train(experiments(precision="fp16", epochs=1), tmp_path)
    assert scales[0] == 2.0**40 and scales[1] == 2.0**39
    with safe_open(run.folder / "fold-1/last.safetensors", framework="np") as file:
        assert all(np.isfinite(file.get_tensor(name)).all() for name in file.keys())  # noqa: SIM118


def test_batches_made_ahead_teach_the_same(experiments, tmp_path, monkeypatch):
    plain = train(experiments(), tmp_path / "plain")
    real, makers = steps.training_batches, set()

    def ahead(*arguments, **options):
        def told():
            for batch in real(*arguments, **options):
                makers.add(threading.current_thread().name.partition("_")[0])
                yield batch

        return prepare_ahead(told(), lambda batch: batch)

    monkeypatch.setattr(steps, "training_batches", ahead)
    assert weights_of(train(experiments(), tmp_path / "ahead")) == weights_of(plain)
    assert makers == {"batches"}


def test_what_is_made_ahead_keeps_its_order_and_its_error():
    assert list(prepare_ahead(range(7), lambda number: number * 2)) == [0, 2, 4, 6, 8, 10, 12]
    assert list(prepare_ahead([], lambda item: item)) == []

    def failing():
        yield 1
        raise ConfigError("a clip that is none.")

    found = prepare_ahead(failing(), lambda item: item)
    assert next(found) == 1
    with pytest.raises(ConfigError, match="a clip that is none"):
        next(found)


def test_stopped_early_no_more_is_made():
    made = []

    def source():
        for number in range(100):
            made.append(number)
            yield number

    found = prepare_ahead(source(), lambda item: item)
    assert next(found) == 0
    found.close()
    assert len(made) <= 4
    assert not [t for t in threading.enumerate() if t.name.startswith("batches")]
