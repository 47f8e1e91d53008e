"""What the commands share: exit codes, the two consoles, and errors as one sentence and an exit code."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import NoReturn, TypeVar

import typer
from rich.console import Console
from rich.progress import track

from kidsnanny.errors import DataError, KidsnannyError, PolicyError

T = TypeVar("T")

stderr = Console(stderr=True, highlight=False)
stdout = Console(highlight=False, soft_wrap=True)


class Exit(IntEnum):
    """Exit codes, as `--help` lists them."""

    CLEAR = 0
    USAGE = 2
    COMPONENT = 3
    FLAGGED = 10
    NOT_INSPECTED = 11
    INTERRUPTED = 130


def fail(code: Exit, message: str) -> NoReturn:
    """Print the message on stderr and end the command."""
    warn(f"kidsnanny: {message}")
    raise typer.Exit(code)


def say(text: str, style: str | None = None) -> None:
    """Print a line on stdout, as it is: no markup, no control characters."""
    stdout.print(printable(text), style=style, markup=False)


def warn(text: str) -> None:
    """Print a line on stderr, as it is: no markup, no control characters."""
    stderr.print(printable(text), markup=False, soft_wrap=True)


def printable(text: str) -> str:
    """The text with control characters escaped: text from a picture or a file name must not drive the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def progress(items: Iterable[T], description: str, total: int) -> Iterable[T]:
    """The same items, with a progress bar on stderr if that is a terminal and there are several."""
    hidden = not stderr.is_terminal or total < 2
    return track(items, description, total, console=stderr, transient=True, disable=hidden)


@contextmanager
def exit_on_error(code: Exit | None = None, *, interrupted: str = "Interrupted.") -> Iterator[None]:
    """End the command with an error's sentence and an exit code when a KidsnannyError or Ctrl-C leaves the block.

    Args:
        code: of every KidsnannyError; by default USAGE for data and policies, COMPONENT for everything else.
        interrupted: the sentence after Ctrl-C.
    """
    try:
        yield
    except KidsnannyError as error:
        by_kind = Exit.USAGE if isinstance(error, DataError | PolicyError) else Exit.COMPONENT
        fail(by_kind if code is None else code, str(error))
    except KeyboardInterrupt:
        fail(Exit.INTERRUPTED, interrupted)


@contextmanager
def exit_without_extra(what: str, extra: str) -> Iterator[None]:
    """End the command when an import in the block fails, with the extra that `what` needs."""
    try:
        yield
    except ImportError as error:
        fail(Exit.COMPONENT, f"{what} needs {error.name}; run `pip install 'kidsnanny[{extra}]'`.")
