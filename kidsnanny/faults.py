"""What is wrong with data that a model refuses, and why code of somebody else's failed, in words.

This is the only place that reads pydantic's messages.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from kidsnanny.errors import InputError, KidsnannyError

UNKNOWN = "there is no such key"
MISSING = "it is missing"
FEW = 12
"""Keys that a message lists."""
_PLAIN = {
    "a valid ": "a ",
    "a dictionary": "a table",
    "an object": "a table",
    "a tuple": "a list",
    "an array": "a list",
    "a boolean": "true or false",
    "a integer": "a whole number",
    "an integer": "a whole number",
    "a string": "a text in quotes",
    "less than or equal to": "at most",
    "greater than or equal to": "at least",
    "greater than": "above",
    "less than": "below",
}
_OURS = re.compile(r" or instance of \w+")
"""The name of a class means nothing to whoever writes a file."""


class Fault(NamedTuple):
    """One value that is refused."""

    where: str
    """Its keys with dots between; empty if it is the whole."""
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}" if self.where else self.why


def faults(error: ValidationError, known: Mapping[str, Any] | None = None) -> list[Fault]:
    """Everything that is refused. Of what is below an unknown key, the key alone is named.

    Args:
        error: pydantic's.
        known: tables in each other with every key that there is, from which an unknown one gets a suggestion: an
            example, or a model's fields.
    """
    details = error.errors(include_url=False)
    unknown = {_steps(one) for one in details if _is_unknown(one)}
    found = []
    for one in details:
        steps = _steps(one)
        if _is_unknown(one):
            found.append(Fault(".".join(steps), UNKNOWN + _suggestion(steps, known)))
        elif not any(steps[:n] in unknown for n in range(1, len(steps) + 1)):
            found.append(Fault(".".join(steps), _why(one)))
    return found


def first_fault(error: ValidationError, known: Mapping[str, Any] | None = None) -> Fault:
    """The first of `faults`."""
    return faults(error, known)[0]


def in_words(error: BaseException) -> str:
    """Why something failed, in one line: our own errors say all there is to say, others are named with their kind.
    The name of a picture is left out."""
    if isinstance(error, InputError):
        return error.reason
    if isinstance(error, KidsnannyError):
        return str(error)
    said = str(first_fault(error)) if isinstance(error, ValidationError) else str(error)
    return f"{type(error).__name__}: {' '.join(said.split())}" if said else type(error).__name__


def _steps(one: ErrorDetails) -> tuple[str, ...]:
    return tuple(str(step) for step in one["loc"] if step != "[key]")


def _is_unknown(one: ErrorDetails) -> bool:
    return one["type"] == "extra_forbidden" or "[key]" in one["loc"]


def _suggestion(steps: tuple[str, ...], known: Mapping[str, Any] | None) -> str:
    """The key that was probably meant, or all that there are if they are few."""
    table: Any = known
    for step in steps[:-1]:
        table = table.get(step) if isinstance(table, Mapping) else None
    if not isinstance(table, Mapping):
        return ""
    close = get_close_matches(steps[-1], table, n=1)
    if close:
        return f" (did you mean {close[0]}?)"
    return f" (there are {', '.join(table)})" if len(table) <= FEW else ""


def _why(one: ErrorDetails) -> str:
    context = one.get("ctx", {})
    match one["type"]:
        case "missing":
            return MISSING
        case "union_tag_invalid":
            return f"its {context['discriminator']} is {context['tag']!r:.40}, expected {context['expected_tags']}"
        case "union_tag_not_found":
            return f"its {context['discriminator']} is missing"
        case "too_short":
            return f"it has {context['actual_length']} values, expected {context['min_length']} or more"
        case "json_invalid":
            return f"it is not JSON ({context['error']})"
    said = one["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if not said.startswith("Input should be "):
        return said
    expected = _OURS.sub("", said.removeprefix("Input should be ").partition(", unable to parse")[0])
    for jargon, plain in _PLAIN.items():
        expected = expected.replace(jargon, plain)
    value = one["input"]
    given = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return f"it is {given if len(given) <= 40 else given[:39] + '…'}, expected {expected}"
