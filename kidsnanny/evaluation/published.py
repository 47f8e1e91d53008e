"""The figures that the KidsNanny paper prints, where each is from, and the confusion counts they can be resolved to."""

import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Literal

from kidsnanny.evaluation.metrics import ConfusionMatrix
from kidsnanny.records import Record

Mark = Literal["P", "S", "D"]
"""`P` printed in the paper; `S` from a secondary source; `D` derived by us by arithmetic."""


class PublishedFigure(Record):
    """A figure as printed: per cent, or milliseconds."""

    printed: str
    mark: Mark
    rounded_twice: bool = False
    """No whole numbers give it; it is what they give at two decimals, rounded half up to one."""


class PublishedRow(Record):
    """One system in one table. What is None is not public."""

    table: str
    system: str
    counts: ConfusionMatrix | None = None
    """Never printed: always derived."""
    correct: int | None = None
    """Where only the accuracy is known: how many pictures that is, derived."""
    accuracy: PublishedFigure | None = None
    precision: PublishedFigure | None = None
    recall: PublishedFigure | None = None
    f1: PublishedFigure | None = None
    ms: PublishedFigure | None = None
    note: str = ""


class PaperTable(Record):
    """One set of pictures in one regime."""

    title: str
    subset: str | None = None
    pictures: int
    unsafe: int | None = None
    hardware: str


class PublishedResults(Record):
    """`published.toml`."""

    tables: dict[str, PaperTable]
    rows: tuple[PublishedRow, ...]

    def tables_for(self, subset: str | None, categories: Iterable[str]) -> list[tuple[PaperTable, list[PublishedRow]]]:
        """The tables on this subset (None: on all 1,054 pictures), with their rows; none unless Sexual is looked at."""
        if "Sexual" not in categories:
            return []
        chosen = {key: table for key, table in self.tables.items() if table.subset == subset}
        return [(table, [row for row in self.rows if row.table == key]) for key, table in chosen.items()]


@cache
def published_results() -> PublishedResults:
    """What the paper prints on UnsafeBench Sexual."""
    return PublishedResults.model_validate(
        tomllib.loads(files(__package__).joinpath("published.toml").read_text("utf-8"))
    )
