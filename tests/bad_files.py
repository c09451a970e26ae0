"""Tables, experiments and model folders that somebody will have: wrong, damaged, or a trap.

Each is made on the spot. What each is refused with, or that it is taken, stands in bad_files.toml.
"""

import hashlib
import io
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import onnx
import safetensors.numpy
from onnx import TensorProto, helper

from affectus.manifest import COLUMNS

# --- manifests: bytes of clips.csv -------------------------------------------------------------

_ROW = {
    "file": "a.wav", "emotion": "sad", "speaker": "own:1", "clip_id": "own/a", "corpus": "own",
    "channels": "voice", "sha256": "0" * 64,
}  # fmt: skip


def rows(*changes, header=COLUMNS):
    """A manifest with a good row changed in each of these ways."""
    lines = [",".join(header)]
    for number, change in enumerate(changes):
        row = _ROW | {"clip_id": f"own/{number}"} | change
        lines.append(",".join(row.get(column, "") for column in header))
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


MANIFESTS = {
    "manifest_good": lambda: rows({}, {}),
    "manifest_empty": lambda: b"",
    "manifest_header_alone": lambda: rows(),
    "manifest_nul": lambda: rows({"sentence": "a\0b"}),
    "manifest_bom": lambda: b"\xef\xbb\xbf" + rows({}),
    "manifest_crlf": lambda: rows({}).replace(b"\n", b"\r\n"),
    "manifest_cr_alone": lambda: rows({}).replace(b"\n", b"\r"),
    "manifest_utf16": lambda: rows({}).decode().encode("utf-16"),
    "manifest_latin1": lambda: rows({"sentence": "é"}).decode().encode("latin-1"),
    "manifest_surrogate": lambda: rows({"sentence": "\ud800"}),
    "manifest_formula": lambda: rows({"sentence": "=cmd()"}),
    "manifest_cell_of_10_mb": lambda: rows({"sentence": "x" * 10_000_000}),
    "manifest_column_missing": lambda: rows({}, header=[c for c in COLUMNS if c != "speaker"]),
    "manifest_column_more": lambda: rows({"mood": "blue"}, header=[*COLUMNS, "mood"]),
    "manifest_column_twice": lambda: rows({}, header=[*COLUMNS, "emotion"]),
    "manifest_semicolons": lambda: rows({}).replace(b",", b";"),
    "manifest_cell_missing": lambda: rows({}).removesuffix(b",\n") + b"\n",
    "manifest_cell_more": lambda: rows({}).removesuffix(b"\n") + b",\n",
    "manifest_quote_open": lambda: rows({"sentence": '"a'}),
    "manifest_id_twice": lambda: rows({"clip_id": "own/a"}, {"clip_id": "own/a"}),
    "manifest_label_typo": lambda: rows({"emotion": "angri"}),
    "manifest_label_in_capitals": lambda: rows({"emotion": "SAD"}),
    "manifest_start_negative": lambda: rows({"start": "-0.5"}),
    "manifest_start_nan": lambda: rows({"start": "nan"}),
    "manifest_start_inf": lambda: rows({"start": "1e999"}),
    "manifest_start_of_5000_digits": lambda: rows({"start": "9" * 5_000}),
    "manifest_end_before_start": lambda: rows({"start": "2", "end": "1"}),
    "manifest_end_is_start": lambda: rows({"start": "2", "end": "2"}),
    "manifest_votes_without_counts": lambda: rows({"votes": "sad"}),
    "manifest_votes_negative": lambda: rows({"votes": "sad:-1"}),
    "manifest_votes_of_5000_digits": lambda: rows({"votes": "sad:" + "9" * 5_000}),
    "manifest_speaker_of_5000_digits": lambda: rows({"speaker": "9" * 5_000}),
    "manifest_id_leads_out": lambda: rows({"clip_id": "../../x"}),
    "manifest_file_leads_out": lambda: rows({"file": "../../../../etc/passwd"}),
    "manifest_file_is_a_device": lambda: rows({"file": "/dev/zero"}),
    "manifest_file_with_escapes": lambda: rows({"file": "\x1b[31m\u202eexe.wav"}),
    "manifest_file_is_an_option": lambda: rows({"file": "-version"}),
    "manifest_is_json": lambda: b'[{"file": "a.wav"}]',
    "manifest_is_a_pickle": lambda: pickle.dumps(_Trap()),
    "manifest_is_a_zip": lambda: _zip({"clips.csv": rows({})}),
    "manifest_is_a_spreadsheet": lambda: _zip({"xl/workbook.xml": b"<workbook/>"}),
}


# --- experiments: bytes of run.toml ------------------------------------------------------------

EXPERIMENT = """name = "tones"
manifest = "clips.csv"
store = "store"
"""


def toml(*lines, start=EXPERIMENT):
    """An experiment with more lines."""
    return (start + "\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


EXPERIMENTS = {
    "toml_empty": lambda: b"",
    "toml_nul": lambda: toml("\0"),
    "toml_bom": lambda: b"\xef\xbb\xbf" + toml(),
    "toml_utf16": lambda: toml().decode().encode("utf-16"),
    "toml_latin1": lambda: toml("# é").decode().encode("latin-1"),
    "toml_is_json": lambda: b'{"name": "tones"}',
    "toml_is_yaml": lambda: b"name: tones\nmanifest: clips.csv\n",
    "toml_is_a_pickle": lambda: pickle.dumps(_Trap()),
    "toml_no_manifest": lambda: b'name = "tones"\nstore = "store"\n',
    "toml_key_twice": lambda: toml('name = "other"'),
    "toml_unknown_key": lambda: toml("epochs = 5"),
    "toml_unknown_key_in_table": lambda: toml("[training]", "epoch = 5"),
    "toml_table_is_a_number": lambda: toml("training = 5"),
    "toml_table_is_a_list": lambda: toml("[[training]]", "epochs = 5"),
    "toml_text_is_a_number": lambda: b'name = 5\nmanifest = "m"\nstore = "s"\n',
    "toml_name_leads_out": lambda: toml().replace(b"tones", b"../tones"),
    "toml_name_empty": lambda: toml().replace(b"tones", b""),
    "toml_name_hidden": lambda: toml().replace(b"tones", b".tones"),
    "toml_name_of_two_lines": lambda: toml().replace(b"tones", b"to\\nnes"),
    "toml_epochs_0": lambda: toml("[training]", "epochs = 0"),
    "toml_epochs_true": lambda: toml("[training]", "epochs = true"),
    "toml_epochs_is_text": lambda: toml("[training]", 'epochs = "many"'),
    "toml_epochs_is_a_date": lambda: toml("[training]", "epochs = 2024-01-01"),
    "toml_epochs_of_70_bits": lambda: toml("[training]", f"epochs = {2**70}"),
    "toml_number_of_5000_digits": lambda: toml("[training]", "epochs = " + "9" * 5_000),
    "toml_rate_nan": lambda: toml("[training]", "learning_rate = nan"),
    "toml_rate_inf": lambda: toml("[training]", "learning_rate = inf"),
    "toml_rate_negative": lambda: toml("[training]", "learning_rate = -1e-3"),
    "toml_optimiser_unknown": lambda: toml("[training]", 'optimiser = "adamax"'),
    "toml_key_without_effect": lambda: toml("[training]", "momentum = 0.5"),
    "toml_scheme_unknown": lambda: toml("[labels]", 'scheme = "nine"'),
    "toml_noise_unknown": lambda: toml("[augmentation]", 'noise = ["brown"]'),
    "toml_snr_the_wrong_way": lambda: toml("[augmentation]", "noise_snr = [30, 5]"),
    "toml_features_without_name": lambda: toml("[features]", "n_mels = 8"),
    "toml_model_null": lambda: toml("[model]", "name = []"),
    "toml_deep": lambda: toml("[model]", "name = " + "[" * 100_000),
    "toml_deep_keys": lambda: toml("model." + "a." * 5_000 + "b = 1"),
    "toml_10_mb": lambda: toml("# " + "x" * 10_000_000, "epochs = 5"),
    "toml_escapes_in_a_key": lambda: toml('"\\u001b[31m" = 1'),
}


# --- model folders: what is done to a good one ---------------------------------------------------


class _Trap:
    """Unpickled, it makes a file beside it."""

    def __reduce__(self):
        return os.mkdir, ("trapped",)


def _zip(names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in names.items():
            archive.writestr(name, data)
    return file.getvalue()


def _write(name, change):
    """Change a file's bytes and leave the hash in model.json as it is."""

    def apply(folder):
        path = folder / name
        path.write_bytes(change(path.read_bytes()))

    return apply


def _vouched(name, change):
    """Change a file's bytes, and the hash with it, as whoever means harm does."""

    def apply(folder):
        _write(name, change)(folder)
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        _facts(lambda facts: facts["sha256"].update({name: found}))(folder)

    return apply


def _facts(change):
    """Change the content of model.json."""

    def apply(folder):
        path = folder / "model.json"
        facts = json.loads(path.read_bytes())
        change(facts)
        path.write_text(json.dumps(facts))

    return apply


def _set(**values):
    return _facts(lambda facts: facts.update(values))


def _extractor(**values):
    return _facts(lambda facts: facts["extractor"].update(values))


def _flip(data, at):
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def _weights(data, **changes):
    arrays = safetensors.numpy.load(data)
    return safetensors.numpy.save({name: changes.get(name, a) for name, a in arrays.items()})


def _header(length, rest=b""):
    return lambda data: length.to_bytes(8, "little") + rest


def _replaced(make):
    """Put something that is no file in the place of a file."""

    def apply(folder):
        path = folder / "model.onnx"
        path.unlink()
        make(path)

    return apply


def _unreadable(path):
    path.write_bytes(b"")
    path.chmod(0)


def _network(data, change):
    model = onnx.load_from_string(data)
    change(model)
    return model.SerializeToString()


def _outside(model):
    """Let the first weight be kept in a file beside the folder."""
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "../secret", "offset": "0", "length": "4"}.items():
        entry = weight.external_data.add()
        entry.key, entry.value = key, value


def _foreign(data):
    """A network of another kind: one input, one output."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [out])
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def _huge(model):
    """A weight that claims a shape of 10^18 numbers."""
    model.graph.initializer[0].dims[:] = [10**9, 10**9]


MODELS = {
    "model_good": lambda folder: None,
    **{
        f"model_without_{name.replace('.', '_')}": (lambda f, n=name: (f / n).unlink())
        for name in ("model.json", "model.onnx", "weights.safetensors", "MODEL_CARD.md")
    },
    "weights_empty": _write("weights.safetensors", lambda data: b""),
    "weights_7_bytes": _write("weights.safetensors", lambda data: data[:7]),
    "weights_header_alone": _write(
        "weights.safetensors", lambda data: data[: 8 + int.from_bytes(data[:8], "little")]
    ),
    "weights_half": _write("weights.safetensors", lambda data: data[: len(data) // 2]),
    "weights_less_1": _write("weights.safetensors", lambda data: data[:-1]),
    "weights_more_1": _write("weights.safetensors", lambda data: data + b"\0"),
    "weights_header_of_ff": _write("weights.safetensors", _header(2**64 - 1)),
    "weights_header_of_200_mb": _write("weights.safetensors", _header(200_000_000, b"{}")),
    "weights_bit_in_header": _write("weights.safetensors", lambda data: _flip(data, 30)),
    "weights_bit_in_data": _write("weights.safetensors", lambda data: _flip(data, len(data) - 9)),
    "weights_are_a_pickle": _write("weights.safetensors", lambda data: pickle.dumps(_Trap())),
    "weights_nan": _write(
        "weights.safetensors",
        lambda data: _weights(data, mean=np.full(32, np.nan, np.float32)),
    ),
    "network_empty": _write("model.onnx", lambda data: b""),
    "network_bit": _write("model.onnx", lambda data: _flip(data, 999)),
    "network_is_a_pickle": _write("model.onnx", lambda data: pickle.dumps(_Trap())),
    "network_vouched_empty": _vouched("model.onnx", lambda data: b""),
    "network_vouched_half": _vouched("model.onnx", lambda data: data[: len(data) // 2]),
    "network_vouched_pickle": _vouched("model.onnx", lambda data: pickle.dumps(_Trap())),
    "network_vouched_zip": _vouched("model.onnx", lambda data: _zip({"data.pkl": b"\x80\4."})),
    "network_vouched_hdf5": _vouched("model.onnx", lambda data: b"\x89HDF\r\n\x1a\n" + bytes(99)),
    "network_vouched_npy": _vouched("model.onnx", lambda data: b"\x93NUMPY\1\0" + bytes(99)),
    "network_vouched_foreign": _vouched("model.onnx", _foreign),
    "network_vouched_outside": _vouched("model.onnx", lambda data: _network(data, _outside)),
    "network_vouched_huge": _vouched("model.onnx", lambda data: _network(data, _huge)),
    "network_is_a_folder": _replaced(Path.mkdir),
    "network_is_a_fifo": _replaced(os.mkfifo),
    "network_is_a_device": _replaced(lambda path: path.symlink_to("/dev/full")),
    "network_is_a_link_elsewhere": _replaced(lambda path: path.symlink_to("/etc/passwd")),
    "network_is_a_link_to_nothing": _replaced(lambda path: path.symlink_to("nothing")),
    "network_unreadable": _replaced(_unreadable),
    "json_empty": _write("model.json", lambda data: b""),
    "json_is_text": _write("model.json", lambda data: b"hello"),
    "json_is_a_list": _write("model.json", lambda data: b"[]"),
    "json_utf16": _write("model.json", lambda data: data.decode().encode("utf-16")),
    "json_deep": _write("model.json", lambda data: b'{"schema":' * 10_000),
    "json_100_mb": _write("model.json", lambda data: b" " * 100_000_000),
    "json_nan": _write("model.json", lambda data: data.replace(b"1.0", b"NaN")),
    "json_is_a_fifo": lambda folder: (
        (folder / "model.json").unlink(),
        os.mkfifo(folder / "model.json"),
    ),
    "json_proto": _facts(lambda facts: facts.update({"__proto__": {"name": "x"}})),
    "json_newer_schema": _set(schema=2),
    "json_schema_is_text": _set(schema="1"),
    "json_without_labels": _facts(lambda facts: facts.pop("labels")),
    "json_one_label": _set(labels=["sad"]),
    "json_labels_too_many": _set(labels=["a", "b", "c", "d", "e"]),
    "json_labels_too_few": _set(labels=["a", "b"]),
    "json_labels_twice": _set(labels=["a", "a", "b", "c"]),
    "json_label_of_two_lines": _set(labels=["a\nb", "b", "c", "d"]),
    "json_temperature_0": _set(temperature=0),
    "json_temperature_is_text": _set(temperature="hot"),
    "json_hashes_missing": _set(sha256={}),
    "json_extractor_unknown": _extractor(name="mfcc"),
    "json_extractor_missing": _set(extractor={}),
    "json_extractor_of_another_version": _extractor(version=99),
    "json_extractor_of_another_width": _extractor(n_mels=16),
    "json_extractor_of_a_huge_window": _extractor(n_fft=2**40, win_length=2**40),
    "json_extractor_with_more": _extractor(run="rm -rf /"),
    "json_extractor_is_text": _extractor(n_mels="32"),
    "json_extractor_nan": _facts(lambda facts: facts["extractor"].update(f_max=1e999)),
    "json_extractor_at_another_rate": _extractor(sample_rate=96_001, f_max=40_000.0),
    "json_face_unknown": _set(face={"name": "eyes"}),
    "json_streams_unknown": _set(streams=["gaze"]),
    "json_streams_of_faces_alone": _set(streams=["face"]),
    "model_is_a_file": lambda folder: (shutil.rmtree(folder), folder.write_bytes(b"x")),
    "model_is_a_zip": lambda folder: (shutil.rmtree(folder), folder.write_bytes(_zip({"a": b""}))),
    "model_is_a_pickle": lambda folder: (
        shutil.rmtree(folder),
        folder.write_bytes(pickle.dumps(_Trap())),
    ),
    "model_is_nothing": shutil.rmtree,
}
