"""The project's own corpus: lines that authors wrote for it, harmful ones and harmless ones with the same words.

A folder `train`, `validation` and `test`, in each a JSON Lines file per author: an author is in one part only.
"""

from pathlib import Path
from typing import Literal

from pydantic import ValidationError, model_validator

from kidsnanny.errors import ComponentError
from kidsnanny.faults import first_fault
from kidsnanny.records import Record
from kidsnanny.taxonomy import Category

Part = Literal["train", "validation", "test"]


class Line(Record):
    """One line of the corpus."""

    text: str
    kind: Literal["harmful", "look_alike", "plain"]
    categories: tuple[Category, ...]
    """Of a harmful line those it belongs to, the main one first; of a look-alike the one it looks like."""
    language: str
    """As in BCP 47: `de`, or `hi-Latn` for romanised Hindi."""

    @model_validator(mode="after")
    def _labelled(self) -> "Line":
        if (self.kind == "plain") == bool(self.categories):
            raise ValueError("a harmful line and a look-alike have categories, and a plain one has none")
        return self


def read_corpus(folder: Path, part: Part) -> dict[str, list[Line]]:
    """The lines of one part, by author.

    Raises:
        ComponentError: the folder lacks the part, or a line of it is malformed.
    """
    files = sorted((folder / part).glob("*.jsonl"))
    if not files:
        raise ComponentError(f"{folder / part}: no *.jsonl of the corpus there; give its folder with --corpus.")
    found: dict[str, list[Line]] = {}
    for path in files:
        try:
            written = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ComponentError(f"{path}: it cannot be read ({error}); fetch the corpus again.") from error
        for number, line in enumerate(written, 1):
            try:
                found.setdefault(path.stem, []).append(Line.model_validate_json(line))
            except ValidationError as error:
                raise ComponentError(f"{path}:{number}: {first_fault(error)}; correct the line.") from error
    return found
