"""Weights in eight bits: a quarter of the size, where the answers stay."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from affectus.emotions import EMOTIONS
from affectus.errors import ModelError
from affectus.features import Extractor
from affectus.synthesis import synthesize_voice

LARGEST_CHANGE = 0.05  # of a score, over the voices of `_voices`


def quantise(data: bytes, extractor: Extractor, temperature: float) -> tuple[bytes, float]:
    """Return a network (ONNX) with its matrices' weights in eight bits, and what that changes.

    That is the largest change of a score over sixteen synthetic voices, of all manners of speaking.

    Raises ModelError if it is more than `LARGEST_CHANGE`.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "whole.onnx").write_bytes(data)
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)  # of a step that is for convolutions
        try:
            quantize_dynamic(
                folder / "whole.onnx",
                folder / "int8.onnx",
                # Convolutions stay: onnxruntime computes those in eight bits slower, if at all.
                op_types_to_quantize=["MatMul", "Gemm"],
                weight_type=QuantType.QInt8,
                per_channel=True,
            )
        finally:
            logging.disable(before)
        found = (folder / "int8.onnx").read_bytes()
    whole, small = (
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        for model in (data, found)
    )
    change = 0.0
    for frames in _voices(extractor):
        scores, others = (_scores(model, frames, temperature) for model in (whole, small))
        change = max(change, float(np.abs(scores - others).max()))
    if not change <= LARGEST_CHANGE:
        raise ModelError(
            f"--int8: a score changes by {change:.2g} in eight bits; expected at most "
            f"{LARGEST_CHANGE:g}. Export without it."
        )
    return found, change


def _voices(extractor: Extractor) -> Iterator[NDArray[np.float32]]:
    rate = extractor.sample_rate
    for number in range(16):
        voice = synthesize_voice(EMOTIONS[number % len(EMOTIONS)], speaker=number, sample_rate=rate)
        yield extractor(np.asarray(voice, np.float32), rate)


def _scores(
    session: onnxruntime.InferenceSession, frames: NDArray[np.float32], temperature: float
) -> NDArray[np.float64]:
    feed = {"voice": frames[None], "voice_lengths": np.array([len(frames)])}
    logits = session.run(["logits"], feed)[0][0].astype(np.float64) / temperature
    shares: NDArray[np.float64] = np.exp(logits - logits.max())
    shares /= shares.sum()
    return shares
