"""`python -m affectus` and the `affectus` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from affectus.cli import run
    except KeyboardInterrupt:  # before there was anything to end; `run` knows what to say
        sys.exit(130)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
