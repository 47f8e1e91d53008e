"""Our TOML files (policies, profiles, weight cards, vocabularies, column maps), and in words what is wrong with one."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

LARGEST = 16 * 2**20
"""Bytes that such a file has at most."""
DEEPEST = 64
"""Tables and lists in each other."""
UNKNOWN = "there is no such key"
MISSING = "it is missing"
_DEEP = "its values are nested too deeply"
_PLAIN = {
    "a valid ": "a ",
    "a dictionary or instance of ": "a table, like ",
    "a dictionary": "a table",
    "a tuple": "a list",
    "a boolean": "true or false",
    "a integer": "a whole number",
    "an integer": "a whole number",
    "a string": "a text in quotes",
}


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file in UTF-8, with or without a byte order mark.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not TOML; the message says why in one line and does not name the file.
    """
    with open(path, "rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} bytes")
    try:
        tables = tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"it is not UTF-8 (at line {line})") from error
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError as error:
        raise ValueError(_DEEP) from error
    except ValueError as error:  # of Python's limit on digits
        raise ValueError("a number in it has too many digits") from error
    return _shallow(tables)


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


def first_fault(error: ValidationError) -> tuple[str, str]:
    """The first of `faults`."""
    return faults(error)[0]


def faults(error: ValidationError) -> list[tuple[str, str]]:
    """Where each fault is, `the file` or keys with dots between, and what is wrong there, in words."""
    return [_fault(one) for one in error.errors(include_url=False)]


def _fault(fault: Any) -> tuple[str, str]:
    where = ".".join(str(step) for step in fault["loc"] if step != "[key]") or "the file"
    if fault["type"] == "extra_forbidden" or "[key]" in fault["loc"]:
        return where, UNKNOWN
    if fault["type"] == "missing":
        return where, MISSING
    if fault["type"] == "union_tag_invalid":
        context = fault["ctx"]
        return where, f"its {context['discriminator']} is {context['tag']!r:.40}, expected {context['expected_tags']}"
    if fault["type"] == "union_tag_not_found":
        return where, f"its {fault['ctx']['discriminator']} is missing"
    if fault["type"] == "too_short":
        return where, f"it has {fault['ctx']['actual_length']} values, expected {fault['ctx']['min_length']} or more"
    said = fault["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if not said.startswith("Input should be "):
        return where, said
    expected = said.removeprefix("Input should be ").partition(", unable to parse")[0]
    for jargon, plain in _PLAIN.items():
        expected = expected.replace(jargon, plain)
    given = {True: "true", False: "false"}[fault["input"]] if isinstance(fault["input"], bool) else repr(fault["input"])
    return where, f"it is {given if len(given) <= 40 else given[:39] + '…'}, expected {expected}"
