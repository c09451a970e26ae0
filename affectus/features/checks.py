"""What every extractor refuses: a setting out of range, a waveform at another rate."""

from __future__ import annotations

from collections.abc import Mapping

from affectus.errors import ConfigError


def check_parameters(name: str, extractor: object, checks: Mapping[str, tuple[bool, str]]) -> None:
    """Raise ConfigError for the first of an extractor's parameters that is not fine.

    `checks` has for each the answer, and what was expected.
    """
    for parameter, (fine, expected) in checks.items():
        if not fine:
            raise ConfigError(
                f"{name}: {parameter} is {getattr(extractor, parameter)}; expected {expected}. "
                f"Change it."
            )


def check_rate(name: str, sample_rate: int, expected: int) -> None:
    """Raise ConfigError if a waveform's rate (Hz) is not the extractor's."""
    if sample_rate != expected:
        raise ConfigError(
            f"{name}: waveform at {sample_rate} Hz; expected {expected} Hz. Resample it: "
            f"read_audio(..., sample_rate={expected})."
        )
