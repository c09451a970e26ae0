"""What has gone wrong in others, tried here: one test an advisory, named after it.

Each says in a line what the advisory is about. Sources: the National Vulnerability Database and
GitHub's advisories under these numbers; the issues and pull requests that are named. What a
service must refuse beside these stands in test_server_security.py, check by check.
"""

import ast
import io
import json
import os
import pickle
import resource
import shutil
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from making import RATE, encode, film, flac, playlists, speech_like, wav
from onnx import TensorProto, helper
from served import error_code, form, write_voice

import affectus
from affectus.errors import AffectusError, ConfigError, FeatureFileError, MediaError, ModelError
from affectus.experiment import read_experiment
from affectus.media import Limits, open_audio, open_video, read_audio
from affectus.predictor import Predictor

PACKAGE = Path(affectus.__file__).parent


def refused(data, call=read_audio):
    """The code with which a recording is refused."""
    with pytest.raises(MediaError) as caught:
        call(data)
    return caught.value.code


def calls():
    """Every call in the package: (file, the function's name, the call)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                yield path.name, ast.unparse(node.func), node


@pytest.fixture(scope="module")
def opus_bomb():
    """Eleven minutes of silence in a few kilobytes."""
    return encode(np.zeros(660 * RATE, "f4"), "OGG", "OPUS")


# --- recordings that are larger than they look


def test_like_cve_2026_54233_a_small_opus_does_not_fill_the_memory(opus_bomb):
    # vLLM: 25 MB of Opus became 14.9 GB.
    assert len(opus_bomb) < 1_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(opus_bomb) == "E1502"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_like_vllm_45908_the_other_way_in_has_the_same_limits(opus_bomb):
    # The first mend of the above left a second endpoint open.
    def take_blocks(data):
        with open_audio(data) as decoding:
            for _ in decoding.blocks:
                pass

    assert refused(opus_bomb, take_blocks) == "E1502"
    assert refused(flac(21_094, claimed=0), take_blocks) == "E1502"


def test_like_vllm_49948_a_forged_rate_does_not_shorten_a_recording():
    # 655,350 Hz in a FLAC header made minutes look like seconds.
    assert refused(flac(21_094, rate=655_350)) == "E1104"


def test_like_vllm_50221_a_film_has_limits_of_its_own():
    pictures = [np.zeros((48, 64, 3), np.uint8)] * 30
    with (
        pytest.raises(MediaError) as caught,
        open_video(film(pictures), limits=Limits(max_seconds=0.5)) as video,
    ):
        list(video)
    assert caught.value.code == "E1502"


def test_like_cve_2026_55646_a_size_is_looked_at_before_the_bytes(service):
    # vLLM: the size of an upload was checked after it had been read.
    began = time.monotonic()
    head = f"POST /v1/predict HTTP/1.1\r\nHost: {service.host}:{service.port}\r\n"
    status, _, _ = service.exchange(f"{head}Content-Length: {2**40}\r\n\r\n".encode())
    assert status == 413
    assert time.monotonic() - began < 5


# --- recordings that send a decoder elsewhere, or break it


@pytest.mark.parametrize("kind", playlists("/x"))
def test_like_cve_2016_1897_and_1898_a_playlist_opens_no_other_file(kind, make_file):
    # FFmpeg read local files, and called servers, for an HLS list with a recording's name.
    secret = make_file("secret.wav", encode(speech_like(1.0)))
    path = make_file("a.wav", playlists(str(secret))[kind])
    opened = []
    sys.addaudithook(lambda name, found: opened.append(str(found[0])) if name == "open" else None)
    assert refused(path) == "E1002"
    assert str(secret) not in opened


def adpcm(codec, align, per_block, blocks, extra=b""):
    """A WAV in ADPCM whose header says what it is told to."""
    content = struct.pack("<HHIIHHHH", codec, 1, RATE, RATE, align, 4, 2 + len(extra), per_block)
    data = bytes(64)
    body = b"WAVEfmt " + struct.pack("<I", len(content) + len(extra)) + content + extra
    body += b"fact" + struct.pack("<II", 4, blocks & 0xFFFFFFFF)
    body += b"data" + struct.pack("<I", (align * blocks) & 0xFFFFFFFF) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("blocks", [1, 2, 50_000, 65_536, 2**31])
@pytest.mark.parametrize("align", [1, 7, 256, 0xFFFF])
@pytest.mark.parametrize("per_block", [0, 2, 505, 50_000, 0xFFFF])
@pytest.mark.parametrize("codec", [2, 0x11])
def test_like_cve_2021_3246_2022_33065_and_2026_37555_blocks_do_not_overflow(
    codec, align, per_block, blocks
):
    # libsndfile: MS ADPCM blocks wrote behind the heap; samples times blocks overflowed 32 bits.
    extra = struct.pack("<H", 7) + bytes(28) if codec == 2 else b""
    try:
        found = read_audio(adpcm(codec, align, per_block, blocks, extra))
    except MediaError as error:
        assert error.code in ("E1402", "E1109", "E1004", "E1201", "E1502", "E1003")
    else:
        assert len(found.waveform) <= 600 * RATE


def test_like_cve_2024_50612_nothing_is_written_but_plain_samples():
    # libsndfile read behind the end of what it wrote as Vorbis.
    writes = [node for _, name, node in calls() if name == "soundfile.write"]
    assert writes
    for node in writes:
        assert "PCM_16" in {ast.unparse(word.value).strip("'") for word in node.keywords}


# --- models and weights that run code


class Trap:
    """Unpickled, it makes a folder."""

    def __reduce__(self):
        return os.mkdir, ("trapped",)


@pytest.fixture
def model(small_model, tmp_path, monkeypatch):
    """A model folder that may be changed, in a folder where a trap would be seen."""
    monkeypatch.chdir(tmp_path)
    yield Path(shutil.copytree(small_model, tmp_path / "model"))
    assert not Path("trapped").exists()


def vouch(model, data):
    """Put a network in the place of a model's own, and its hash into model.json."""
    import hashlib

    (model / "model.onnx").write_bytes(data)
    facts = json.loads((model / "model.json").read_bytes())
    facts["sha256"]["model.onnx"] = hashlib.sha256(data).hexdigest()
    (model / "model.json").write_text(json.dumps(facts))


def test_like_cve_2025_32434_and_2026_24747_weights_are_never_given_to_torch_load(model):
    # torch.load ran code with weights_only=True, too, and corrupted the heap.
    assert not [path for path, name, _ in calls() if name.endswith("torch.load")]
    vouch(model, pickle.dumps(Trap()))
    with pytest.raises(ModelError, match=r"model\.onnx"):
        Predictor(model)


@pytest.mark.parametrize("name", ["weights.pkl", "model.joblib", "model.skops", "model.pt"])
def test_like_cve_2025_54412_54413_and_54886_nothing_falls_back_to_a_pickle(model, name):
    # skops called what a file named; its model cards fell back to joblib without a word.
    for file in ("model.onnx", "weights.safetensors"):
        (model / file).unlink()
    (model / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelError, match=r"model\.onnx: No such file"):
        Predictor(model)


def test_like_cve_2025_10155_10156_and_10157_no_name_makes_a_pickle_a_model(model):
    # picklescan passed over pickles with another ending, in broken zips, from sub-modules.
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("data.pkl", pickle.dumps(Trap()))
    for data in (pickle.dumps(Trap()), archive.getvalue(), archive.getvalue()[:-10]):
        vouch(model, data)
        with pytest.raises(ModelError, match=r"expected a network"):
            Predictor(model)


def outside(location):
    """A network whose weight is kept in another file."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", location
    value, out = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in "xy")
    node = helper.make_node("Add", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", [value], [out], [weight])
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


@pytest.mark.parametrize("place", ["../secret", "a/../../secret", "/etc/hostname", "link"])
def test_like_cve_2022_25882_2024_27318_and_2026_27489_a_network_reads_no_other_file(
    model, place, tmp_path
):
    # ONNX: tensors kept 'outside' could name any file, through '..' or a link.
    (tmp_path / "secret").write_bytes(b"\0\0\x80?")
    (model / "link").symlink_to(tmp_path / "secret")
    vouch(model, outside(place))
    with pytest.raises(ModelError, match=r"model\.onnx"):
        Predictor(model)


def test_like_cve_2024_3568_an_encoder_is_loaded_from_safetensors_alone():
    # transformers unpickled what a repository held.
    loads = [node for _, name, node in calls() if name.endswith("from_pretrained")]
    assert loads
    for node in loads:
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        assert given.get("trust_remote_code", "False") == "False"
        if "Config" not in ast.unparse(node.func) and "Extractor" not in ast.unparse(node.func):
            assert given.get("use_safetensors") == "True", ast.unparse(node)


def test_like_cve_2019_6446_an_array_is_not_unpickled(make_file, monkeypatch, tmp_path):
    # numpy.load ran what an object array brought along.
    from affectus.feature_files.npz import choose_key, read_npz

    monkeypatch.chdir(tmp_path)
    file = io.BytesIO()
    np.savez(file, features=np.array([Trap()], dtype=object))
    path = make_file("a.npz", file.getvalue())
    with pytest.raises(FeatureFileError):
        read_npz(path, choose_key(path))
    assert not Path("trapped").exists()


# --- archives


def test_like_cve_2019_9674_an_npz_is_not_unpacked_without_end(make_file):
    # A zip of a few kilobytes unpacks to gigabytes.
    from affectus.feature_files.npz import choose_key, read_npz

    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f4", "fortran_order": False, "shape": (2**31, 64)}
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", head.getvalue() + bytes(10_000_000))
    path = make_file("a.npz", file.getvalue())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FeatureFileError):
        read_npz(path, choose_key(path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_like_cve_2007_4559_and_2025_4517_no_archive_is_unpacked_anywhere(make_file):
    # tarfile wrote outside its folder, and with filter="data", too, before Python 3.11.13.
    named = {name.rpartition(".")[2] for _, name, _ in calls()}
    assert not named & {"extractall", "unpack_archive"}
    assert not [path for path, name, _ in calls() if name.startswith("tarfile.")]
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../../x"), io.BytesIO())
    assert refused(make_file("a.wav", file.getvalue())) == "E1002"


# --- text that takes for ever


def test_like_cve_2020_10735_a_number_of_many_digits_takes_no_time(make_file):
    # Python: int() of a text took the square of its length.
    path = make_file("run.toml", b'name = "a"\nmanifest = "m"\nstore = "s"\n[training]\nepochs = ')
    path.write_bytes(path.read_bytes() + b"9" * 1_000_000)
    began = time.process_time()
    with pytest.raises(ConfigError, match=r"run\.toml: "):
        read_experiment(path)
    assert time.process_time() - began < 2


def test_like_cve_2025_4565_nesting_without_end_is_refused_in_a_line(make_file):
    # Python's protobuf, and many another parser, ran out of stack.
    from affectus.corpora import load_corpus

    for name, text in (("a.json", "["), ("a.jsonl", '{"a":')):
        with pytest.raises(AffectusError, match=rf"{name}.*nested too deep"):
            load_corpus("table", make_file(name, text.encode() * 1_000_000))


# --- requests


def timed(service, body, headers):
    """The reply's status and how long it took."""
    began = time.monotonic()
    status = service.post(body, headers=headers)[0]
    return status, time.monotonic() - began


def test_like_cve_2024_24762_a_content_type_takes_no_time(service):
    # python-multipart: a regular expression over an option of Content-Type never ended.
    headers = {"Content-Type": 'application/x-www-form-urlencoded; !="' + "\\" * 8_000}
    status, seconds = timed(service, b"x", headers)
    assert status in (400, 415, 431)
    assert seconds < 5


@pytest.mark.parametrize("place", ["before", "after"])
def test_like_cve_2024_53981_what_stands_around_a_form_takes_no_time(service, place, tmp_path):
    # python-multipart logged every byte before the first and after the last boundary.
    body, headers = form({"a.wav": write_voice(tmp_path / "a.wav", 1.0)})
    rest = b"\r\n" * 1_000_000
    status, seconds = timed(service, rest + body if place == "before" else body + rest, headers)
    assert status in (200, 400, 413)
    assert seconds < 10


def test_like_cve_2024_47874_a_field_without_a_file_name_is_not_kept_in_memory(service):
    # Starlette held text fields of any size.
    body, headers = form({"x": b"y" * 20_000_000}, disposition='form-data; name="{}"')
    before = service.memory
    status, seconds = timed(service, body, headers)
    assert status in (400, 413)
    assert seconds < 10
    assert service.memory - before < 100 * 2**20


def test_like_cve_2026_24486_a_file_name_leads_nowhere(service, tmp_path):
    # python-multipart wrote an upload to the path that its name said.
    target = tmp_path / "written.wav"
    body, headers = form({str(target): write_voice(tmp_path / "a.wav", 1.0)})
    assert service.post(body, headers=headers)[0] in (200, 400)
    assert not target.exists()


def test_like_cve_2025_62727_many_ranges_take_no_time(service):
    # Starlette merged the ranges of a request in the square of their number.
    ranges = ",".join(f"{n}-{n + 1}" for n in range(0, 3_000, 2))
    began = time.monotonic()
    status, _, _ = service.get("/", headers={"Range": f"bytes={ranges}"[:8_000]})
    assert status in (200, 206, 400, 416, 431)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("path", ["/../LICENSE", "/..%2f..%2fetc%2fpasswd", "//etc/passwd"])
def test_like_cve_2023_29159_and_2024_1561_no_path_leads_out_of_the_pages(service, path):
    # Starlette's static files, and Gradio's, gave files beside and far from their folder.
    status, _, body = service.get(path)
    assert status in (400, 404)
    assert b"root:" not in body and b"MIT" not in body


def test_like_cve_2025_43859_a_chunk_must_end_as_it_should(service):
    # h11 took any two bytes for a chunk's end, so that a proxy saw another request than it did.
    head = f"POST /v1/predict HTTP/1.1\r\nHost: {service.host}:{service.port}\r\n"
    body = "Transfer-Encoding: chunked\r\n\r\n5\r\nAAAAAXX2\r\n45\r\n0\r\n\r\n"
    status, _, _ = service.exchange((head + body).encode())
    assert status in (0, 400, 411, 413)


def test_like_cve_2018_1000518_a_stream_is_never_compressed(service):
    # websockets unpacked a small message to any size.
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    head = (
        f"GET /v1/stream HTTP/1.1\r\nHost: {service.host}:{service.port}\r\nUpgrade: websocket\r\n"
    )
    offer = "Connection: Upgrade\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
    status, headers, _ = service.exchange((head + offer + key + "\r\n").encode())
    assert "deflate" not in headers.get("sec-websocket-extensions", "")
    assert status in (101, 400, 403)


def test_like_cve_2020_7694_a_request_cannot_forge_a_line_of_the_log(service):
    # uvicorn wrote a request's path to its log as it came.
    before = service.log
    service.get("/%0aforged%1b%5b31m")
    assert service.log == before


def test_like_cve_2023_48022_a_cluster_opens_no_page_of_its_own():
    # Ray's dashboard runs whatever anybody who reaches it says.
    starts = [node for _, name, node in calls() if name == "ray.init"]
    assert starts
    for node in starts:
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        assert given.get("include_dashboard") == "False", ast.unparse(node)


def test_refusals_have_their_code(service):
    # Else every status above might be that of a service that refuses everything.
    assert error_code(service.post(b"Dear diary")) == "E1002"
    data = subprocess.run(
        [sys.executable, "-c", "print('RIFF')"], capture_output=True, check=True
    ).stdout
    assert error_code(service.post(data)) == "E1002"
    assert refused(wav(rate=1)) == "E1104"
