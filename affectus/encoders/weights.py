"""An encoder's files: found by a hub name or in a folder, checked, and known by their hashes.

Nothing is fetched and nothing is run: weights are safetensors, and settings are JSON. What the
files say of sizes is enough to plan with, without torch.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from affectus.errors import ConfigError

SAMPLE_RATE = 16_000  # Hz, of every encoder here
ARCHITECTURES = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "whisper")  # their `model_type`

_WEIGHTS = "model*.safetensors"
_SETTINGS = ("config.json", "preprocessor_config.json")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_MOST_SETTINGS = 10_000_000  # bytes; whisper's mel filters may lie in its settings


@dataclass(frozen=True)
class EncoderFiles:
    """Where an encoder lies, and what its settings say.

    `sha256` is the hash of the weights, as the hub shows it where they are one file,
    `settings_hash` of all that decides what is done with them; `config` and `preprocessor` are
    their JSON.
    """

    name: str
    is_folder: bool
    folder: Path
    sha256: str
    settings_hash: str
    config: dict[str, Any]
    preprocessor: dict[str, Any]

    @property
    def architecture(self) -> str:
        """One of `ARCHITECTURES`."""
        return str(self.config["model_type"])

    @property
    def names(self) -> tuple[str, ...]:
        """What the encoder goes by: its folder or hub name, and what its settings call it."""
        return self.name, str(self.config.get("_name_or_path") or "")

    @property
    def n_layers(self) -> int:
        """Hidden layers: 0 is what enters the first one, so there are `n_layers` + 1 outputs."""
        key = "encoder_layers" if self.architecture == "whisper" else "num_hidden_layers"
        return int(self.config[key])

    @property
    def n_features(self) -> int:
        """Numbers in a frame."""
        return int(self.config["d_model" if self.architecture == "whisper" else "hidden_size"])

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        if self.architecture == "whisper":
            return 2 * int(self.preprocessor.get("hop_length", 160))
        return math.prod(self.config["conv_stride"])

    @property
    def longest(self) -> float:
        """Seconds that can be heard at once; infinity where only memory limits them."""
        if self.architecture == "whisper":
            return float(int(self.config["max_source_positions"]) * self.hop / SAMPLE_RATE)
        return math.inf


def find_encoder(name: str) -> EncoderFiles:
    """Return the files of an encoder: a folder, or a hub name ('microsoft/wavlm-large') whose files
    are in this machine's cache. Nothing is downloaded.

    Raises ConfigError if it is not there, has no safetensors, or is no encoder known here.
    """
    folder = _folder_of(name)
    stamps = tuple(
        (path.name, path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.glob("*.json")) + sorted(folder.glob(_WEIGHTS))
    )
    return _read(str(folder) if Path(name).is_dir() else name, folder, stamps)


@cache
def _read(name: str, folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> EncoderFiles:
    config, preprocessor = (_read_settings(folder, file) for file in _SETTINGS)
    architecture = config.get("model_type")
    if architecture not in ARCHITECTURES:
        raise ConfigError(
            f"{folder}: model_type '{architecture}'; expected {', '.join(ARCHITECTURES)}. Others "
            f"can be used as ONNX: --features onnx."
        )
    if config.get("add_adapter"):
        raise ConfigError(f"{folder}: add_adapter is set; expected a plain encoder.")
    rate = preprocessor.get("sampling_rate", SAMPLE_RATE)
    if rate != SAMPLE_RATE:
        raise ConfigError(f"{folder}: made for {rate} Hz; expected {SAMPLE_RATE} Hz.")
    files = sorted(folder.glob(_WEIGHTS))
    if not files:
        raise ConfigError(
            f"{folder}: no safetensors in it; expected model.safetensors. Other formats can run "
            f"code; docs/speech-encoders.md says how they are converted."
        )
    hashes = [_hash(path) for path in files]
    together = "".join(f"{p.name}:{h}\n" for p, h in zip(files, hashes, strict=True))
    settings = json.dumps([_lasting(config), _lasting(preprocessor)], sort_keys=True)
    found = EncoderFiles(
        name,
        Path(name).is_dir(),
        folder,
        hashes[0] if len(files) == 1 else hashlib.sha256(together.encode()).hexdigest(),
        hashlib.sha256(settings.encode()).hexdigest(),
        config,
        preprocessor,
    )
    try:
        _ = found.n_layers, found.n_features, found.hop, found.longest
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{folder}/config.json: {error}; expected the encoder's sizes.") from None
    return found


def _folder_of(name: str) -> Path:
    folder = Path(name)
    if folder.is_dir():
        return folder.resolve()
    if not _HUB_NAME.fullmatch(name):
        raise ConfigError(
            f"encoder '{name}': no such folder; expected one with model.safetensors, or a hub name "
            f"like microsoft/wavlm-large."
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError:
        raise ConfigError(
            f"encoder '{name}': not in this machine's cache; expected its files there, for nothing "
            f"is downloaded here. Fetch them: hf download {name}"
        ) from None


def _read_settings(folder: Path, file: str) -> dict[str, Any]:
    path = folder / file
    try:
        if path.stat().st_size > _MOST_SETTINGS:
            raise ConfigError(f"{path}: {path.stat().st_size:,} bytes; expected settings.")
        found = json.loads(path.read_bytes())
    except OSError:
        what = "whether sound is normalised" if file == _SETTINGS[1] else "what the network is"
        raise ConfigError(
            f"{folder}: no {file} in it; expected it, which says {what}. Copy it, too."
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}; expected JSON.") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: not a table; expected settings. Copy it again.")
    return found


def _lasting(settings: dict[str, Any]) -> dict[str, Any]:
    """Leave out what changes when the same encoder is saved again."""
    passing = ("transformers_version", "_name_or_path", "dtype", "torch_dtype", "architectures")
    return {key: value for key, value in settings.items() if key not in passing}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
