"""Files that neither a kill nor a second command must spoil."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from kidsnanny.errors import DataError


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other commands from writing into a folder; whatever ends this process gives it back.

    Raises:
        DataError: another one is at it.
        OSError: it cannot be written.
    """
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise DataError(
            f"{folder}: another command is writing there; wait until it has ended, or give another --out."
        ) from error


def replace(path: Path, data: bytes) -> None:
    """Write all of it or nothing.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(data)
        os.fsync(file.fileno())
    os.replace(temporary, path)
