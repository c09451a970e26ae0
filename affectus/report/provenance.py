"""The end of a report: what was left out and why, and what the figures came from."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from affectus.evaluation import Evaluation
from affectus.page import NONE, render_section, render_table, render_text


def render_left_out(found: Evaluation) -> str:
    """Return the clips of the manifest that are not judged, by reason."""
    if not found.left_out:
        return ""
    rows = []
    for item in found.left_out:
        names = ", ".join(f"<code>{render_text(name)}</code>" for name in item.clip_ids)
        more = f" and {item.n - len(item.clip_ids):,} more" * (item.n > len(item.clip_ids))
        rows.append((render_text(item.reason), f"{item.n:,}", f"{names}{more}"))
    text = "Clips of the manifest that have no part in these figures."
    table = render_table("left-out", text, ("reason", "clips", "which"), rows)
    return render_section("Left out", table)


def render_provenance(found: Evaluation) -> str:
    """Return hashes, versions, seeds and the command."""
    uniform = math.log(len(found.labels))
    facts = {
        "label scheme": found.scheme,
        "likelihood (NLL)": f"{found.calibration.nll.value:.3f} nats; equal scores for all would "
        f"have {uniform:.3f}",
        "intervals": "95 %, percentiles of 10,000 bootstrap draws of speakers (groups: 1,000)",
        **found.provenance,
    }
    return render_section("Provenance", render_value(facts))


def render_value(value: Any) -> str:
    """Return any plain value: nested tables as definition lists, hashes shortened."""
    if isinstance(value, Mapping) and value:
        rows = (
            f"<div><dt>{render_text(key)}</dt><dd>{render_value(inner)}</dd></div>\n"
            for key, inner in value.items()
        )
        return f'<dl class="tree">\n{"".join(rows)}</dl>\n'
    if isinstance(value, list | tuple) and value:
        return ", ".join(map(render_value, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value in ("", [], (), {}) or value != value:
        return NONE
    if re.fullmatch(r"[0-9a-f]{32,}", str(value)):
        return f'<code title="{value}">{str(value)[:12]}…</code>'
    return render_text(value)
