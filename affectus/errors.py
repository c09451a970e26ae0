"""Every error that Affectus raises on purpose.

    AffectusError                 one line: what, found, expected, what to do
    ├── LabelError                an emotion, label or scheme that is not known
    ├── ManifestError             a table of clips that cannot be read
    ├── CorpusError               a corpus or its folder is not what was asked for
    ├── MediaError                a recording that cannot be used; carries a stable code
    │   └── LimitError            a recording beyond a limit on seconds, bytes, channels (exit 4)
    ├── AuditError                the data has faults that forbid the next step
    ├── SplitError                a split that cannot be made, or that leaks
    ├── StoreError                a feature store that does not fit or is damaged
    │   └── DiskError             disk full, read-only, gone (exit 5)
    ├── FeatureFileError          another tool's feature file that cannot be used; carries a code
    ├── ExtractionError           too many clips failed (exit 3)
    ├── ConfigError               a setting that is not known or out of range
    ├── TrainingError             training that cannot go on
    ├── EvaluationError           predictions that cannot be judged
    └── ModelError                a model folder that cannot be trusted

A message is `<thing>: <found>; expected <what>. <What to do.>` and stands on one line. The command
line prints it without a traceback and leaves with `exit_code`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 1_000  # characters of a message


class AffectusError(Exception):
    """What every error of this package is; the message is one line made for the user."""

    exit_code = 2

    def __str__(self) -> str:
        """Return `ClassName: message`."""
        return f"{type(self).__name__}: {self.message}"

    @property
    def message(self) -> str:
        """The sentence without the class name, on one line."""
        return _one_line(" ".join(str(arg) for arg in self.args))


class LabelError(AffectusError):
    """An emotion, label or label scheme that is not known."""


class ManifestError(AffectusError):
    """A table of clips that cannot be read or contradicts itself."""


class CorpusError(AffectusError):
    """A corpus that is not known, or a folder that does not hold it."""


class MediaError(AffectusError):
    """A recording that cannot be used.

    `code` is stable ('E1002'), `name` the file's name as given, so that batch jobs and services
    can count by cause.
    """

    def __init__(self, code: str, name: str, text: str) -> None:
        super().__init__(code, name, text)
        self.code = code
        self.name = name
        self.text = text

    def __str__(self) -> str:
        """Return `MediaError E1002 'talk.wav': …`."""
        return f"MediaError {self.message}"

    @property
    def message(self) -> str:
        """The sentence without the class name, on one line."""
        return _one_line(f"{self.code} '{self.name}': {self.text}")


class LimitError(MediaError):
    """A recording beyond a limit; refused before it is decoded."""

    exit_code = 4


class AuditError(AffectusError):
    """Data with faults that forbid the next step."""


class SplitError(AffectusError):
    """A split that cannot be made, or that lets speakers or recordings cross sides."""


class StoreError(AffectusError):
    """A feature store that does not fit the request or is damaged."""


class DiskError(StoreError):
    """The disk is full, read-only or gone; what was committed before is safe."""

    exit_code = 5


class FeatureFileError(AffectusError):
    """A feature file of another tool that cannot be used.

    `code` is stable ('E1703'), `name` the file's, as of a MediaError.
    """

    def __init__(self, code: str, name: str, text: str) -> None:
        super().__init__(code, name, text)
        self.code = code
        self.name = name
        self.text = text

    @property
    def message(self) -> str:
        """The sentence without the class name, on one line."""
        return _one_line(f"{self.code} '{self.name}': {self.text}")


class ExtractionError(AffectusError):
    """More clips failed than allowed."""

    exit_code = 3


class ConfigError(AffectusError):
    """A setting that is not known, of the wrong type or out of range."""


class TrainingError(AffectusError):
    """Training that cannot start or go on."""


class EvaluationError(AffectusError):
    """Predictions that cannot be judged."""


class ModelError(AffectusError):
    """A model folder that is incomplete, damaged or does not fit."""


def _one_line(text: str) -> str:
    """Return a message as it is shown: of a long one, as of a cell of megabytes, both ends.

    What it is about stands at its start, what to do at its end.
    """
    return _both_ends(escape(_both_ends(text)))


def _both_ends(text: str) -> str:
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]} … {text[-half:]}"


def escape(text: str) -> str:
    r"""Write out the characters of a text that could forge or break a line of output.

    Control and format characters (newline, escape sequences, right-to-left override) become `\n`,
    `\x1b`, `\u202e`; letters of any script stay.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the closest known name, or an empty string."""
    close = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""
