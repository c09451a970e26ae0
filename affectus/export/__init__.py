"""Export: a trained fold to a model folder that runs without torch, checked to be its equal."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from affectus import models
from affectus.corpora import list_corpora
from affectus.errors import ModelError
from affectus.evaluation import Predictions, read_evaluation
from affectus.export.encoded import Whole, join
from affectus.export.int8 import quantise
from affectus.features import create_extractor, describe_extractor
from affectus.manifest import Manifest
from affectus.metrics import find_temperature
from affectus.model_folder import SCHEMA, ModelFacts, write_facts
from affectus.models import Inputs, Network
from affectus.runs import Run, check_weights, read_provenance

TOLERANCE = 1e-4  # largest difference of a logit between torch and ONNX
SOUND_TOLERANCE = 1e-3  # the same through the many layers of a speech encoder
_LENGTHS = (1, 2, 3, 4, 5, 7, 8, 11, 16, 17, 31, 40, 64, 97, 128, 200, 255, 333, 500, 1000)
_SAMPLES = (
    1, 399, 400, 401, 720, 1000, 1601, 3333, 4999, 6000, 8000, 9999, 12345, 16000, 16001, 20000,
    24000, 32000, 40007, 48000,
)  # fmt: skip
_OPSET = 17


class _ByPosition(nn.Module):
    """The network with its inputs by position, as ONNX wants them, and its frames if it has any."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, *streams: Tensor) -> tuple[Tensor, ...]:
        inputs = Inputs(*streams)
        if not self.network.has_frames:
            return (self.network(inputs),)
        frames, lengths = self.network.encode(inputs)
        return self.network.classify(frames, lengths), frames, lengths


def export_run(run: Run, folder: Path | str, *, fold: int = 1, int8: bool = False) -> float:
    """Write the model folder of one fold; return the largest difference to torch that was found.

    Where features are those of a speech encoder, it becomes part of the network: the folder takes
    sound and needs the encoder's files no more. `int8` keeps its convolutions, or its matrices, in
    eight bits (`quantise`), if that changes no score of synthetic voices by more than 0.05.

    The scores of the run's test side go with it where it was evaluated. Nothing is left behind if
    a check fails.

    Raises ModelError if the folder exists, or the exported network is not the trained one's equal.
    """
    folder = Path(folder)
    if folder.exists():
        raise ModelError(f"{folder}: there already; expected a new folder. Choose another name.")
    if not 1 <= fold <= len(run.splits):
        raise ModelError(f"fold {fold}: expected 1 to {len(run.splits)}.")
    provenance = read_provenance(run)[fold - 1]
    made = [provenance["features"], provenance.get("face", {})]
    if imported := [record["name"] for record in made if record.get("kind") == "imported"]:
        raise ModelError(
            f"{run.folder}: trained on the imported features '{imported[0]}', "
            f"which nothing here computes from a recording; expected features of 'affectus "
            f"extract'. A model of this run could not predict; evaluate it instead."
        )
    weights = check_weights(run, run.splits[fold - 1])
    network, config = models.load(weights)
    whole = join(network, config, run.experiment)
    n_features = 1 if whole.is_sound else config.n_features
    data = export_network(whole.network, n_features)
    difference = compare(whole.network, data, n_features)
    tolerance = SOUND_TOLERANCE if whole.is_sound else TOLERANCE
    if not difference <= tolerance:
        raise ModelError(
            f"{weights}: the exported network differs by {difference:.2g}; expected at most "
            f"{tolerance:g}. Change the model, or report this."
        )
    temperature = _temperature(run.fold_dir(run.splits[fold - 1]))
    if int8:
        data, change = quantise(data, whole.extractor, temperature)
        provenance["int8"] = {"largest_change": change}
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    (temporary / "model.onnx").write_bytes(data)
    shutil.copyfile(weights, temporary / "weights.safetensors")
    facts = _facts(run, provenance, temperature, whole)
    (temporary / "MODEL_CARD.md").write_text(write_card(facts), encoding="utf-8")
    write_facts(temporary, facts, ("model.onnx", "weights.safetensors", "MODEL_CARD.md"))
    temporary.replace(folder)
    return difference


def export_network(network: Network, n_features: int) -> bytes:
    """Return a network as ONNX, batch and time of any size.

    Its inputs are those of `Inputs` that it looks at; a stream of length 0 is missing.

    Its outputs are `logits` and, where the network has them, `frames` and `frame_lengths`.

    The exporter of torch.export freezes the time of recurrent layers without a word, so the older
    tracing one is used; `compare` checks what came out.
    """
    example: tuple[Tensor, ...] = (torch.zeros(2, 50, n_features), torch.tensor([50, 40]))
    names = ["voice", "voice_lengths"]
    if network.n_face:
        example = (*example, torch.zeros(2, 9, network.n_face), torch.tensor([9, 5]))
        names += ["face", "face_lengths"]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated; see above
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            _ByPosition(network).eval(),
            example,
            path,
            dynamo=False,
            opset_version=_OPSET,
            input_names=names,
            output_names=["logits", *(["frames", "frame_lengths"] if network.has_frames else [])],
            dynamic_axes={
                "voice": {0: "batch", 1: "time"},
                "voice_lengths": {0: "batch"},
                "face": {0: "batch", 1: "face_time"},
                "face_lengths": {0: "batch"},
                "logits": {0: "batch"},
                "frames": {0: "batch", 1: "steps"},
                "frame_lengths": {0: "batch"},
            },
        )
        return path.read_bytes()


@torch.no_grad()
def compare(network: Network, data: bytes, n_features: int, seed: int = 0) -> float:
    """Return the largest difference of a logit or frame between torch and ONNX.

    Twenty lengths from 1 to 1,000 frames, alone and in batches of unequal lengths; of sound, from 1
    to 48,000 samples. With a face, a quarter as many of its frames; and of the streams, either or
    both.
    """
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(seed)
    wanted = [stream.name for stream in session.get_inputs()]
    worst, loudness = 0.0, 0.1 if n_features == 1 else 1.0
    mean, deviation = network.mean.numpy(), network.deviation.numpy()
    for number, length in enumerate(_SAMPLES if n_features == 1 else _LENGTHS):
        lengths = np.array([length, *rng.integers(1, length + 1, number % 3)])
        noise = mean + deviation * rng.standard_normal((len(lengths), length, n_features))
        streams = {"voice": (loudness * noise).astype(np.float32), "voice_lengths": lengths}
        if network.n_face:
            streams |= _draw_faces(network, lengths, number, rng)
        inputs = Inputs(**{name: torch.from_numpy(value) for name, value in streams.items()})
        network.eval()
        ours = [network(inputs), *(network.encode(inputs) if network.has_frames else ())]
        theirs = session.run(None, {name: streams[name] for name in wanted})
        for mine, other in zip(ours, theirs, strict=True):
            if mine.dim() == 3:  # frames: how much padding follows a clip is nobody's concern
                steps = int(ours[2].max())
                mine, other = mine[:, :steps], other[:, :steps]
            if other.shape != mine.shape:
                return float("inf")
            worst = max(worst, float(np.abs(mine.numpy() - other).max()))
    return worst


def _draw_faces(
    network: Network, voice_lengths: NDArray[np.int64], number: int, rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    """Return faces for clips; of every three trials one has clips without, one without a voice."""
    lengths = -(-voice_lengths // 4)
    if "voice" in network.streams and number % 3 == 1:
        lengths[rng.integers(len(lengths))] = 0
    elif "voice" in network.streams and number % 3 == 2:
        one = rng.integers(len(lengths))
        lengths[one], voice_lengths[one] = max(1, lengths[one]), 0
    mean, deviation = network.face_mean.numpy(), network.face_deviation.numpy()
    faces = rng.standard_normal((len(lengths), max(1, lengths.max()), network.n_face))
    return {"face": (mean + deviation * faces).astype(np.float32), "face_lengths": lengths}


def _temperature(fold_dir: Path) -> float:
    """Return what makes the fold's scores fit its dev speakers, as `evaluate --on test` does."""
    dev = Predictions.read(fold_dir / "predictions_dev.csv")
    return round(find_temperature(dev.truth, dev.scores), 4)


def _facts(run: Run, provenance: Mapping[str, Any], temperature: float, whole: Whole) -> ModelFacts:
    manifest = Manifest.read(run.experiment.manifest)
    known = {corpus.name: corpus for corpus in list_corpora()}
    return ModelFacts(
        schema=SCHEMA,
        name=run.experiment.name,
        labels=run.experiment.scheme.labels,
        scheme=run.experiment.scheme.describe(),
        extractor=describe_extractor(whole.extractor),
        face=_face_record(run),
        streams=whole.network.streams,
        temperature=temperature,
        evaluation=read_judged_scores(run.folder),
        corpora=list(manifest.corpora),
        licences=[
            f"{name}: {known[name].licence if name in known else 'as its owner says'}"
            for name in manifest.corpora
        ]
        + list(whole.licences),
        provenance={**provenance, **_dropout(run)},
        sha256={},
    )


def read_judged_scores(folder: Path) -> dict[str, Any]:
    """Return the scores on the test side that a model's facts tell; none if it was not judged."""
    path = folder / "evaluation_test.json"
    if not path.is_file():
        return {}
    evaluation = read_evaluation(path)
    kept = ("protocol", "n_answered", "n_speakers", "uar", "war", "macro_f1", "cautions")
    every = msgspec.to_builtins(evaluation)
    return {key: every[key] for key in kept} | {"ece": evaluation.calibration.ece.value}


def _dropout(run: Run) -> dict[str, float]:
    """Return what share of the clips with both streams was shown without one."""
    return (
        {"modality_dropout": run.experiment.augmentation.modality_dropout}
        if run.experiment.face
        else {}
    )


def _face_record(run: Run) -> dict[str, Any]:
    face = run.experiment.face
    return dict(describe_extractor(create_extractor(**face))) if face else {}


def write_card(facts: ModelFacts) -> str:
    """Return MODEL_CARD.md for a model: what it is, how good, what it must not be used for."""
    judged = facts.evaluation
    if judged:
        protocol = judged["protocol"]
        uar, low, high = judged["uar"]
        scores = (
            f"UAR {uar:.3f}, 95 % interval by speaker {_or_dash(low)} to {_or_dash(high)}, chance "
            f"{1 / len(facts.labels):.3f}; {judged['n_answered']:,} clips of "
            f"{judged['n_speakers']} speakers; protocol {protocol['name']} version "
            f"{protocol['version']}: {protocol['text']}. The weights here are those of one fold; "
            f"the score is that of all folds together."
        )
        cautions = "".join(f"- {text}\n" for text in judged["cautions"])
    else:
        scores, cautions = "Not judged on a test side.", ""
    return _CARD.format(
        name=facts.name,
        what=_WHAT[facts.streams],
        labels=", ".join(facts.labels),
        scheme=facts.scheme,
        scores=scores,
        cautions=cautions,
        licences="\n".join(f"- {line}" for line in facts.licences),
        extractor=_in_words(facts.extractor),
        bits=_tell_int8(facts),
        face=f"A film's face: {_in_words(facts.face)}.\n\n" if facts.face else "",
    )


def _tell_int8(facts: ModelFacts) -> str:
    found = facts.provenance.get("int8")
    if not found:
        return ""
    return (
        f" Weights are in eight bits, which changed no score of sixteen synthetic voices by more "
        f"than {found['largest_change']:.2g}."
    )


_WHAT = {
    ("voice",): "a voice recording",
    ("face",): "the face in a film",
    ("voice", "face"): "a voice recording, a film, or both",
}


def _in_words(record: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in record.items())


def _or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


_CARD = """# {name}

Recognises emotion expressed in {what}: {labels}.

## Scores

{scores}

{cautions}
## Labels

{scheme}.

## Input

Mono sound at the extractor's rate; features: {extractor}.{bits}

{face}## Data and licences

{licences}

Weights trained on non-commercial data are for non-commercial use.

## What it is not for

The output is a statistical guess about expressed emotion, not a person's feelings. It was learnt
from acted speech. It is not for decisions about people: employment, education, law enforcement,
insurance. In the EU, inferring emotions of people at work or in education is prohibited, but for
medical or safety reasons (AI Act, Article 5(1)(f)), and people exposed to it must be told
(Article 50(3)).
"""
