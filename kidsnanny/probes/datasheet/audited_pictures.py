"""A picture to audit, with the class and the caption that its data set gives it, and without any label."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kidsnanny.evaluation.example_fields import text_of

CLASS_COLUMNS = ("class", "category", "label")
"""Where a class is looked for, in this order."""
CAPTION_COLUMNS = ("caption", "text")
"""Where a caption is looked for, in this order."""
CAPTION_BYTES = 2**20
"""Of a file with a caption or a class at most so many bytes are read."""


class AuditedPicture(NamedTuple):
    """One picture of a data set."""

    name: str
    """Which one it is, as a person finds it."""
    image: bytes | Path
    """As it lies in the data set: broken ones, too."""
    group: str = ""
    """Its class; empty if the data set names none."""
    caption: str = ""
    """What the data set says of it; empty if that is nothing."""
    problem: str = ""
    """Why its class or caption could not be read; empty if they could, or if there are none."""


def caption_in(cells: Mapping[str, Any]) -> str:
    """What stands in the first column with a caption; the first of several captions."""
    found = next((cells[name] for name in CAPTION_COLUMNS if cells.get(name) not in (None, "", [])), "")
    return text_of(found[0] if isinstance(found, list) else found)


def class_in(cells: Mapping[str, Any]) -> str:
    """What stands in the first column with a class."""
    return text_of(next((cells[name] for name in CLASS_COLUMNS if cells.get(name) not in (None, "")), ""))
