"""The microphone and the camera: listen."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from affectus.cli.app import app
from affectus.console import print_table, say
from affectus.notice import NOTICE

if TYPE_CHECKING:
    from rich.console import Group

    from affectus.live import Heard
    from affectus.predictor import Segment

_WIDTH = 30  # characters of a full bar


@app.command()
def listen(
    model: Annotated[str, typer.Option("--model", help="A model's name, or folder.")] = "voice",
    device: Annotated[
        str | None, typer.Option("--device", help="A microphone's number, or part of its name.")
    ] = None,
    list_devices: Annotated[
        bool, typer.Option("--list-devices", help="Print the microphones, and end.")
    ] = False,
    camera: Annotated[
        bool, typer.Option("--camera", help="Look, too; for a model that takes faces.")
    ] = False,
    camera_number: Annotated[int, typer.Option(help="Which camera, where there are several.")] = 0,
    face_only: Annotated[
        bool, typer.Option("--face-only", help="Look alone, without a microphone.")
    ] = False,
    labels: Annotated[
        Literal["four", "six", "seven", "eight"] | None,
        typer.Option(help="Answer within these labels, instead of the model's own."),
    ] = None,
    window: Annotated[float, typer.Option(help="Seconds that an answer is about.")] = 3.0,
    hop: Annotated[float, typer.Option(help="Seconds from one answer to the next.")] = 1.0,
    seconds: Annotated[float, typer.Option(help="End after so long; Ctrl-C ends it, too.")] = 3_600,
) -> None:
    """Answer the microphone, or the camera too, as live bars."""
    from affectus import live

    if list_devices:
        rows = [
            (one.number, one.name, one.channels, one.sample_rate, "usual" if one.usual else "")
            for one in live.list_devices()
        ]
        print_table(("number", "name", "channels", "Hz", ""), rows)
        return
    looks = camera or face_only
    microphone = None if face_only else live.find_device(device)
    from affectus.predictor import load_model

    predictor = load_model(model)
    say(NOTICE)
    opened = ([microphone.name] if microphone else []) + ([f"camera {camera_number}"] * looks)
    say(f"listening to {' and '.join(opened)}; Ctrl-C ends it")
    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():  # no other may
        signal.signal(signal.SIGINT, lambda number, frame: stop.set())
    hearing = live.listen(
        predictor, microphone, camera=camera_number if looks else None, seconds=seconds,
        window=window, hop=hop, labels=labels, stop=stop,
    )  # fmt: skip
    from rich.console import Console
    from rich.live import Live

    last: Segment | None = None
    with Live(console=Console(stderr=True), refresh_per_second=10, transient=True) as shown:
        for heard in hearing:
            last = heard.segments[-1] if heard.segments else last
            shown.update(_draw(heard, last))
    whole = heard.prediction
    assert whole is not None
    scores = [(label, score) for label, score in whole.scores.items()]
    answer = whole.emotion or whole.reason
    print_table(("label", "score"), scores, title=f"{heard.seconds:.1f} s: {answer}")
    if looks:
        say(f"used: {whole.why}")
    for warning in whole.warnings:
        say(warning)


def _draw(heard: Heard, last: Segment | None) -> Group:
    """Return the level, and the newest answer as bars."""
    from rich.console import Group
    from rich.text import Text

    full = round(_WIDTH * (heard.level + 60) / 60)
    lines = [f"{heard.seconds:7.1f} s  level {'█' * full:<{_WIDTH}} {heard.level:4.0f} dB"]
    if last is None:
        lines.append("speak: the first answer comes after a window")
    else:
        lines.append(f"{last.start:.1f} to {last.end:.1f} s: {last.emotion or last.reason}")
        for label, score in sorted(last.scores.items(), key=lambda one: -one[1]):
            lines.append(f"{label:>10} {'█' * round(_WIDTH * score):<{_WIDTH}} {score:6.1%}")
        for name, own in last.streams.items():
            best = max(own, key=own.__getitem__)
            lines.append(f"{name:>10} alone: {best} {own[best]:.1%}")
    return Group(*map(Text, lines))
