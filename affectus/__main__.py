"""`python -m affectus` and the `affectus` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    from affectus.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
