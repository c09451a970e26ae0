"""The folder of the voice model: ONNX, statistics, facts, and a card made of the scores."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import torch
from changes import WORDS
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from voice_network import FARTHEST, N_LABELS, Ensemble
from voice_rows import EXTRACTOR, RATE

import affectus
from affectus.corpora import list_corpora
from affectus.emotions import label_scheme
from affectus.errors import ModelError
from affectus.features import describe_extractor
from affectus.model_folder import SCHEMA, ModelFacts, write_facts
from affectus.splits import find_protocol

if TYPE_CHECKING:
    from voice_model import Corpus

TOLERANCE = 2e-2  # of a logit: the hidden layer is kept in half precision
COVERAGE = "0.8"  # the share of clips, the surest ones, that an answer is given to
FILES = ("model.onnx", "weights.safetensors", "MODEL_CARD.md")


def write_folder(
    ensemble: Ensemble, corpora: Mapping[str, Corpus], work: Path, folder: Path
) -> None:
    """Write the folder, with the scores found in `work`; nothing is left behind if it differs."""
    judged = json.loads((work / "judged.json").read_text())
    across = json.loads((work / "across.json").read_text())
    data = to_onnx(ensemble)
    sample = np.concatenate([corpus.rows()[::50] for corpus in corpora.values()])
    difference = compare(ensemble, data, sample)
    if not difference <= TOLERANCE:
        raise ModelError(f"{folder}: ONNX differs by {difference:.2g}; expected {TOLERANCE:g}.")
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    (temporary / "model.onnx").write_bytes(data)
    statistics = {"mean": ensemble.mean, "deviation": ensemble.deviation}
    save_file(statistics, temporary / "weights.safetensors")
    licences = {corpus.name: corpus.licence for corpus in list_corpora()}
    own = judged["ravdess"]
    card = write_card(judged, across, {name: licences[name] for name in corpora})
    (temporary / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    facts = ModelFacts(
        schema=SCHEMA,
        name="voice",
        labels=label_scheme("eight").labels,
        scheme=label_scheme("eight").describe(),
        extractor=describe_extractor(EXTRACTOR),
        temperature=round(own["temperature"], 4),
        evaluation=_evaluation(own),
        corpora=list(corpora),
        licences=[f"{name}: {licences[name]}" for name in corpora],
        provenance={
            "recipe": "experiments/voice_model.py",
            "affectus": affectus.__version__,
            "torch": str(torch.__version__),
            "n_clips": {name: len(corpus.clips) for name, corpus in corpora.items()},
        },
        sha256={},
        abstain_below=round(own["risk"][COVERAGE]["threshold"], 3),
    )
    write_facts(temporary, facts, FILES)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.replace(folder)
    print(f"{folder}: {len(data):,} bytes of ONNX, largest difference of a logit {difference:.2g}")


def to_onnx(ensemble: Ensemble) -> bytes:
    """Return the network as ONNX: features [B, T, D] and lengths [B] to logits [B, K].

    A clip has one row: the first. The hidden layers, nearly all of it, are kept in half precision.
    """
    n_features = len(ensemble.mean)

    def constant(name: str, value: Any) -> TensorProto:
        return numpy_helper.from_array(np.asarray(value), name)

    nodes: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Gather", ["voice", "first"], "row", {"axis": 1}),
        ("Sub", ["row", "mean"], "centred", {}),
        ("Div", ["centred", "deviation"], "scaled", {}),
        ("Clip", ["scaled", "lowest", "highest"], "near", {}),
    ]
    constants = [
        constant("first", np.array(0, np.int64)),
        constant("mean", ensemble.mean),
        constant("deviation", ensemble.deviation),
        constant("lowest", np.float32(-FARTHEST)),
        constant("highest", np.float32(FARTHEST)),
    ]
    for n, part in enumerate(ensemble.layers):
        nodes += [
            ("Gather", ["near", f"columns_{n}"], f"seen_{n}", {"axis": 1}),
            ("Cast", [f"hidden_half_{n}"], f"hidden_{n}", {"to": TensorProto.FLOAT}),
            ("MatMul", [f"seen_{n}", f"hidden_{n}"], f"product_{n}", {}),
            ("Add", [f"product_{n}", f"hidden_bias_{n}"], f"sum_{n}", {}),
            ("Sigmoid", [f"sum_{n}"], f"gate_{n}", {}),
            ("Mul", [f"sum_{n}", f"gate_{n}"], f"units_{n}", {}),
            ("MatMul", [f"units_{n}", f"out_{n}"], f"answer_{n}", {}),
            ("Add", [f"answer_{n}", f"out_bias_{n}"], f"logits_{n}", {}),
        ]
        constants += [
            constant(f"columns_{n}", part.columns.astype(np.int64)),
            constant(f"hidden_half_{n}", part.hidden.astype(np.float16)),
            constant(f"hidden_bias_{n}", part.hidden_bias),
            constant(f"out_{n}", part.out),
            constant(f"out_bias_{n}", part.out_bias),
        ]
    answers = [f"logits_{n}" for n in range(len(ensemble.layers))]
    nodes.append(("Sum", answers, "logits", {}))
    graph = helper.make_graph(
        [helper.make_node(kind, takes, [gives], **extra) for kind, takes, gives, extra in nodes],
        "voice",
        [
            helper.make_tensor_value_info(
                "voice", TensorProto.FLOAT, ["batch", "time", n_features]
            ),
            helper.make_tensor_value_info("voice_lengths", TensorProto.INT64, ["batch"]),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", N_LABELS])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


def compare(ensemble: Ensemble, data: bytes, rows: NDArray[np.float32]) -> float:
    """Return the largest difference of a logit between the ensemble and its ONNX."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    lengths = np.ones(len(rows), np.int64)
    found = session.run(["logits"], {"voice": rows[:, None], "voice_lengths": lengths})[0]
    return float(np.abs(found - ensemble.logits(rows)).max())


def _evaluation(own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores that the model's facts keep: RAVDESS, speakers never heard."""
    protocol = find_protocol("sequential-5fold")
    return {
        "protocol": {"name": protocol.name, "version": protocol.version, "text": protocol.text},
        "n_answered": own["n_clips"],
        "n_speakers": own["n_speakers"],
        "uar": own["strict"],
        "ece": own["ece"],
        "cautions": [
            "Acted speech. The weights here were trained on every speaker of the four corpora; the "
            "score is that of five models that each had not heard the speakers they were tested on."
        ],
    }


def _scored(found: list[float | None]) -> str:
    value, low, high = found
    return f"{value:.3f}" if low is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def write_card(
    judged: Mapping[str, Any], across: Mapping[str, Any], licences: Mapping[str, str]
) -> str:
    """Return MODEL_CARD.md."""
    own = judged["ravdess"]
    unheard = "\n".join(
        f"| {name} | {each['n_clips']:,} | {each['n_speakers']} | {len(each['labels'])} | "
        f"{_scored(each['strict'])} | {_scored(each['adapted'])} | {each['ece']:.3f} |"
        for name, each in judged.items()
    )
    elsewhere = "\n".join(
        f"| {name} | {each['n_clips']:,} | {len(each['labels'])} | "
        f"{1 / len(each['labels']):.3f} | {_scored(each['strict'])} | {_scored(each['adapted'])} | "
        f"{each['ece']:.3f} |"
        for name, each in across.items()
    )
    groups = "\n".join(
        f"| {name} | " + " | ".join(
            f"{each['sex'][sex]:.3f}" if sex in each["sex"] else "–" for sex in ("female", "male")
        ) + " |"
        for name, each in judged.items()
    )  # fmt: skip
    known = " | ".join(f"{own['known'][n]:.3f}" for n in own["known"])
    recall = "\n".join(f"| {label} | {value:.3f} |" for label, value in own["recall"].items())
    risk = "\n".join(
        f"| {float(share):.0%} | {each['error']:.3f} | {each['threshold']:.3f} |"
        for share, each in own["risk"].items()
    )
    changed = "\n".join(
        f"| {WORDS[kind].format(rate=RATE)} | {share:.1%} | {own['altered'][kind]:.3f} |"
        for kind, share in own["changed"].items()
    )
    return CARD.format(
        unheard=unheard,
        elsewhere=elsewhere,
        groups=groups,
        known=known,
        known_head=" | ".join(own["known"]),
        known_rule="|".join("---" for _ in own["known"]),
        strict=f"{own['strict'][0]:.3f}",
        recall=recall,
        risk=risk,
        threshold=f"{own['risk'][COVERAGE]['threshold']:.3f}",
        error=f"{own['risk'][COVERAGE]['error']:.3f}",
        full_error=f"{own['risk']['1.0']['error']:.3f}",
        coverage=f"{float(COVERAGE):.0%}",
        temperature=f"{own['temperature']:.3f}",
        ece=f"{own['ece']:.3f}",
        ece_before=f"{own['ece_before']:.3f}",
        changed=changed,
        licences="\n".join(f"- {name}: {licence}" for name, licence in licences.items()),
    )


CARD = (Path(__file__).with_name("voice_card.md")).read_text(encoding="utf-8")
