"""Commands on anybody's recordings: predict, models."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from affectus.cli.app import AsJson, app
from affectus.console import print_json, print_table, say
from affectus.errors import ConfigError, CorpusError, MediaError
from affectus.notice import NOTICE, accept_use, check_quiet, find_acceptance

if TYPE_CHECKING:
    from affectus.adaptation import SpeakerProfile
    from affectus.predictor import Modality, Prediction, Predictor

Answers = Iterable["Prediction | MediaError"]


@app.command()
def predict(
    files: Annotated[list[Path], typer.Argument(help="Recordings, or folders of them.")],
    model: Annotated[str, typer.Option("--model", help="A model's name, or folder.")] = "voice",
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on standard output.")] = False,
    labels: Annotated[
        Literal["four", "six", "seven", "eight"] | None,
        typer.Option(help="Answer within these labels, instead of the model's own."),
    ] = None,
    abstain: Annotated[
        float | None, typer.Option(help="No answer below this score; 0: always answer.")
    ] = None,
    window: Annotated[float | None, typer.Option(help="Cut into windows, seconds.")] = None,
    hop: Annotated[float | None, typer.Option(help="A window begins each, seconds.")] = None,
    smooth: Annotated[bool, typer.Option(help="Segments of windows, or each window.")] = True,
    speaker: Annotated[
        Path | None, typer.Option(help="The profile of who speaks, as --save-speaker writes it.")
    ] = None,
    speaker_clips: Annotated[
        Path | None, typer.Option(help="A folder of clips of who speaks: learn from them first.")
    ] = None,
    follow_speaker: Annotated[
        bool, typer.Option("--follow-speaker", help="One person speaks: learn from clip to clip.")
    ] = False,
    save_speaker: Annotated[
        Path | None, typer.Option(help="Write what was learnt of who speaks; no clip is kept.")
    ] = None,
    speech: Annotated[
        Literal["auto", "silero", "energy", "off"],
        typer.Option(help="What tells speech from silence, noise and music."),
    ] = "auto",
    voice_only: Annotated[
        bool, typer.Option("--voice-only", help="Of films, the sound alone.")
    ] = False,
    face_only: Annotated[
        bool, typer.Option("--face-only", help="Of films, the face alone.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(help="One a processor by default: threads, processes from 256 recordings on."),
    ] = None,
    max_seconds: Annotated[float, typer.Option(help="Longest recording.")] = 600.0,
    accept: Annotated[
        bool, typer.Option("--accept-use", help="Accept the notice on use; remembered.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="No notice; only once it was accepted.")
    ] = False,
) -> int:
    """Say which emotion recordings express. What cannot be answered is named, and exit is 1."""
    from affectus.adaptation import read_profile, write_profile
    from affectus.emotions import label_scheme
    from affectus.media import Limits
    from affectus.predictor import load_model

    if as_json and as_csv:
        raise ConfigError("predict: --json and --csv together; expected one of them.")
    if voice_only and face_only:
        raise ConfigError("predict: --voice-only and --face-only; expected one of them, or none.")
    if accept:
        say(f"{NOTICE}\naccepted; remembered in {accept_use()}")
    if quiet:
        check_quiet("predict")
    predictor = load_model(model, speech=speech)
    limits = Limits.up_to(max_seconds)
    only = _choose(voice_only, face_only)
    recordings = [file for path in files for file in _recordings(path)]
    profile = None if speaker is None else read_profile(speaker)
    if speaker_clips is not None:
        profile = predictor.learn_speaker(_recordings(speaker_clips), profile, limits=limits)
    if save_speaker is not None and profile is not None:
        write_profile(profile, save_speaker)
    if follow_speaker:
        if window is not None or not smooth:
            raise ConfigError("predict: --follow-speaker with windows; expected whole clips.")
        answers = _follow(
            predictor, recordings, profile, save_speaker,
            labels=labels, abstain=abstain, limits=limits, only=only,
        )  # fmt: skip
    elif save_speaker is not None and profile is None:
        raise ConfigError(
            "predict: --save-speaker, but no speaker; expected --speaker-clips or --follow-speaker."
        )
    else:
        answers = predictor.predict_many(
            recordings, window=window, hop=hop, labels=labels, speaker=profile, abstain=abstain,
            smooth=smooth, limits=limits, workers=workers or _spare_processors(len(recordings)),
            only=only,
        )  # fmt: skip
    columns = predictor.labels if labels is None else label_scheme(labels).labels
    streams = predictor.streams if "face" in predictor.streams else ()
    errors = _print_answers(
        answers, columns, streams, as_json=as_json, as_csv=as_csv, notice=not quiet
    )
    if errors and len(recordings) == 1:
        return errors[0].exit_code
    return 1 if errors else 0


def _choose(voice_only: bool, face_only: bool) -> Modality | None:
    return "voice" if voice_only else "face" if face_only else None


def _recordings(path: Path) -> list[Path]:
    """Return a file itself, or the recordings in a folder."""
    if not path.is_dir():
        return [path]
    from affectus.media import list_media

    found = list_media(path)
    if not found:
        raise CorpusError(f"{path}: no recordings in it; expected some. Give files.")
    return found


def _spare_processors(n_recordings: int) -> int:
    return min(os.cpu_count() or 1, 8, max(1, n_recordings // 4))


def _follow(
    predictor: Predictor,
    recordings: list[Path],
    profile: SpeakerProfile | None,
    save: Path | None,
    **settings: Any,
) -> Iterator[Prediction | MediaError]:
    """Answer clips of one speaker, and write in the end what was learnt."""
    from affectus.adaptation import write_profile

    learnt = profile
    for answer, learnt in predictor.follow_speaker(recordings, profile, **settings):  # noqa: B007
        yield answer
    if save is not None and learnt is not None:
        write_profile(learnt, save)


def _print_answers(
    answers: Answers,
    labels: Sequence[str],
    streams: Sequence[str],
    *,
    as_json: bool,
    as_csv: bool,
    notice: bool,
) -> list[MediaError]:
    """Print answers as they come, the notice before the first; return the errors among them.

    `streams` are those whose own scores are printed in CSV, too.
    """
    found, errors = [], []
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if as_csv:
        alone = [f"{stream}_{label}" for stream in streams for label in labels]
        writer.writerow(("file", "start", "end", "emotion", *labels, *alone))
    for answer in answers:
        if isinstance(answer, MediaError):
            say(str(answer))
            errors.append(answer)
            continue
        if notice:
            say(f"{NOTICE} See: {answer.card}")
            notice = False
        if as_json:
            found.append(answer)
        elif as_csv:
            writer.writerows(_csv_rows(answer, labels, streams))
        else:
            _print_answer(answer)
    if as_json:
        failures = [{"file": e.name, "code": e.code, "error": e.text} for e in errors]
        print_json({"predictions": found, "failed": failures, "use_accepted_on": find_acceptance()})
    return errors


def _csv_rows(
    answer: Prediction, labels: Sequence[str], streams: Sequence[str]
) -> list[list[object]]:
    return [
        [
            answer.file,
            part.start,
            part.end,
            part.emotion or "",
            *(part.scores.get(label, "") for label in labels),
            *(part.streams.get(name, {}).get(label, "") for name in streams for label in labels),
        ]
        for part in answer.segments
    ]


def _print_answer(answer: Prediction) -> None:
    print(f"{answer.file}: {_word(answer)}")
    for label, score in sorted(answer.scores.items(), key=lambda item: -item[1]):
        print(f"  {label:10} {score:6.1%} {'█' * round(score * 30)}")
    if len(answer.segments) > 1:
        for part in answer.segments:
            best = f"{max(part.scores.values()):6.1%}" if part.scores else ""
            alone = "".join(f"  {name} {_best(own)}" for name, own in part.streams.items())
            line = f"  {part.start:8.2f} – {part.end:8.2f} s  {_word(part):10} {best}{alone}"
            print(line.rstrip())
    elif len(answer.streams) > 1:
        for name, own in answer.streams.items():
            print(f"  {name} by itself: {_best(own)}")
    if answer.why != "voice alone":
        print(f"  used: {answer.why}")
    for warning in answer.warnings:
        print(f"  warning {warning}")


def _best(scores: Mapping[str, float]) -> str:
    label = max(scores, key=scores.__getitem__)
    return f"{label} {scores[label]:.1%}"


def _word(answer: Any) -> str:
    return answer.emotion or f"no answer: {answer.reason}"


@app.command()
def models(
    name: Annotated[
        str | None, typer.Argument(help="A model's name, or folder: its whole card.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the models that ship and how good they are. Or print the card of one."""
    from affectus.model_folder import find_model, list_pretrained, read_model

    names = [name] if name is not None else list_pretrained()
    folders = [find_model(one) for one in names]
    facts = [read_model(folder)[0] for folder in folders]
    if as_json:
        print_json(facts if name is None else facts[0])
    elif name is not None:
        print((folders[0] / "MODEL_CARD.md").read_text("utf-8").rstrip())
    elif not facts:
        print("no model ships with this version; make one with: affectus export")
    else:
        rows = []
        for one, folder in zip(facts, folders, strict=True):
            size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
            rows.append((one.name, len(one.labels), _score(one), ", ".join(one.corpora), size))
        print_table(("model", "labels", "UAR [95 % by speaker]", "learnt from", "MB"), rows)
        for one in facts:
            print(f"{one.name}: {', '.join(one.labels)}; {'; '.join(one.licences)}")
        print(NOTICE)


def _score(facts: Any) -> str:
    if not facts.evaluation:
        return "not judged"
    value, low, high = facts.evaluation["uar"]
    interval = f" [{low:.3f}, {high:.3f}]" if low is not None else ""
    protocol = facts.evaluation["protocol"]["name"]
    return f"{value:.3f}{interval}, {protocol}"
