"""Films of drawn people, and model folders that look at them, with fresh weights."""

import msgspec
import numpy as np
import torch
from making import film
from served import LABELS
from small_models import FACE_CNN, SMALL

from affectus.export import export_network
from affectus.features import create_extractor, describe_extractor
from affectus.model_folder import SCHEMA, ModelFacts, hash_folder
from affectus.models import ModelConfig, create_model, save
from affectus.synthesis import synthesize_voice
from affectus.synthesis.face import draw_faces

RATE, N_MELS, SIZE = 16_000, 32, 32
VOICE = create_extractor("logmel", n_mels=N_MELS, f_max=6_000.0)
FACE = create_extractor("face_crops", size=SIZE)
FILES = ("model.onnx", "weights.safetensors", "MODEL_CARD.md")
SETTINGS = {**SMALL, "face_cnn_lstm": FACE_CNN}


def write_film_model(folder, model, *, seed=0, face=FACE, **facts):
    """Write a model folder with fresh weights; return its network, in torch."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    settings = dict(SETTINGS[model])
    sees = "n_face" in settings
    if sees:
        settings["n_face"] = int(np.prod(face.shape))
    config = ModelConfig(model, N_MELS, len(LABELS), settings)
    network = create_model(config).eval()
    network.mean += -40
    network.deviation *= 20
    if sees:
        network.face_mean += 120
        network.face_deviation *= 50
    with torch.no_grad():
        for weight in network.body.parameters():  # fresh ones hardly tell anything apart
            weight *= 2
    save(network, config, folder / "weights.safetensors")
    (folder / "model.onnx").write_bytes(export_network(network, N_MELS))
    (folder / "MODEL_CARD.md").write_text(f"# {model}\n")
    found = {
        "schema": SCHEMA,
        "name": model,
        "labels": LABELS,
        "scheme": "four",
        "extractor": describe_extractor(VOICE),
        "face": describe_extractor(face) if sees else {},
        "streams": network.streams,
        "temperature": 1.0,
        "evaluation": {},
        "corpora": [],
        "licences": [],
        "provenance": {"modality_dropout": 0.3} if sees else {},
        "sha256": hash_folder(folder, FILES),
        **facts,
    }
    (folder / "model.json").write_bytes(msgspec.json.encode(ModelFacts(**found)))
    return network


def person(seconds, emotion="happy", speaker=3, rate=15, size=(144, 192)):
    """Pictures [H, W, 3] of a person."""
    n_frames = round(seconds * rate)
    drawn = draw_faces(emotion, n_frames, speaker=speaker, size=size, rate=rate)
    return [frame.colour for frame in drawn]


def blank(seconds, rate=15, size=(144, 192)):
    """Pictures without anybody."""
    return [np.full((*size, 3), 120, np.uint8)] * round(seconds * rate)


def voice(seconds, emotion="happy"):
    """A voice [T] that says its sentence over and over."""
    return np.resize(synthesize_voice(emotion, speaker=3), round(seconds * RATE))


def make_film(pictures, sound=None, **options):
    """The bytes of a film at 15 pictures a second."""
    return film(pictures, rate=15, sound=sound, **options)
