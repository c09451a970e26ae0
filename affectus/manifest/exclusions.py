"""Lists of clips to be left out, and why."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from affectus.errors import ManifestError
from affectus.files import replacing


def write_exclusions(reasons: Mapping[str, str], path: Path | str) -> None:
    """Write clips to be left out, and why, as CSV `clip_id,reason`; complete or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(("clip_id", "reason"))
        writer.writerows(reasons.items())


def read_exclusions(path: Path | str) -> dict[str, str]:
    """Read a CSV `clip_id,reason`: as `write_exclusions` writes it, or made by hand.

    Raises ManifestError with the line of the first fault.
    """
    reasons: dict[str, str] = {}
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [cell.strip() for cell in next(reader, [])]
            if header != ["clip_id", "reason"]:
                raise ManifestError(
                    f"{path}:1: columns {', '.join(header) or 'none'}; expected clip_id,reason. "
                    f"Make the list with: affectus audit --exclusions"
                )
            for row in reader:
                if row and (len(row) != 2 or not row[0]):
                    raise ManifestError(
                        f"{path}:{reader.line_num}: {len(row)} cells; expected a clip id and a "
                        f"reason. Put a cell that holds a comma in quotes."
                    )
                if row:
                    reasons[row[0]] = row[1] or "no reason given"
    except csv.Error as error:
        raise ManifestError(f"{path}:{reader.line_num}: {error}; expected a CSV.") from None
    except (OSError, UnicodeDecodeError) as error:
        text = getattr(error, "strerror", None) or error
        raise ManifestError(f"{path}: {text}; expected a CSV clip_id,reason in UTF-8.") from None
    return reasons
