"""A network in ONNX is opened in one way: quietly, with the threads that it may have."""

import multiprocessing
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from affectus.onnx_session import open_session


@pytest.fixture(scope="module")
def network():
    """The bytes of a network that doubles a row."""
    row, doubled = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("row", "doubled")
    )
    graph = helper.make_graph(
        [helper.make_node("Add", ["row", "row"], ["doubled"])], "double", [row], [doubled]
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def test_bytes_and_a_file_are_the_same_network(network, tmp_path):
    onnx.save(onnx.load_from_string(network), tmp_path / "double.onnx")
    row = np.arange(3, dtype=np.float32)
    for source in (network, tmp_path / "double.onnx", str(tmp_path / "double.onnx")):
        (found,) = open_session(source).run(None, {"row": row})
        np.testing.assert_array_equal(found, [0, 2, 4])


def test_it_has_the_threads_that_were_asked_for(network):
    assert open_session(network, threads=3).get_session_options().intra_op_num_threads == 3
    assert open_session(network).get_session_options().intra_op_num_threads == 0  # as it finds


def test_a_child_process_has_one_thread_unless_it_asks(network, monkeypatch):
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: "somebody")
    assert open_session(network).get_session_options().intra_op_num_threads == 1
    assert open_session(network, threads=2).get_session_options().intra_op_num_threads == 2


def test_nothing_is_loaded_before_a_network_is():
    code = "import sys, affectus.predictor; assert 'onnxruntime' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("content", [b"", b"\x80\4.", b"no network at all", bytes(1_000)])
def test_what_is_no_network_is_a_value_error(content, tmp_path):
    (tmp_path / "a.onnx").write_bytes(content)
    for source in (content, tmp_path / "a.onnx"):
        with pytest.raises(ValueError, match="ONNXRuntimeError"):
            open_session(source)
