"""Writes the reference pages while the site is built: the commands' and the public names'."""

from __future__ import annotations

from typing import Any

import affectus
from affectus.cli import app


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace the marks on the two reference pages by what the code says (a hook of mkdocs)."""
    if "<!-- commands -->" in markdown:
        markdown = markdown.replace("<!-- commands -->", "\n".join(describe_commands()))
    if "<!-- names -->" in markdown:
        names = (f"::: affectus.{home(name)}.{name}\n" for name in affectus.__all__)
        markdown = markdown.replace("<!-- names -->", "\n".join(names))
    return markdown


def home(name: str) -> str:
    """Return the unit that a public name comes from."""
    return affectus._MODULE[name]


def describe_commands() -> list[str]:
    """Return a chapter for each command: what it does, its arguments and options."""
    import typer

    lines = []
    group = typer.main.get_command(app)
    for name, command in sorted(group.commands.items()):  # type: ignore[attr-defined]
        lines += [f"## affectus {name}", "", command.help, "", "| | | default |", "|---|---|---|"]
        for parameter in command.params:
            if parameter.name == "help":
                continue
            is_option = parameter.param_type_name == "option"
            names = (
                ", ".join(f"`{flag}`" for flag in parameter.opts)
                if is_option
                else (f"`{parameter.name}`")
            )
            default = parameter.default
            shown = "" if default in (None, False, ()) or not is_option else f"`{default}`"
            told = "required" if parameter.required else shown
            lines.append(f"| {names} | {getattr(parameter, 'help', '') or ''} | {told} |")
        lines.append("")
    return lines
