"""Nested plain values to TOML, and `a.b=c` to nested values."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from affectus.errors import ConfigError


def toml_lines(content: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Yield the lines of a TOML file; `prefix` is the table that `content` lies in, with a dot."""
    tables = {key: value for key, value in content.items() if isinstance(value, dict)}
    for key, value in content.items():
        if key not in tables and value is not None:
            yield f"{_toml_key(key)} = {_toml_value(value)}"
    for key, table in tables.items():
        yield f"\n[{prefix}{_toml_key(key)}]"
        yield from toml_lines(table, f"{prefix}{_toml_key(key)}.")


def _toml_key(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _toml_value(key)


def _toml_value(value: Any) -> str:
    """Return a scalar, list or inline table; JSON's scalars are TOML's but for two characters."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml_key(k)} = {_toml_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def parse_changes(changes: Sequence[str]) -> dict[str, Any]:
    """Return `a=1` and `b.c=text` as nested values. Values are TOML; a bare word is text."""
    content: dict[str, Any] = {}
    for change in changes:
        apply_change(content, change)
    return content


def apply_change(content: dict[str, Any], change: str) -> None:
    """Set one value, as `--set a.b=c` has it."""
    name, sign, text = change.partition("=")
    *tables, key = name.strip().split(".")
    if not sign or not key:
        raise ConfigError(f"--set {change}: no '='; expected table.key=value.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except ValueError:  # no TOML
        value = text
    except RecursionError:
        raise ConfigError(
            f"--set {name}: nested too deep; expected a value or a list of some."
        ) from None
    table = content
    for part in tables:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {change}: '{part}' is no table; expected table.key=value.")
    table[key] = value
