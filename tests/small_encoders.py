"""Speech encoders of every architecture in a size that a test can afford, with chance weights.

Each is saved as its publisher's files are: config.json, preprocessor_config.json and safetensors.
"""

import pytest

transformers = pytest.importorskip("transformers", reason="needs the extra 'speech'")

import torch  # noqa: E402

_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": [16, 16, 16],
    "conv_kernel": [10, 8, 4],
    "conv_stride": [10, 8, 4],
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "num_feat_extract_layers": 3,
    "vocab_size": 32,
}
_STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}

# name: model class, config class, settings, whether its sound is normalised
SMALL = {
    "wav2vec2": ("Wav2Vec2", _SIZES, True),  # as wav2vec2-base: normalised over time
    "xls-r": ("Wav2Vec2", _SIZES | _STABLE, True),
    "hubert": ("Hubert", _SIZES, True),  # as hubert-base
    "hubert-large": ("Hubert", _SIZES | _STABLE, True),
    "hubert-batch-norm": ("Hubert", _SIZES | {"conv_pos_batch_norm": True}, False),
    "wavlm": ("WavLM", _SIZES, False),  # as wavlm-base-plus
    "wavlm-large": ("WavLM", _SIZES | _STABLE, True),
    "data2vec": (
        "Data2VecAudio",
        _SIZES | {"conv_pos_kernel_size": 5, "num_conv_pos_embeddings": 3},
        True,
    ),
}
WHISPER = {
    "d_model": 32,
    "encoder_layers": 3,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_layers": 1,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 48,
    "num_mel_bins": 80,
    "max_source_positions": 150,  # 3 s
    "vocab_size": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
NAMES = (*SMALL, "whisper")


def model_of(name, seed=0):
    """transformers' own model, in evaluation mode."""
    torch.manual_seed(seed)
    if name == "whisper":
        model = transformers.WhisperModel(transformers.WhisperConfig(**WHISPER))
    else:
        kind, settings, _ = SMALL[name]
        config = getattr(transformers, f"{kind}Config")(**settings)
        model = getattr(transformers, f"{kind}Model")(config)
    with torch.no_grad():  # so that norms and layers differ, as after a training
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        for layer in model.modules():
            if isinstance(layer, torch.nn.BatchNorm1d):
                layer.running_mean += torch.randn_like(layer.running_mean)
    return model.eval()


def processor_of(name):
    """transformers' own feature extractor."""
    if name == "whisper":
        return transformers.WhisperFeatureExtractor(feature_size=80, chunk_length=3)
    return transformers.Wav2Vec2FeatureExtractor(do_normalize=SMALL[name][2])


def write_encoder(folder, name="wav2vec2", seed=0):
    """Write an encoder's files; return the folder as text."""
    model_of(name, seed).save_pretrained(folder)
    processor_of(name).save_pretrained(folder)
    return str(folder)
