"""The command line: every command is a thin skin over one library call of the same verb.

Exit codes: 0 done, 1 findings or failed items, listed, 2 bad input or arguments, 3 too many
failures, 4 a limit was hit, 5 disk or permission, 130 interrupted, 143 ended by SIGTERM.

Heavy modules are imported inside the commands that need them, so that `--help` and `predict`
start at once.
"""

from __future__ import annotations

from affectus.cli import (  # noqa: F401 (they add commands)
    answers,
    corpora,
    evaluating,
    features,
    live,
    service,
    training,
)
from affectus.cli.app import app, run

__all__ = ["app", "run"]
