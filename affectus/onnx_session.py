"""Networks in ONNX, opened: the one place that says how onnxruntime is to work."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any


def open_session(network: bytes | str | Path, *, threads: int | None = None) -> Any:
    """Return an onnxruntime session of a network's bytes or file, on the processor.

    `threads` are for one call; by default one in a child process, which has its share of the
    machine, and elsewhere as many as onnxruntime finds. Only its errors are printed. onnxruntime is
    loaded here and not before: most of what this package does needs none of it.
    """
    import onnxruntime

    if threads is None and multiprocessing.parent_process() is not None:
        threads = 1
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
