"""A fusion's fold to a model folder: a network for each run, and how much each counts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from affectus.errors import EvaluationError, ModelError
from affectus.export import export_run, read_judged_scores, write_card
from affectus.fusion.fitting import Fusion, open_members, read_fusion
from affectus.model_folder import MemberWeights, ModelFacts, read_model, write_facts
from affectus.predictor import load_model


def export_fusion(
    folder: Path | str, out: Path | str, *, fold: int = 1, int8: bool = False
) -> float:
    """Write the model folder of one fold of a fusion; return the largest difference to torch.

    It predicts with every set of the networks that has an answer: `affectus predict` gives each the
    streams that there are. Nothing is left behind if a check fails.

    Raises ModelError if `out` exists, a run cannot be exported, or the networks look at faces at
    different rates, EvaluationError if `folder` is no fusion or has no such fold.
    """
    out, fusion = Path(out), read_fusion(folder)
    members = open_members(fusion.runs)
    splits = members[0].run.splits
    if out.exists():
        raise ModelError(f"{out}: there already; expected a new folder. Choose another name.")
    if not 1 <= fold <= len(splits):
        raise EvaluationError(f"fold {fold}: expected 1 to {len(splits)}.")
    temporary = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        names = [str(number) for number in range(1, len(members) + 1)]
        worst = max(
            export_run(member.run, temporary / name, fold=fold, int8=int8)
            for name, member in zip(names, members, strict=True)
        )
        parts = [read_model(temporary / name)[0] for name in names]
        facts = _join(fusion, splits[fold - 1].fold, parts, Path(folder))
        (temporary / "MODEL_CARD.md").write_text(
            write_card(facts) + _describe(fusion, facts), encoding="utf-8"
        )
        hashed = (*(f"{name}/model.json" for name in names), "MODEL_CARD.md")
        write_facts(temporary, facts, hashed)
        load_model(temporary)  # or refuse networks that do not go together
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return worst


def _join(fusion: Fusion, fold: str, parts: Sequence[ModelFacts], folder: Path) -> ModelFacts:
    heard = [part for part in parts if "voice" in part.streams]
    streams = {stream for part in parts for stream in part.streams}
    return msgspec.structs.replace(
        (heard or parts)[0],
        name=fusion.name,
        face=next((part.face for part in parts if part.face), {}),
        streams=tuple(stream for stream in ("voice", "face") if stream in streams),
        temperature=1.0,
        evaluation=read_judged_scores(folder),
        corpora=list(dict.fromkeys(name for part in parts for name in part.corpora)),
        licences=list(dict.fromkeys(text for part in parts for text in part.licences)),
        provenance={"fused": list(fusion.runs), "fold": fold},
        sha256={},
        members=tuple(str(number) for number in range(1, len(parts) + 1)),
        weights=tuple(
            MemberWeights(found.runs, found.values)
            for found in fusion.weights
            if found.fold == fold
        ),
    )


def _describe(fusion: Fusion, facts: ModelFacts) -> str:
    rows = "\n".join(
        f"- {' and '.join(f'{i + 1} ({Path(fusion.runs[i]).name})' for i in found.members)}: "
        f"{', '.join(f'{value:.3f}' for value in found.values)}"
        for found in facts.weights
    )
    return (
        f"\n## Networks\n\nThe folders {', '.join(facts.members)} are models of their own. The "
        f"scores of those that have an answer are multiplied, each to the power of:\n\n{rows}\n"
    )
