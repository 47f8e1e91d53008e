"""Our TOML files: policies, profiles, weight cards, vocabularies, column maps."""

import tomllib
from pathlib import Path
from typing import Any

LARGEST = 16 * 2**20
"""Bytes that such a file has at most."""
DEEPEST = 64
"""Tables and lists in each other."""
LONGEST_SEARCHED = 500
_DEEP = "its values are nested too deeply"


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file in UTF-8, with or without a byte order mark.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not TOML; the message says why in one line and does not name the file.
    """
    return parse_toml(toml_text(path))


def toml_text(path: Path) -> str:
    """What stands in such a file; raises as `read_toml` does."""
    with open(path, "rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"it is not UTF-8 (at line {line})") from error


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of such a text; raises as `read_toml` does."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError as error:
        raise ValueError(_DEEP) from error
    except ValueError as error:  # of Python's limit on digits
        raise ValueError("a number in it has too many digits") from error
    return _shallow(tables)


def line_of(text: str, key: str) -> int | None:
    """The line of a TOML file, counted from 1, in which a key (with dots between the tables) gets its value.

    It is the first that makes the difference between a beginning of the file without the key and one with it. None if
    the key is not there, or the file has more than LONGEST_SEARCHED lines.
    """
    lines = text.split("\n")
    without = 0
    for end in range(1, len(lines) + 1) if len(lines) <= LONGEST_SEARCHED else ():
        try:
            table: Any = tomllib.loads("\n".join(lines[:end]))
        except ValueError:  # it ends within a value
            continue
        for step in key.split("."):
            table = table.get(step) if isinstance(table, dict) else None
        if table is not None:
            return without + 1
        without = end
    return None


def _shallow(tables: dict[str, Any]) -> dict[str, Any]:
    """The same, if whoever reads it may go down into it."""
    level: list[Any] = [tables]
    for _ in range(DEEPEST):
        inside = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        if not (level := [value for values in inside for value in values]):
            return tables
    raise ValueError(_DEEP)


def why_unread(error: OSError | ValueError) -> str:
    """Why `read_toml` failed, without the file's name."""
    return (error.strerror if isinstance(error, OSError) else None) or " ".join(str(error).split())
