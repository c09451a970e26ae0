"""What everybody is told before they are told an emotion, and who has said that they know it.

Accepting is remembered in one small file of the user's own settings, with its date, so that scripts
may be quiet. It names the text that was accepted: another text has to be accepted anew.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import msgspec

from affectus.errors import ConfigError

NOTICE = (
    "Notice: output is a statistical guess about expressed emotion, not a person's feelings. In "
    "the EU, inferring emotions of people at work or in education is prohibited (AI Act Art. "
    "5(1)(f)) except for medical or safety reasons; people exposed must be informed (Art. 50(3))."
)
NOT_FOR = ("employment", "education", "law-enforcement", "insurance")

_TEXT = hashlib.sha256(NOTICE.encode()).hexdigest()[:16]


class _Accepted(msgspec.Struct):
    notice: str
    on: str


def accept_use() -> Path:
    """Remember that the user accepts the notice; return the file that says so. Delete it to undo.

    Raises OSError where settings cannot be written.
    """
    path = _file()
    path.parent.mkdir(parents=True, exist_ok=True)
    accepted = _Accepted(_TEXT, time.strftime("%Y-%m-%d", time.gmtime()))
    path.write_bytes(msgspec.json.encode(accepted) + b"\n")
    return path


def find_acceptance() -> str | None:
    """Return the date (UTC) on which the notice was accepted, or None."""
    try:
        accepted = msgspec.json.decode(_file().read_bytes(), type=_Accepted)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return accepted.on if accepted.notice == _TEXT else None


def check_quiet(command: str) -> None:
    """Refuse to be quiet before the notice was accepted: ConfigError."""
    if find_acceptance() is None:
        raise ConfigError(
            f"{command}: --quiet, but the notice was not accepted here; expected that once. "
            f"Read it, then add --accept-use. {NOTICE}"
        )


def _file() -> Path:
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(folder) / "affectus" / "accepted-use.json"
