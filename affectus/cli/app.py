"""The command line's frame: the app, its common options, and what every error becomes."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import Abort, TyperException

import affectus
from affectus.console import say
from affectus.errors import AffectusError, ConfigError, DiskError

app = typer.Typer(
    name="affectus",
    help="Emotion recognition in voice and face that one can trust.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(asked: bool) -> None:
    if asked:
        print(f"affectus {affectus.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Say which version this is.", callback=_say_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
ManifestFile = Annotated[Path, typer.Argument(help="A manifest, as 'affectus import' writes it.")]
Store = Annotated[Path, typer.Option("--store", help="The folder of the feature store.")]


_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
# A path that cannot be what it was given as, such as a folder after -o.
_PATH = (
    errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP,
)  # fmt: skip
# What the commands beyond prediction need, and the extra that brings it.
_EXTRAS = {
    "torch": "train",
    "onnx": "train",
    "matplotlib": "train",
    "ray": "ray",
    "opensmile": "opensmile",
    "cv2": "face",
    "transformers": "speech",
    "huggingface_hub": "speech",
    "starlette": "serve",
    "uvicorn": "serve",
    "websockets": "serve",
    "python_multipart": "serve",
    "sounddevice": "live",
}


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; an error of ours becomes one line."""
    _set_up_libraries()
    if threading.current_thread() is threading.main_thread():  # no other may
        signal.signal(signal.SIGTERM, _stop)
    try:
        code = app(list(arguments), prog_name="affectus", standalone_mode=False)
    except AffectusError as error:
        say(str(error))
        return error.exit_code
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        extra = _EXTRAS[error.name]
        say(
            f"affectus {arguments[0]}: {error.name} is not installed; expected the extra "
            f"'{extra}'. Install it: pip install 'affectus[{extra}]'"
        )
        return 2
    except _Terminated:
        say(f"ended by SIGTERM; {_go_on(arguments)}")
        return 143
    except (KeyboardInterrupt, Abort):
        code = 130
    except BrokenPipeError:  # the reader of our output has gone: `affectus … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        refusal = _refuse(error)
        if refusal is None:
            raise
        say(str(refusal))
        return refusal.exit_code
    except TyperException as error:
        return _tell_usage(error)
    if code == 130:  # the parser turns an interruption into this code, too
        say(f"interrupted; {_go_on(arguments)}")
    return code if isinstance(code, int) else 0


def _go_on(arguments: Sequence[str]) -> str:
    """Say how a command that was ended goes on; a run that is there is not begun again unasked."""
    how = " with --resume" if arguments[:1] == ["train"] and "--resume" not in arguments else ""
    return f"what was finished is kept: run the command again{how} to go on"


def _refuse(error: OSError) -> AffectusError | None:
    """Say in one line which path cannot be written, or None of an error that names none."""
    place = error.filename or "output"
    if error.errno in _DISK:
        denied = error.errno in (errno.EACCES, errno.EPERM)  # to read, or to write
        wanted = "one that you may read, or write to" if denied else "a place to write"
        return DiskError(f"{place}: {error.strerror}; expected {wanted}. Free it, or name another.")
    if error.errno in _PATH and error.filename:
        return ConfigError(
            f"{place}: {error.strerror}; expected a path that can be written. Name another."
        )
    return None


def _tell_usage(error: Any) -> int:
    """Say in one line what is wrong with the arguments, or the help where none were given."""
    text = error.format_message()
    if "\n" in text:
        error.show()
    else:
        command = error.ctx.command_path
        text = f"{text[0].lower()}{text[1:]}".replace("Value error, ", "")
        stop = "" if text.endswith((".", "?")) else "."
        say(f"{command}: {text}{stop} See: {command} --help")
    return int(error.exit_code)


class _Terminated(BaseException):
    """SIGTERM was sent: leave through every `finally`, so that no child and no file is left."""


def _stop(number: int, frame: object) -> None:
    raise _Terminated


def _set_up_libraries() -> None:
    """Set what numpy and torch read when they load; what the user has set stays.

    Threads that wait for each other spin. On an idle machine that is a third faster; where other
    processes want the processors it is seven times slower, so there they sleep.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # our products are small
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # the exporter's notes to itself
    if os.getloadavg()[0] > 0.5 * (os.cpu_count() or 1):
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
