"""Weights in eight bits: half the time or a quarter of the size, where the answers stay."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from affectus.emotions import EMOTIONS
from affectus.errors import ModelError
from affectus.features import Extractor
from affectus.synthesis import synthesize_voice

LARGEST_CHANGE = 0.05  # of a score, over the voices of `_voices`
_N_VOICES = 16
# Seven bits of the eight: the sums of two products then fit the sixteen bits in which processors
# without VNNI keep them, so that these answer as others do.
# **Source:** onnxruntime.ai, Quantize ONNX models, "When to use reduce-range".
_FORM = {"per_channel": True, "reduce_range": True, "weight_type": QuantType.QInt8}


def quantise(data: bytes, extractor: Extractor, temperature: float) -> tuple[bytes, float]:
    """Return a network (ONNX) with its weights in eight bits, and what that changes.

    Of a network with convolutions over features, these are computed in eight bits, in half the
    time, within the ranges that sixteen synthetic voices need. Of any other, and of one that takes
    sound, the matrices are stored so. What it changes is told as the largest change of a score over
    sixteen other voices, of all manners of speaking.

    Raises ModelError if that is more than `LARGEST_CHANGE`, or if the network looks at faces.
    """
    whole = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    if any(stream.name == "face" for stream in whole.get_inputs()):
        raise ModelError(
            "--int8: the network looks at faces; expected one of voices alone. Export without it."
        )
    nodes = onnx.load_from_string(data).graph.node
    convolves = extractor.name != "waveform" and any(node.op_type == "Conv" for node in nodes)
    with tempfile.TemporaryDirectory() as name, _quiet():
        before, after = Path(name, "whole.onnx"), Path(name, "int8.onnx")
        before.write_bytes(data)
        if convolves:
            # The ranges are fixed, so no clip moves the answer of another. The matrices stay: they
            # are few, and moved ten times as many answers.
            simple = Path(name, "simple.onnx")  # where each weight stands by itself
            quant_pre_process(before, simple, skip_symbolic_shape=True)
            quantize_static(
                simple,
                after,
                _Ranges([_feed(frames) for frames in _voices(extractor, 0)]),
                quant_format=QuantFormat.QOperator,
                op_types_to_quantize=["Conv"],
                activation_type=QuantType.QUInt8,
                **_FORM,
            )
        else:
            quantize_dynamic(before, after, op_types_to_quantize=["MatMul", "Gemm"], **_FORM)
        found = after.read_bytes()
    small = onnxruntime.InferenceSession(found, providers=["CPUExecutionProvider"])
    change = 0.0
    for frames in _voices(extractor, _N_VOICES):
        scores, others = (_scores(model, frames, temperature) for model in (whole, small))
        change = max(change, float(np.abs(scores - others).max()))
    if not change <= LARGEST_CHANGE:
        raise ModelError(
            f"--int8: a score changes by {change:.2g} in eight bits; expected at most "
            f"{LARGEST_CHANGE:g}. Export without it."
        )
    return found, change


class _Ranges(CalibrationDataReader):  # type: ignore[misc]
    """Gives what is to go through the network, a clip at a time; None at the end."""

    def __init__(self, clips: Sequence[dict[str, Any]]) -> None:
        self._clips = iter(clips)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next clip."""
        return next(self._clips, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep onnxruntime's advice to itself: of steps that are not needed."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _voices(extractor: Extractor, first: int) -> Iterator[NDArray[np.float32]]:
    rate = extractor.sample_rate
    for speaker in range(first, first + _N_VOICES):
        emotion = EMOTIONS[speaker % len(EMOTIONS)]
        voice = synthesize_voice(emotion, speaker=speaker, sample_rate=rate)
        yield extractor(np.asarray(voice, np.float32), rate)


def _feed(frames: NDArray[np.float32]) -> dict[str, Any]:
    return {"voice": frames[None], "voice_lengths": np.array([len(frames)])}


def _scores(
    session: onnxruntime.InferenceSession, frames: NDArray[np.float32], temperature: float
) -> NDArray[np.float64]:
    logits = session.run(["logits"], _feed(frames))[0][0].astype(np.float64) / temperature
    shares: NDArray[np.float64] = np.exp(logits - logits.max())
    shares /= shares.sum()
    return shares
