"""Files that a kill must not leave half written."""

import os
from pathlib import Path


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
