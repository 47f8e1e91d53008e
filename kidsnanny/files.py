"""Files that neither a kill nor a second command must spoil."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from kidsnanny.errors import DataError


@contextmanager
def alone_in(place: Path) -> Iterator[None]:
    """Keep other commands from writing into a folder, or to a file; whatever ends this process gives it back.

    Raises:
        DataError: another command is writing there.
        OSError: the folder, or that of the file, cannot be written to.
    """
    try:
        with FileLock(place / ".lock" if place.is_dir() else place.with_name(f".{place.name}.lock"), timeout=0):
            yield
    except Timeout as error:
        raise DataError(
            f"{place}: another command is writing there; wait until it has ended, or name another place."
        ) from error


def private(path: str, flags: int) -> int:
    """An opener for `open`: only its owner may read a file that is made."""
    return os.open(path, flags, 0o600)


@contextmanager
def atomic_writer(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """A binary file that takes its place at `path` when the `with` block ends; if the block raises, nothing changes.

    Args:
        path: the file to write or replace.
        private: only its owner may read it.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".kidsnanny-{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(temporary, flags, 0o600 if private else 0o666)
    try:
        with open(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, data: bytes) -> None:
    """Write all of it or nothing.

    Raises:
        OSError: it cannot be written.
    """
    with atomic_writer(path) as file:
        file.write(data)
