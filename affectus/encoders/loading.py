"""An encoder's files to its network: the one place where transformers is loaded."""

from __future__ import annotations

from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from affectus.encoders.wav2vec import WaveformEncoder
from affectus.encoders.weights import SAMPLE_RATE, EncoderFiles
from affectus.encoders.whisper import SpectrogramEncoder
from affectus.errors import ConfigError

Encoder = WaveformEncoder | SpectrogramEncoder

_CLASSES = {
    "wav2vec2": "Wav2Vec2Model",
    "hubert": "HubertModel",
    "wavlm": "WavLMModel",
    "data2vec-audio": "Data2VecAudioModel",
}
_OF_PRETRAINING = ("masked_spec_embed",)  # weights that nothing here reads


def load_encoder(files: EncoderFiles) -> Encoder:
    """Return an encoder with its weights, in float32 and evaluation mode.

    Raises ConfigError if a weight is missing or of another size: an encoder that was filled up by
    chance would give numbers, too.
    """
    model_class, options = _class_of(files.config)
    _quieten()
    try:
        model, info = model_class.from_pretrained(
            files.folder,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            dtype=torch.float32,
            **options,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"{files.folder}: {reason}; expected weights that fit config.json. Fetch them again."
        ) from None
    missing = [key for key in info["missing_keys"] if not key.endswith(_OF_PRETRAINING)]
    unfit = [str(key[0]) for key in info["mismatched_keys"]]
    if missing or unfit:
        raise ConfigError(
            f"{files.folder}: {len(missing) + len(unfit)} weights are missing or of another size "
            f"(the first: {sorted(missing + unfit)[0]}); expected all of a "
            f"{files.architecture} encoder. Fetch them again."
        )
    return _wrapped(model, files.config, files.preprocessor).eval()


def create_encoder(config: dict[str, Any], preprocessor: dict[str, Any]) -> Encoder:
    """Return an encoder of these settings without its weights, to be filled from a model's file."""
    model_class, _ = _class_of(config)
    model = model_class(model_class.config_class.from_dict(config))
    return _wrapped(model, config, preprocessor).eval()


def _class_of(config: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    import transformers

    if config["model_type"] == "whisper":
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        return WhisperEncoder, {"key_mapping": {r"^(model\.)?encoder\.": ""}}
    return getattr(transformers, _CLASSES[config["model_type"]]), {}


def _wrapped(model: nn.Module, config: dict[str, Any], preprocessor: dict[str, Any]) -> Encoder:
    if config["model_type"] != "whisper":
        # transformers' own default, for files that leave it out.
        return WaveformEncoder(model, normalise=bool(preprocessor.get("do_normalize", True)))
    from transformers.audio_utils import mel_filter_bank

    n_fft = int(preprocessor.get("n_fft", 400))
    filters = mel_filter_bank(
        num_frequency_bins=1 + n_fft // 2,
        num_mel_filters=int(preprocessor.get("feature_size", 80)),
        min_frequency=0.0,
        max_frequency=8000.0,
        sampling_rate=SAMPLE_RATE,
        norm="slaney",
        mel_scale="slaney",
    )
    hop_length = int(preprocessor.get("hop_length", 160))
    return SpectrogramEncoder(model, filters=filters, n_fft=n_fft, hop_length=hop_length)


def _quieten() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
