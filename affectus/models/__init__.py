"""The networks. Each takes `Inputs` and gives logits [B, K]; padding never changes them.

To add one: a file with an `nn.Module` whose constructor is `(n_features, n_labels, *, settings)`,
and a line in `_MODELS`. Those of `linear` are fitted by scikit-learn, all others by gradients.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from affectus.errors import ConfigError, ModelError, nearest
from affectus.files import replacing
from affectus.models import linear
from affectus.models.av_attention import AVAttention
from affectus.models.branched_lstm import BranchedLSTM
from affectus.models.cnn import CNN
from affectus.models.cnn_pooling_lstm import CNNPoolingLSTM
from affectus.models.cnn_transformer import CNNTransformer
from affectus.models.crnn import CRNN
from affectus.models.face_cnn_lstm import FaceCNNLSTM
from affectus.models.inputs import Inputs
from affectus.models.parallel_cnn_lstm import ParallelCNNLSTM
from affectus.models.speech_encoder import SpeechEncoder
from affectus.models.stacked_cnn_lstm import StackedCNNLSTM
from affectus.models.superb import Superb
from affectus.models.tcn import TCN

__all__ = [
    "Inputs",
    "ModelConfig",
    "Network",
    "complete_config",
    "count_parameters",
    "create_model",
    "fit_model",
    "is_fitted",
    "list_models",
    "load",
    "save",
    "takes_face",
    "takes_voice",
]

Stream = Literal["voice", "face"]

_MODELS: dict[str, type[nn.Module]] = {
    "cnn": CNN,
    "crnn": CRNN,
    "parallel_cnn_lstm": ParallelCNNLSTM,
    "stacked_cnn_lstm": StackedCNNLSTM,
    "cnn_transformer": CNNTransformer,
    "cnn_pooling_lstm": CNNPoolingLSTM,
    "branched_lstm": BranchedLSTM,
    "av_attention": AVAttention,
    "face_cnn_lstm": FaceCNNLSTM,
    "tcn": TCN,
    "superb": Superb,
    "speech_encoder": SpeechEncoder,
    **linear.FITTED,
}


@dataclass(frozen=True)
class ModelConfig:
    """Everything needed to build a network again: its name, sizes and settings.

    `n_features` is D, `n_labels` is K; `settings` are the keyword arguments of the network.
    """

    name: str
    n_features: int
    n_labels: int
    settings: Mapping[str, Any] = field(default_factory=dict)


class Network(nn.Module):
    """Normalisation by the training clips' statistics, then a network of `_MODELS`.

    The statistics are part of the weights, so a model cannot be used without them or with others.
    Those of the face are there where the network takes one.
    """

    mean: Tensor
    deviation: Tensor
    face_mean: Tensor
    face_deviation: Tensor

    def __init__(self, body: nn.Module, n_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("deviation", torch.ones(n_features))
        self.n_face = int(getattr(body, "n_face", 0))
        if self.n_face:
            self.register_buffer("face_mean", torch.zeros(self.n_face))
            self.register_buffer("face_deviation", torch.ones(self.n_face))
        self.body = body

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits [B, K] of features as the extractor gives them."""
        logits: Tensor = self.body(self._normalise(inputs))
        return logits

    def _normalise(self, inputs: Inputs) -> Inputs:
        voice, face = (inputs.voice - self.mean) / self.deviation, None
        if self.n_face and inputs.face is not None:
            face = (inputs.face - self.face_mean) / self.face_deviation
        return Inputs(voice, inputs.voice_lengths, face, inputs.face_lengths)

    def encode(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Return the body's frames [B, T', H] and their lengths; see `has_frames`."""
        return self.body.encode(self._normalise(inputs))  # type: ignore[operator, no-any-return]

    def classify(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Return logits [B, K] of what `encode` gives."""
        return self.body.classify(frames, lengths)  # type: ignore[operator, no-any-return]

    @property
    def streams(self) -> tuple[Stream, ...]:
        """What it answers from: a clip needs one of these streams, and the more the better."""
        return tuple(getattr(self.body, "streams", ("voice",)))

    @property
    def takes_raw(self) -> bool:
        """Whether features go in as they are, for the body scales them by itself."""
        return bool(getattr(self.body, "takes_raw", False))

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return what is learnt, in groups, each with its share of the learning rate."""
        if hasattr(self.body, "parameter_groups"):
            return list(self.body.parameter_groups())  # type: ignore[operator]
        return [([p for p in self.parameters() if p.requires_grad], 1.0)]

    @property
    def has_frames(self) -> bool:
        """Whether the network makes one sequence of frames on the way to its logits."""
        return hasattr(self.body, "encode")


def list_models() -> tuple[str, ...]:
    """Return the names that `create_model` knows."""
    return tuple(_MODELS)


def create_model(config: ModelConfig) -> Network:
    """Build a network with fresh weights; torch's global seed decides them.

    Raises ConfigError for an unknown name or setting.
    """
    if config.name not in _MODELS:
        raise ConfigError(
            f"no model '{config.name}'; known models: {', '.join(_MODELS)}."
            f"{nearest(config.name, _MODELS)}"
        )
    kind = _MODELS[config.name]
    known = [
        name
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    for setting in config.settings:
        if setting not in known:
            raise ConfigError(
                f"model '{config.name}' has no setting '{setting}'; known: {', '.join(known)}."
                f"{nearest(setting, known)}"
            )
    try:
        body = kind(config.n_features, config.n_labels, **config.settings)
        return Network(body, config.n_features)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ConfigError(
            f"model '{config.name}' with {dict(config.settings)}: {error}; expected settings that "
            f"fit {config.n_features} features. Change them."
        ) from None


def complete_config(config: ModelConfig, network: Network) -> ModelConfig:
    """Return a config with what the network found out when it was made, so that it can be again."""
    filled = getattr(network.body, "filled", {})
    return replace(config, settings={**config.settings, **filled})


def takes_face(name: str) -> bool:
    """Tell whether a model, by its name, may look at a face."""
    return "n_face" in inspect.signature(_MODELS[name]).parameters if name in _MODELS else False


def takes_voice(name: str) -> bool:
    """Tell whether a model, by its name, listens to a voice."""
    return "voice" in getattr(_MODELS.get(name), "streams", ("voice",))


def is_fitted(name: str) -> bool:
    """Tell whether a model's weights are found by `fit_model` in one go, not by gradient steps."""
    return name in linear.FITTED


def fit_model(
    config: ModelConfig,
    features: NDArray[np.float64],
    labels: NDArray[np.intp],
    weights: NDArray[np.float64],
    groups: NDArray[Any],
) -> tuple[Network, ModelConfig]:
    """Return a fitted network and its config, which says the settings that were found.

    `features` [N, D] are the means of the clips' frames, `groups` [N] their speakers; see
    `affectus.models.linear.fit`, whose errors are raised.
    """
    from threadpoolctl import threadpool_limits

    create_model(config)  # or refuse its settings here
    # One thread of BLAS: on a busy machine two wait for each other ten times as long as one works.
    with threadpool_limits(1, user_api="blas"):
        found = linear.fit(
            config.name, features, labels, weights, groups,
            n_labels=config.n_labels, settings=config.settings,
        )  # fmt: skip
    network = Network(found.body, config.n_features)
    network.mean.copy_(found.mean)
    network.deviation.copy_(found.deviation)
    return network.eval(), replace(config, settings=found.settings)


def count_parameters(model: nn.Module) -> int:
    """Return how many numbers are learnt."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def save(model: nn.Module, config: ModelConfig, path: Path) -> None:
    """Write weights and config to one safetensors file, complete or not at all."""
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    with replacing(path) as temporary:
        safetensors.torch.save_file(weights, temporary, {"model": json.dumps(asdict(config))})


def load(path: Path) -> tuple[Network, ModelConfig]:
    """Build the network of a file written by `save`, with its weights, in evaluation mode.

    Raises ModelError if a weight is missing, left over or of another shape.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        config = ModelConfig(**json.loads(metadata["model"]))
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"{path}: {error}; expected weights written by this package.") from None
    with torch.random.fork_rng(devices=[]):
        model = create_model(config)
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise ModelError(f"{path}: {' '.join(str(error).split())}; expected its own.") from None
    return model.eval(), config
