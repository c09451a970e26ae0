"""The microphone is answered while it is heard; what is wrong with it is one line."""

import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from served import voice

import affectus
from affectus import live
from affectus.cli import run
from affectus.errors import ConfigError
from affectus.live import microphone

DEVICES = [
    {"name": "Speakers", "max_input_channels": 0, "default_samplerate": 48_000.0},
    {"name": "Inner microphone", "max_input_channels": 2, "default_samplerate": 44_100.0},
    {"name": "Headset", "max_input_channels": 1, "default_samplerate": 16_000.0},
]


class PortAudioError(Exception):
    """sounddevice's own."""


class InputStream:
    """A microphone that hears a waveform [T], at once and block by block."""

    waveform = np.zeros(0, np.float32)
    refuses = ""

    def __init__(self, *, samplerate, device, channels, dtype, blocksize, callback):
        if self.refuses:
            raise PortAudioError(self.refuses)
        assert (channels, dtype) == (1, "float32")
        self.blocksize, self.callback = blocksize, callback

    def __enter__(self):
        for at in range(0, len(self.waveform), self.blocksize):
            block = self.waveform[at : at + self.blocksize, None].astype("f4")
            self.callback(block, len(block), None, None)
            block[:] = np.nan  # PortAudio uses its array again

    def __exit__(self, *error):
        pass


@pytest.fixture
def sound(monkeypatch):
    """A sounddevice with three devices, of which the second is the usual microphone."""
    module = SimpleNamespace(
        query_devices=lambda: DEVICES,
        default=SimpleNamespace(device=(1, 0)),
        PortAudioError=PortAudioError,
        InputStream=type("Microphone", (InputStream,), {}),
    )
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return module


def test_microphones_are_listed_and_found_by_number_or_name(sound):
    found = live.list_devices()
    assert [(one.number, one.channels, one.sample_rate, one.usual) for one in found] == [
        (1, 2, 44_100, True),
        (2, 1, 16_000, False),
    ]
    assert live.find_device(None).number == 1
    assert live.find_device("2").number == live.find_device("heads").number == 2
    with pytest.raises(ConfigError, match=r"0 microphones 'lute'; expected one of: 1 Inner .*; 2"):
        live.find_device("lute")
    with pytest.raises(ConfigError, match="2 microphones 'e'"):
        live.find_device("e")


def test_what_is_heard_is_answered_as_the_file_of_it(sound, small_model):
    waveform = sound.InputStream.waveform = voice(4.0)
    model = affectus.load_model(small_model)
    expected = model.predict((waveform, 16_000), window=2.0, hop=1.0)
    heard = list(live.listen(model, live.find_device("2"), seconds=4.0, window=2.0, hop=1.0))
    assert heard[-1].prediction.scores == pytest.approx(expected.scores, abs=1e-5)
    assert [one.prediction for one in heard[:-1]] == [None] * 40
    windows = [segment for one in heard for segment in one.segments]
    assert [(one.start, one.end) for one in windows] == [(0, 2), (1, 3), (2, 4)]
    loudest = 20 * np.log10(np.abs(waveform[:1_600]).max())
    assert heard[0].level == pytest.approx(max(-60, loudest), abs=1e-3)


def test_it_ends_when_it_is_told_to(sound, small_model):
    sound.InputStream.waveform = voice(4.0)
    stop = threading.Event()
    hearing = live.listen(
        affectus.load_model(small_model), live.find_device("2"), window=2.0, stop=stop
    )
    heard = [next(hearing) for _ in range(25)]
    stop.set()
    (last,) = list(hearing)
    assert last.seconds == heard[-1].seconds == pytest.approx(2.5)
    assert last.prediction is not None


def test_the_command_lists_and_listens(sound, small_model, capsys):
    assert run(["listen", "--list-devices"]) == 0
    assert "Headset" in capsys.readouterr().out
    sound.InputStream.waveform = voice(3.0)
    command = ["listen", "--model", str(small_model), "--device", "headset"]
    assert run([*command, "--seconds", "3", "--window", "1"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("3.0 s: ")
    assert "neutral" in printed.out
    assert "Notice" in printed.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"devices": DEVICES[:1]}, "no microphone; expected one"),
        ({"refuses": "Device unavailable"}, "cannot be opened: Device unavailable; expected"),
        ({"lost": True}, "gave nothing for 0.05 s"),
        ({"slow": True}, "cannot keep up"),
    ],
)
def test_a_microphone_that_does_not_work_is_one_line(
    sound, small_model, capsys, monkeypatch, change, said
):
    sound.query_devices = lambda: change.get("devices", DEVICES)
    sound.InputStream.refuses = change.get("refuses", "")
    sound.InputStream.waveform = voice(45.0 if "slow" in change else 0.5)
    monkeypatch.setattr(microphone, "_LOST_SECONDS", 0.05)
    assert run(["listen", "--model", str(small_model), "--seconds", "20"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("ConfigError: listen: ")
    assert said in lines[-1]


def test_a_missing_library_is_one_line(monkeypatch, capsys):
    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    assert run(["listen", "--list-devices"]) == 2
    assert "apt install libportaudio2" in capsys.readouterr().err
