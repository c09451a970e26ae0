"""Files that are complete or not there at all, and JSON whatever is in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to, which becomes `path` at the end of the block.

    So nobody ever reads half a file; a block that raises leaves what stood at `path` before, and
    nothing beside it. The two names are of one folder: a rename between disks would be a copy.
    An OSError about the temporary name is told of `path`, which is the one that the user knows.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):  # what went wrong first is what is to be told
            temporary.unlink()
        if isinstance(error, OSError) and str(error.filename) == str(temporary):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def decode_json(data: bytes | str, kind: Any = Any) -> Any:
    """Return JSON as `kind`, a type that msgspec knows.

    Raises ValueError with what is wrong, whatever it is: no JSON, of another kind, not UTF-8, or
    nested so deep that nothing can read it.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("nested too deep") from None
