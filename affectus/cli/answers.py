"""Commands on anybody's recordings: predict."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from affectus.cli.app import AsJson, app
from affectus.console import print_json, say
from affectus.errors import CorpusError, MediaError, ModelError


@app.command()
def predict(
    files: Annotated[list[Path], typer.Argument(help="Recordings, or folders of them.")],
    model: Annotated[str, typer.Option("--model", help="A model's name, or folder.")] = "voice",
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on standard output.")] = False,
    window: Annotated[float | None, typer.Option(help="Cut into stretches, seconds.")] = None,
    hop: Annotated[float | None, typer.Option(help="A stretch begins each, seconds.")] = None,
    speech: Annotated[
        Literal["auto", "silero", "energy", "off"],
        typer.Option(help="What tells speech from silence, noise and music."),
    ] = "auto",
    max_seconds: Annotated[float, typer.Option(help="Longest recording.")] = 600.0,
) -> int:
    """Say which emotion recordings express; what cannot be answered is named, and exit is 1."""
    from affectus.media import Limits
    from affectus.predictor import load_model

    if as_json and as_csv:
        raise ModelError("predict: --json and --csv together; expected one of them.")
    predictor = load_model(model, speech=speech)
    recordings = [file for path in files for file in _recordings(path)]
    answers, errors = [], []
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if as_csv:
        writer.writerow(("file", "start", "end", "emotion", *predictor.labels))
    for file in recordings:
        try:
            answer = predictor.predict(
                file, window=window, hop=hop, limits=Limits(max_seconds=max_seconds)
            )
        except MediaError as error:
            say(str(error))
            errors.append(error)
            continue
        if as_json:
            answers.append(answer)
        elif as_csv:
            writer.writerows(_csv_rows(answer, predictor.labels))
        else:
            _print_answer(answer)
    if as_json:
        failures = [{"file": e.name, "code": e.code, "error": e.text} for e in errors]
        print_json({"predictions": answers, "failed": failures})
    if errors and len(recordings) == 1:
        return errors[0].exit_code
    return 1 if errors else 0


def _recordings(path: Path) -> list[Path]:
    """Return a file itself, or the recordings in a folder."""
    if not path.is_dir():
        return [path]
    from affectus.media import list_media

    found = list_media(path)
    if not found:
        raise CorpusError(f"{path}: no recordings in it; expected some. Give files.")
    return found


def _csv_rows(answer: Any, labels: Sequence[str]) -> list[list[object]]:
    rows = answer.segments or [answer]
    return [
        [
            answer.file,
            getattr(row, "start", ""),
            getattr(row, "end", ""),
            row.emotion or "",
            *(row.scores.get(label, "") for label in labels),
        ]
        for row in rows
    ]


def _print_answer(answer: Any) -> None:
    print(f"{answer.file}: {answer.emotion or 'no answer'}")
    for label, score in sorted(answer.scores.items(), key=lambda item: -item[1]):
        print(f"  {label:10} {score:6.1%} {'█' * round(score * 30)}")
    if len(answer.segments) > 1:
        for part in answer.segments:
            print(f"  {part.start:8.2f} – {part.end:8.2f} s  {part.emotion}")
    for warning in answer.warnings:
        print(f"  warning {warning}")
