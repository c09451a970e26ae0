"""A speech encoder and what was trained on it, as one network from the sound on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from affectus.encoders import SAMPLE_RATE, find_encoder
from affectus.encoders.known import tell_licence
from affectus.encoders.loading import load_encoder
from affectus.errors import ModelError
from affectus.experiment import Experiment
from affectus.features import Extractor, create_extractor
from affectus.features.speech import SPEECH
from affectus.models import ModelConfig, Network, create_model
from affectus.models.speech_encoder import EncodedNetwork, SpeechEncoder, merge_adapters

_MOST_BYTES = 2_000_000_000  # of weights: an ONNX file is one protobuf message


@dataclass(frozen=True)
class Whole:
    """What is exported: a network, the extractor of what it takes, and its weights' licences."""

    network: Any
    extractor: Extractor
    licences: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether the network takes samples."""
        return self.extractor.name == "waveform"


def join(network: Network, config: ModelConfig, experiment: Experiment) -> Whole:
    """Return a trained network from the sound on where its features are a speech encoder's.

    Adapters become part of the weights they change. Raises ModelError if the whole is too large
    for one file.
    """
    extractor = create_extractor(**experiment.features)
    found = Whole(network, extractor)
    if isinstance(network.body, SpeechEncoder):
        merge_adapters(network)
        longest = getattr(network.body.encoder, "n_samples", 0) / SAMPLE_RATE
        if longest:
            extractor = create_extractor("waveform", longest=longest)
        found = Whole(network, extractor, _licence(str(experiment.model["encoder"])))
    elif isinstance(extractor, SPEECH):
        files = find_encoder(extractor.model)
        layer = None if extractor.layer == "all" else int(extractor.layer)
        head = network
        if layer is None and config.settings.get("n_layers", 1) > 1:
            layer, head = _one_layer(network, config)
        whole = EncodedNetwork(load_encoder(files), head, layer=layer, pooling=extractor.pooling)
        sound = create_extractor("waveform", longest=float(extractor.window))
        found = Whole(whole.eval().requires_grad_(False), sound, _licence(*files.names))
    size = sum(weight.numel() * weight.element_size() for weight in found.network.parameters())
    if size > _MOST_BYTES:
        raise ModelError(
            f"{experiment.name}: its network has {size / 1e9:.1f} GB of weights; expected at most "
            f"{_MOST_BYTES / 1e9:g} GB, which one ONNX file holds. Take a smaller encoder."
        )
    return found


def _one_layer(network: Network, config: ModelConfig) -> tuple[int, Network]:
    """Return the one layer that a probe of all looks at, and the probe of its columns alone."""
    layer = max(0, int(config.settings["layer"]))
    width = config.n_features // int(config.settings["n_layers"])
    columns = slice(layer * width, (layer + 1) * width)
    with torch.random.fork_rng(devices=[]):
        head = create_model(ModelConfig(config.name, width, config.n_labels))
    values = dict(network.state_dict())
    values |= {name: values[name][columns] for name in ("mean", "deviation")}
    head.load_state_dict(values)
    return layer, head.eval()


def _licence(*names: str) -> tuple[str, ...]:
    name = names[0].rstrip("/").rsplit("/", 1)[-1]
    return (f"encoder {name}: {tell_licence(*names)}",)
