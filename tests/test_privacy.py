"""What is sent is not kept, nothing is sent on, and nothing that is read is unpickled.

A recording of noise is known by its bytes and by what they decode to: where neither stands in any
file or line afterwards, nothing of it was kept.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from making import encode, encode_av
from served import Served, form

RATE = 16_000
FORMATS = {
    "wav": lambda sound: encode(sound),
    "flac": lambda sound: encode(sound, "FLAC"),
    "m4a": lambda sound: encode_av(sound, "ipod", "aac"),
    "webm": lambda sound: encode_av(np.repeat(sound, 3), "webm", "libopus", rate=48_000),
}


def noisy_voice(seed):
    """Two seconds [T] that sound like a voice, with a noise in them that nobody has made before."""
    from served import voice

    noise = np.random.default_rng(seed).normal(0, 0.01, 2 * RATE)
    return np.clip(voice(2.0) + noise, -1, 1).astype(np.float32)


def marks(data):
    """What a recording would be known by: stretches of its bytes, and of what it decodes to."""
    from affectus.media import read_audio

    decoded = read_audio(data).waveform
    found = []
    for share in (0.2, 0.5, 0.8):
        at = int(len(data) * share)
        found.append(data[at : at + 32])
        stretch = decoded[int(len(decoded) * share) :][:16]
        found += [stretch.tobytes(), (stretch * 32_768).astype("<i2").tobytes()]
    return found


def traces(found, folder, text=""):
    """The files below a folder that hold one of the marks, or their text in hexadecimal digits."""
    held = [
        path
        for path in folder.rglob("*")
        if path.is_file() and any(mark in path.read_bytes() for mark in found)
    ]
    return held + [mark for mark in found if mark.hex() in text or str(mark) in text]


def places(folder):
    """An environment in which all that a program may write by itself lies below a folder."""
    names = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
    for name in names:
        (folder / name).mkdir(parents=True)
    return {name: str(folder / name) for name in names}


def test_a_trace_is_found_where_there_is_one(tmp_path):
    data = encode(noisy_voice(1))
    found = marks(data)
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert traces(found, tmp_path) == []
    for number, mark in enumerate(found):
        (tmp_path / "a" / "b" / str(number)).write_bytes(b"before" + mark + b"behind")
    assert len(traces(found, tmp_path)) == len(found)
    assert traces(found, tmp_path / "none", text=found[4].hex()) == [found[4]]


@pytest.mark.parametrize("form_of", FORMATS)
def test_the_command_keeps_nothing_of_a_recording(form_of, small_model, tmp_path):
    data = FORMATS[form_of](noisy_voice(2))
    recording = tmp_path / f"a.{form_of}"
    recording.write_bytes(data)
    kept = tmp_path / "kept"
    here = kept / "here"
    here.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "affectus", "predict", recording, "--model", small_model, "--json"],
        check=True, capture_output=True, text=True, cwd=here,
        env={**os.environ, **places(kept)},
    )  # fmt: skip
    assert json.loads(done.stdout)["predictions"][0]["emotion"]
    assert traces(marks(data), kept, done.stdout + done.stderr) == []
    assert [path for path in kept.rglob("*") if path.is_file()] == []


def test_the_service_keeps_nothing_of_a_recording(small_model, tmp_path):
    kept = tmp_path / "kept"
    served = Served(small_model, options=["--workers", "1"], environment=places(kept))
    sent = {name: make(noisy_voice(n)) for n, (name, make) in enumerate(FORMATS.items())}
    found = [mark for data in sent.values() for mark in marks(data)]
    damaged = bytearray(encode(noisy_voice(9), "MP3"))
    for at in range(300, len(damaged), 500):
        damaged[at : at + 40] = random.Random(at).randbytes(40)
    before = served.log
    try:
        for name, data in sent.items():
            assert served.post(data, f"/v1/predict?name=a.{name}")[0] == 200
            body, headers = form({f"a.{name}": data})
            assert served.post(body, headers=headers)[0] == 200
            assert traces(found, kept, served.log) == []
        served.post(bytes(damaged))  # its decoder would print pieces of it
        assert traces(found, kept, served.log) == []
        assert served.log == before
    finally:
        assert served.stop() == 0
    assert traces(found, kept, served.log) == []
    assert [path for path in kept.rglob("*") if path.is_file()] == []


# --- without a network

# Runs a program in a network of its own, in which there is nothing but this process.
ALONE = """
import fcntl, socket, struct, sys
with socket.socket() as some:  # up with the loopback: SIOCSIFFLAGS, netdevice(7)
    fcntl.ioctl(some, 0x8914, struct.pack("16sh", b"lo", 1))
try:
    socket.create_connection(("192.0.2.1", 80), timeout=1)
except OSError as error:
    assert error.errno == 101, error  # ENETUNREACH
else:
    raise SystemExit("there is a network")
sys.argv = sys.argv[1:]
exec(compile(open(sys.argv[0]).read(), sys.argv[0], "exec"), {"__name__": "__main__"})
"""

ASK = """
import sys
sys.path[:0] = sys.argv[1:2]
from pathlib import Path
from affectus.cli import run
from served import Served
assert run(["predict", sys.argv[3], "--model", sys.argv[2]]) == 0
assert run(["predict", sys.argv[3]]) == 0
served = Served(sys.argv[2], options=["--workers", "1"])
try:
    assert served.get("/")[0] == 200
    assert served.post(Path(sys.argv[3]).read_bytes())[0] == 200
finally:
    assert served.stop() == 0
print("answered")
"""


def cut_off():
    """What runs a command without a network here; nothing where the system does not let us."""
    command = ["unshare", "--net", "--map-root-user"]
    if shutil.which("unshare") is None:
        return []
    done = subprocess.run([*command, "true"], capture_output=True)
    return command if done.returncode == 0 else []


def test_command_and_service_answer_without_a_network(small_model, tmp_path):
    if not cut_off():
        pytest.skip("this system does not let a process give up its network")
    (tmp_path / "ask.py").write_text(ASK)
    (tmp_path / "a.wav").write_bytes(encode(noisy_voice(3)))
    done = subprocess.run(
        [*cut_off(), sys.executable, "-c", ALONE, tmp_path / "ask.py", Path(__file__).parent,
         small_model, tmp_path / "a.wav"],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "answered"), done.stderr


# --- nothing is unpickled

# Every Python process loads this module at its start. Messages between our own processes are
# pickled by multiprocessing; nothing else may be.
WATCH = """
import os, sys
def watch(name, arguments):
    if name in ("pickle.find_class", "marshal.loads") or name == "socket.connect":
        frame, files = sys._getframe(1), []
        while frame is not None:
            files.append(frame.f_code.co_filename)
            frame = frame.f_back
        ours = any("multiprocessing" in file for file in files)
        loads = name == "marshal.loads"  # of the code of modules, by the importer
        if not ours and not (loads and any("importlib" in file for file in files)):
            said = f"{name} {arguments!r:.200} from {files[:6]}\\n"
            descriptor = os.open(os.environ["WATCHED"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
            os.write(descriptor, said.encode())
            os.close(descriptor)
sys.addaudithook(watch)
"""

CHAIN = """
import sys
from affectus.cli import run
def ok(*arguments):
    assert run(list(arguments)) == 0, arguments
ok("import", "table", "recordings/tones.csv", "-o", "clips.csv")
ok("extract", "clips.csv", "--store", "store", "--set", "n_mels=16", "--set", "f_max=6000.0",
   "--workers", "2")
run(["audit", "clips.csv", "--store", "store"])
ok("describe", "store")
ok("train", "run.toml")
ok("train", "run.toml", "--set", "name=again", "--set", "training.epochs=1")
ok("evaluate", "runs/tones", "--on", "test")
ok("export", "runs/tones", "-o", "model")
ok("predict", "recordings/spk0/sad_0.wav", "--model", "model")
ok("doctor", "store")
"""

UNPICKLE = """
import multiprocessing, pickle
pickle.loads(pickle.dumps(ValueError("x")))
"""


def watched(program, folder):
    """Run a program in a folder; return what was unpickled or called in it and its children."""
    (folder / "watch").mkdir()
    (folder / "watch" / "sitecustomize.py").write_text(WATCH)
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": f"{folder / 'watch'}{os.pathsep}{root}",
             "WATCHED": str(folder / "seen")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    return (folder / "seen").read_text().splitlines() if (folder / "seen").exists() else []


def test_unpickling_is_seen(tmp_path):
    (seen,) = watched(UNPICKLE, tmp_path)
    assert seen.startswith("pickle.find_class ('builtins', 'ValueError')")


@pytest.mark.slow
def test_from_import_to_prediction_nothing_is_unpickled_and_nobody_is_called(tmp_path):
    from small_run import write_tones

    write_tones(tmp_path / "recordings", n_takes=1)
    (tmp_path / "run.toml").write_text(
        'name = "tones"\nmanifest = "clips.csv"\nstore = "store"\n[labels]\nscheme = "four"\n'
        '[features]\nname = "logmel"\nn_mels = 16\nf_max = 6000.0\n'
        '[split]\nprotocol = "sequential-6fold"\nfolds = [1]\n'
        '[model]\nname = "crnn"\nchannels = [4, 4, 4]\nn_hidden = 4\nn_attention = 4\n'
        "[training]\nepochs = 2\nbatch_size = 8\n"
    )
    assert watched(CHAIN, tmp_path) == []
