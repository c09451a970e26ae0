"""The service: serve."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from affectus.cli.app import app
from affectus.console import say
from affectus.errors import ConfigError
from affectus.notice import NOTICE


@app.command()
def serve(
    model: Annotated[
        list[str] | None, typer.Option("--model", help="A model's name, or folder; repeatable.")
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0: any.")] = 8765,
    token: Annotated[
        str | None,
        typer.Option(envvar="AFFECTUS_TOKEN", help="What clients must present.", show_envvar=True),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A name clients reach it by; repeatable.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Requests a second for one client; 0: any number.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Child processes.")] = None,
    max_mb: Annotated[float, typer.Option(help="Largest upload, MiB.")] = 25.0,
    max_seconds: Annotated[float, typer.Option(help="Longest recording.")] = 600.0,
    max_streams: Annotated[int, typer.Option(help="Live streams at a time.")] = 1_000,
    runs: Annotated[Path | None, typer.Option(help="A folder of runs to browse.")] = None,
    dev: Annotated[bool, typer.Option("--dev", help="Serve openapi.json, too.")] = False,
) -> None:
    """Answer recordings over HTTP, a microphone in the browser. On this machine alone."""
    from affectus.model_folder import find_model, read_model
    from affectus.server.serving import serve as serve_models
    from affectus.server.settings import Settings

    folders = [find_model(name) for name in model or ["voice"]]
    for folder in folders:
        read_model(folder)  # else children would tell of it, one after the other
    names = [folder.absolute().name for folder in folders]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"serve: two models called '{twice[0]}'; expected folders of different names. Rename "
            f"one."
        )
    say(NOTICE)
    serve_models(
        Settings(
            models=dict(zip(names, folders, strict=True)),
            host=host,
            port=port,
            token=token,
            allowed_hosts=tuple(allow_host or ()),
            rate=rate,
            n_children=workers or os.cpu_count() or 1,
            max_bytes=round(max_mb * 2**20),
            max_seconds=max_seconds,
            max_streams=max_streams,
            runs_dir=runs,
            dev=dev,
        )
    )
