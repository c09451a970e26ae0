"""One self-contained HTML page: its frame, its tables, and the way text from outside gets in.

No script, no network, no date: the same content gives the same bytes. Text that is not ours
(names, labels, clip ids) enters a page through `render_text` alone.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from affectus.errors import DiskError
from affectus.files import replacing

NONE = "–"  # what cannot be computed
SHARE_AXIS = '<span class="axis"><span>0</span><span>50</span><span>100\u202f%</span></span>'


def render_page(title: str, body: str, style: str = "", *, pictures: bool = False) -> str:
    """Return a whole page of HTML sections; `style` is CSS beyond that of every page.

    `pictures` allows those that stand in the page itself (`data:`).
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'" + "; img-src data:" * pictures
    css = files("affectus").joinpath("report.css").read_text(encoding="utf-8") + style
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{render_text(title)}</title>
<style>
{css}</style>
</head>
<body>
<main>
{body}</main>
</body>
</html>
"""


def write_page(page: str, path: Path | str) -> None:
    """Write a page, complete or not at all: a temporary file is renamed at the end.

    Raises DiskError if it cannot be written; what stood there before is then untouched.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(page, encoding="utf-8", newline="")
    except OSError as error:
        raise DiskError(
            f"{path}: {error.strerror}; expected a file to write. Check space and rights."
        ) from error


def render_text(value: object) -> str:
    """Return text that is only ever text: escaped, what could forge a line made visible."""
    seen = (
        char.encode("unicode_escape").decode() if unicodedata.category(char)[0] == "C" else char
        for char in str(value)
    )
    return html.escape("".join(seen))


def render_percent(share: float | None, digits: int = 1) -> str:
    """Return a share as `57.9 %`; a dash for None."""
    return NONE if share is None else f"{100 * share:.{digits}f}\u202f%"


def render_bar(share: float | None) -> str:
    """Return a share with a small bar below."""
    if share is None:
        return NONE
    return f'{render_percent(share)}<span class="bar"><i style="--share:{share:.3f}"></i></span>'


def render_section(title: str, content: str) -> str:
    """Return HTML under a heading."""
    return f"<section>\n<h2>{title}</h2>\n{content}</section>\n"


def render_table(kind: str, text: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of HTML cells, the first of a row its heading; `kind` is its CSS class."""
    columns = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    lines = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>\n'
        for first, *rest in rows
    )
    return (
        f'<table class="{kind}">\n<caption>{text}</caption>\n'
        f"<thead><tr>{columns}</tr></thead>\n<tbody>\n{lines}</tbody>\n</table>\n"
    )


def render_whisker(
    value: float, low: float | None, high: float | None, mark: float, kind: str
) -> str:
    """Return a dot with its interval on a line from 0 to 100 %, and a mark of that kind."""
    parts = [f'<line class="{kind}" x1="{mark:.2%}" x2="{mark:.2%}" y1="0" y2="100%"/>']
    if low is not None and high is not None:
        ends = f'x1="{low:.2%}" x2="{high:.2%}"'
        parts.append(f'<line class="whisker" {ends} y1="50%" y2="50%"/>')
    parts.append(f'<circle class="dot" cx="{value:.2%}" cy="50%" r="5"/>')
    rule = '<line class="rule" x1="0" x2="100%" y1="50%" y2="50%"/>'
    return f'<svg class="interval" aria-hidden="true">{rule}{"".join(parts)}</svg>'
