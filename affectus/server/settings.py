"""How a service is run, and what it refuses to be."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path

from affectus.errors import ConfigError

_MIN_TOKEN = 16  # characters


@dataclass(frozen=True)
class Settings:
    """What `affectus serve` was asked for.

    `models` are folders by the name that clients use. `rate` is requests a second that one client
    may make, 0 for any number; `max_waiting` recordings may wait for a child, and what comes then
    is told to come back later. `runs_dir` is a folder of runs to be browsed.
    """

    models: dict[str, Path]
    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    rate: float | None = None
    n_children: int = field(default_factory=lambda: os.cpu_count() or 1)
    max_waiting: int = 0
    max_bytes: int = 25 * 2**20
    max_seconds: float = 600.0
    max_streams: int = 1_000
    memory_bytes: int = 512 * 2**20
    runs_dir: Path | None = None
    dev: bool = False

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


def check_settings(settings: Settings) -> Settings:
    """Return the settings with what follows from others filled in.

    Raises ConfigError for what would be unsafe or cannot work.
    """
    if not settings.is_local and not settings.token:
        raise ConfigError(
            f"serve: host {settings.host} can be reached by other machines, and there is no token; "
            f"expected --token, or --host 127.0.0.1."
        )
    if settings.token is not None and (
        len(settings.token) < _MIN_TOKEN
        or not settings.token.isascii()
        or not settings.token.isprintable()
        or " " in settings.token
    ):
        raise ConfigError(
            f"serve: a token of {len(settings.token)} characters; expected {_MIN_TOKEN} or more, "
            f"letters and digits. Make one: openssl rand -hex 16"
        )
    if settings.rate is not None and not 0 <= settings.rate <= 1e6:
        raise ConfigError(f"serve: rate is {settings.rate:g}; expected 0 to 1,000,000 a second.")
    if not 1 <= settings.n_children <= 256:
        raise ConfigError(f"serve: {settings.n_children} workers; expected 1 to 256.")
    if settings.runs_dir is not None and not settings.runs_dir.is_dir():
        raise ConfigError(f"{settings.runs_dir}: no such folder; expected one that holds runs.")
    for name in settings.allowed_hosts:
        if not name or not set(name.lower()) <= set("abcdefghijklmnopqrstuvwxyz0123456789-._[]:"):
            raise ConfigError(f"serve: --allow-host '{name}'; expected a host's name, no port.")
    return settings


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
