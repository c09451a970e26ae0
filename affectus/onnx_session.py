"""Networks in ONNX, opened: the one place that says how onnxruntime is to work."""

from __future__ import annotations

import multiprocessing
from functools import cache
from pathlib import Path
from typing import Any


def open_session(network: bytes | str | Path, *, threads: int | None = None) -> Any:
    """Return an onnxruntime session of a network's bytes or file, on the processor.

    `threads` are for one call; by default one in a child process, which has its share of the
    machine, and elsewhere as many as onnxruntime finds. Only its errors are printed. onnxruntime is
    loaded here and not before: most of what this package does needs none of it. A session keeps the
    bytes that it is given for as long as it lives: of what lies in a file, give the file.

    Raises ValueError, with onnxruntime's words, for what is no network that it can run.
    """
    import onnxruntime

    if threads is None and multiprocessing.parent_process() is not None:
        threads = 1
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except network_errors() as error:
        raise ValueError(" ".join(str(error).split())[:200]) from None


@cache
def network_errors() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises: classes that have nothing but Exception in common."""
    from onnxruntime.capi import onnxruntime_pybind11_state

    return tuple(
        kind
        for kind in vars(onnxruntime_pybind11_state).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    )
