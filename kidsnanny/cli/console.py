"""What the commands share: exit codes, the two consoles, and errors as one sentence and an exit code."""

import errno
import io
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import NoReturn, Self, TextIO, TypeVar

import typer
from PIL import Image
from rich.console import Console
from rich.progress import track

from kidsnanny.errors import CardError, DataError, KidsnannyError, PolicyError, ProfileError

T = TypeVar("T")

CLOSED_PIPE = 141
"""Exit code of a command that SIGPIPE ends, as a shell counts: 128 and the signal's number."""


class _PlainConsole(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to `Output`; rich's own ends the command with exit code 1."""
        raise


stderr = _PlainConsole(stderr=True, highlight=False)
stdout = _PlainConsole(highlight=False, soft_wrap=True)


class Exit(IntEnum):
    """Exit codes, as `--help` lists them."""

    CLEAR = 0
    DIFFERENT = 1
    USAGE = 2
    COMPONENT = 3
    OUTPUT = 4
    FLAGGED = 10
    NOT_INSPECTED = 11
    INTERRUPTED = 130
    TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM, in a `terminable` block."""


def fail(code: Exit, *messages: str) -> NoReturn:
    """Print the messages on stderr, each on a line, and end the command."""
    for message in messages:
        warn(f"kidsnanny: {message}")
    raise typer.Exit(code)


def say(text: str, style: str | None = None) -> None:
    """Print a line on stdout, as it is: no markup, no control characters."""
    stdout.print(printable(text), style=style, markup=False)


def warn(text: str) -> None:
    """Print a line on stderr, as it is: no markup, no control characters. A stderr that is full costs the line only."""
    with suppress(OSError):
        stderr.print(printable(text), markup=False, soft_wrap=True)


def quiet_libraries() -> None:
    """Have nothing that libraries say of a picture on the terminal: it is in the verdict."""
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)  # the verdict reports such a picture as refused
    logging.getLogger().addHandler(logging.NullHandler())  # or the libraries' warnings go to stderr


def utf8_output() -> None:
    """Have stdout take UTF-8, which JSON is whatever the console's encoding."""
    if sys.stdout:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]


class Output(io.TextIOWrapper):
    """stdout, which keeps in mind whether it could take all that was printed; what an encoding lacks is spelled out."""

    failure: OSError | None = None

    @classmethod
    def over(cls, stream: TextIO) -> Self:
        """A console's or a file's stream, which cannot be used any more."""
        encoding, lines = stream.encoding, bool(stream.line_buffering)
        through = bool(getattr(stream, "write_through", False))
        binary = stream.detach()  # type: ignore[attr-defined]
        return cls(binary, encoding, "backslashreplace", line_buffering=lines, write_through=through)

    def write(self, text: str) -> int:
        with self._failing():
            return super().write(text)

    def flush(self) -> None:
        with self._failing():
            super().flush()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = error
            raise

    def exit_code(self) -> int | None:
        """The exit code if it took not all, which is said on stderr; None if it did.

        What it did not take is thrown away, so that the interpreter does not try again when it ends.
        """
        with suppress(OSError):
            self.flush()
        if self.failure is None:
            return None
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
        if self.failure.errno == errno.EPIPE:
            return CLOSED_PIPE
        why = self.failure.strerror
        warn(f"kidsnanny: the output cannot be written ({why}); make room, or send it to another place.")
        return Exit.OUTPUT


def printable(text: str) -> str:
    """The text with control characters escaped: text from a picture or a file name must not drive the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def progress(items: Iterable[T], description: str, total: int | None) -> Iterable[T]:
    """The same items, with a progress bar on stderr if that is a terminal and there are several; None: nobody knows how
    many."""
    hidden = not stderr.is_terminal or (total is not None and total < 2)
    return track(items, description, total, console=stderr, transient=True, disable=hidden)


def interruption(error: KeyboardInterrupt) -> Exit:
    """The exit code after Ctrl-C, or after SIGTERM."""
    return Exit.TERMINATED if isinstance(error, Terminated) else Exit.INTERRUPTED


@contextmanager
def terminable() -> Iterator[None]:
    """Have SIGTERM end the block as Ctrl-C does, with what is done written and in order."""

    def end(*_: object) -> NoReturn:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():  # which alone may say what a signal does
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def exit_on_error(code: Exit | None = None, *, interrupted: str = "Interrupted.") -> Iterator[None]:
    """End the command with an error's sentence and an exit code when a KidsnannyError or Ctrl-C leaves the block.

    Args:
        code: of every KidsnannyError; by default USAGE for data, policies and profiles, COMPONENT for everything else.
        interrupted: the sentence after Ctrl-C.
    """
    try:
        yield
    except KidsnannyError as error:
        by_kind = Exit.USAGE if isinstance(error, DataError | PolicyError | ProfileError) else Exit.COMPONENT
        fail(by_kind if code is None else code, *(error.faults if isinstance(error, CardError) else [str(error)]))
    except KeyboardInterrupt as error:
        fail(interruption(error), interrupted)


@contextmanager
def exit_without_extra(what: str, extra: str) -> Iterator[None]:
    """End the command when an import in the block fails, with the extra that `what` needs."""
    try:
        yield
    except ImportError as error:
        fail(Exit.COMPONENT, f"{what} needs {error.name}; run `pip install 'kidsnanny[{extra}]'`.")
