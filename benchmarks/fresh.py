"""Model folders with fresh weights: what they answer means nothing, the time they take does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from affectus.export import export_network
from affectus.export.int8 import quantise
from affectus.features import create_extractor, describe_extractor, sees
from affectus.features.face import FaceCrops
from affectus.model_folder import SCHEMA, ModelFacts, write_facts
from affectus.models import ModelConfig, Network, create_model, save

LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
N_MELS = 64


def write_model(folder: Path, network: str = "crnn", *, int8: bool = False) -> None:
    """Write a folder of a voice network, by default the default one, in eight bits or not."""
    torch.manual_seed(0)
    config = ModelConfig(network, N_MELS, len(LABELS))
    _write(folder, config, create_model(config).eval(), int8=int8)


def write_film_model(folder: Path) -> None:
    """Write a folder of a network of voice and face, `av_attention`."""
    face = create_extractor("face_crops")
    assert sees(face) and isinstance(face, FaceCrops)
    written = dict(face.parameters(), name=face.name, version=face.version)
    torch.manual_seed(0)
    config = ModelConfig("av_attention", N_MELS, len(LABELS), {"n_face": face.size**2})
    network = create_model(config).eval()
    network.face_deviation *= 50
    _write(folder, config, network, face=written, streams=network.streams)


def _write(
    folder: Path, config: ModelConfig, network: Network, *, int8: bool = False, **facts: Any
) -> None:
    folder.mkdir()
    save(network, config, folder / "weights.safetensors")
    data = export_network(network, N_MELS)
    if int8:
        data, _ = quantise(data, create_extractor("logmel"), 1.0)
    (folder / "model.onnx").write_bytes(data)
    (folder / "MODEL_CARD.md").write_text("# Fresh weights, for timing alone\n")
    written = ModelFacts(
        schema=SCHEMA,
        name="fresh",
        labels=LABELS,
        scheme="eight",
        extractor=describe_extractor(create_extractor("logmel")),
        temperature=1.0,
        evaluation={},
        corpora=[],
        licences=[],
        provenance={},
        sha256={},
        **facts,
    )
    write_facts(folder, written, ("model.onnx", "weights.safetensors", "MODEL_CARD.md"))
