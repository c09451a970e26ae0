"""The model folder: everything a prediction needs, and nothing that can run code.

    model.onnx             features [B, T, D] and lengths [B] of each stream to logits [B, K]
    weights.safetensors    the same network, to train on from
    model.json             labels in order, the extractor and its parameters, scores, hashes
    MODEL_CARD.md          what it is for, what it is not for

A fused model has model.json, MODEL_CARD.md and the folders 1, 2, … of its networks.

Every file is checked against its SHA-256 before it is used: neither format has a checksum of its
own.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from affectus.errors import ModelError, nearest

if TYPE_CHECKING:  # the service looks for its models before it starts the children that load them
    import numpy as np
    from numpy.typing import NDArray

SCHEMA = 1
PRETRAINED = Path(__file__).parent / "pretrained"  # the models that ship

_MAX_JSON = 1_000_000  # bytes
_Stream = Literal["voice", "face"]
_Member = Annotated[str, Meta(pattern="^[1-9]$")]
_Label = Annotated[str, Meta(min_length=1, max_length=100)]


class MemberWeights(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How much the scores of some networks of a fused model count, where just these answer.

    `members` are places in `ModelFacts.members`, `values` the powers of their scores.
    """

    members: tuple[int, ...]
    values: tuple[Annotated[float, Meta(ge=0, le=1e6)], ...]


class ModelFacts(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The content of model.json.

    `labels` are in the order of the network's outputs. `temperature` divides the logits.
    `extractor` is a record of `describe_extractor`. `evaluation` holds the protocol, its scores
    and cautions, or is empty where the model was never judged on a test side. `sha256` has one hash
    a file. `abstain_below` is the best score below which the model rather says nothing; 0: never.
    `face` is the record of what computes the face's features, empty where none is looked at;
    `streams` are those that have an answer, of which a recording needs one. A fused model has
    `members`, the folders in it with a network each, and `weights` for every set of them that may
    answer.
    """

    schema: int
    name: str
    labels: Annotated[tuple[_Label, ...], Meta(min_length=2, max_length=1000)]
    scheme: str
    extractor: dict[str, Any]
    temperature: Annotated[float, Meta(gt=0, le=1000)]
    evaluation: dict[str, Any]
    corpora: list[str]
    licences: list[str]
    provenance: dict[str, Any]
    sha256: dict[str, str]
    abstain_below: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    face: dict[str, Any] = {}
    streams: Annotated[tuple[_Stream, ...], Meta(min_length=1, max_length=2)] = ("voice",)
    members: Annotated[tuple[_Member, ...], Meta(max_length=6)] = ()
    weights: tuple[MemberWeights, ...] = ()

    @property
    def network_id(self) -> str:
        """The start of its network's SHA-256; of a fused model, that of all its networks'."""
        if not self.members:
            return self.sha256["model.onnx"][:16]
        every = "".join(self.sha256[f"{name}/model.json"] for name in self.members)
        return hashlib.sha256(every.encode()).hexdigest()[:16]


def list_pretrained() -> list[str]:
    """Return the names of the models that ship with this package."""
    return sorted(path.parent.name for path in PRETRAINED.glob("*/model.json"))


def find_model(name_or_folder: Path | str) -> Path:
    """Return the folder of a model: one that ships, by its name, or the folder itself.

    Raises ModelError if a plain name is neither.
    """
    text = str(name_or_folder)
    shipped = list_pretrained()
    if text in shipped and not isinstance(name_or_folder, Path):
        return PRETRAINED / text
    path = Path(name_or_folder)
    if path.exists() or len(path.parts) > 1:
        return path
    known = f"known models: {', '.join(shipped)}" if shipped else "none ships with this version"
    raise ModelError(
        f"no model '{text}': no such folder, and {known}; expected one of those or a model folder."
        f"{nearest(text, shipped)} Make one with: affectus export RUN -o MODEL"
    )


def read_model(folder: Path | str) -> tuple[ModelFacts, bytes]:
    """Return model.json and the bytes of model.onnx, both checked; a fused model has none.

    The networks of a fused model are folders in its own, to be read likewise.

    Raises ModelError naming the file and what is wrong with it.
    """
    folder = Path(folder)
    facts = _read_facts(folder)
    network = b""
    for name in facts.members:
        _read_checked(folder / name / "model.json", facts.sha256.get(f"{name}/model.json", ""))
    own = () if facts.members else ("model.onnx", "weights.safetensors")
    for name in (*own, "MODEL_CARD.md"):
        data = _read_checked(folder / name, facts.sha256.get(name, ""))
        if name == "model.onnx":
            network = data
    return facts, network


def is_fused(folder: Path | str) -> bool:
    """Tell whether a folder is that of a fused model. Raises ModelError if it is no model's."""
    return bool(_read_facts(Path(folder)).members)


def find_weights(facts: ModelFacts, members: tuple[int, ...]) -> tuple[float, ...]:
    """Return how much those members of a fused model count where just they answer.

    Raises ModelError if nobody fitted that.
    """
    for found in facts.weights:
        if found.members == members and len(found.values) == len(members):
            return found.values
    raise ModelError(
        f"{facts.name}: no weights for {', '.join(facts.members[i] for i in members)} alone; "
        f"expected some. Fuse the runs and export again."
    )


def read_statistics(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean and the deviation [D] of the training clips' features, from the weights."""
    from safetensors import SafetensorError, safe_open

    path = folder / "weights.safetensors"
    try:
        with safe_open(path, framework="numpy") as file:
            return file.get_tensor("mean"), file.get_tensor("deviation")
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path}: {error}; expected mean and deviation in it. Copy the folder again."
        ) from None


def hash_folder(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Return the SHA-256 of each named file."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def write_facts(folder: Path, facts: ModelFacts, names: tuple[str, ...]) -> None:
    """Write model.json, which from now on vouches for the named files by their hashes."""
    facts = msgspec.structs.replace(facts, sha256=hash_folder(folder, names))
    text = msgspec.json.format(msgspec.json.encode(facts), indent=1)
    (folder / "model.json").write_bytes(text + b"\n")


def _read_facts(folder: Path) -> ModelFacts:
    path = folder / "model.json"
    if not path.is_file():
        found = "no such folder" if not folder.exists() else "no model.json in it"
        if (folder / "experiment.toml").is_file():
            found = "a run"
        raise ModelError(
            f"{folder}: {found}; expected a model folder. Make one with: affectus export "
            f"{folder if found == 'a run' else 'RUN'} -o MODEL"
        )
    size = path.stat().st_size
    if size > _MAX_JSON:
        raise ModelError(f"{path}: {size:,} bytes; expected at most {_MAX_JSON:,}.")
    text = path.read_bytes()
    try:
        schema = msgspec.json.decode(text, type=_Schema).schema
        if schema != SCHEMA:
            raise ModelError(
                f"{path}: schema {schema}; expected {SCHEMA}. Use the version of Affectus that "
                f"made it, or export again."
            )
        facts = msgspec.json.decode(text, type=ModelFacts)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: {error}; expected what 'affectus export' writes.") from None
    labels = facts.labels
    if len(set(labels)) < len(labels) or not all(label.isprintable() for label in labels):
        raise ModelError(
            f"{path}: labels {', '.join(labels)}; expected each once, and printable. Export it "
            f"again."
        )
    return facts


class _Schema(msgspec.Struct):
    schema: int


def _read_checked(path: Path, sha256: str) -> bytes:
    if path.exists() and not path.is_file():  # a pipe or a device has no end
        kind = "a folder" if path.is_dir() else "not a regular file"
        raise ModelError(f"{path}: {kind}; expected a file. Copy the folder again.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}; expected it. Copy the folder again.") from None
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ModelError(
            f"{path}: SHA-256 {found[:12]}…; expected {sha256[:12] or 'one in model.json'}…: the "
            f"file has changed since it was exported. Copy the folder again."
        )
    return data
