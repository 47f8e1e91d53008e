"""The figures that the KidsNanny paper prints, where each is from, and the confusion counts they can be resolved to."""

import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Literal

from kidsnanny.evaluation.metrics import Counts
from kidsnanny.records import Record

Mark = Literal["P", "S", "D"]
"""`P` printed in the paper; `S` from a secondary source; `D` derived by us by arithmetic."""


class Printed(Record):
    """A figure as printed: per cent, or milliseconds."""

    printed: str
    mark: Mark
    rounded_twice: bool = False
    """No whole numbers give it; it is what they give at two decimals, rounded half up to one."""


class Row(Record):
    """One system in one table. What is None is not public."""

    table: str
    system: str
    counts: Counts | None = None
    """Never printed: always derived."""
    correct: int | None = None
    """Where only the accuracy is known: how many pictures that is, derived."""
    accuracy: Printed | None = None
    precision: Printed | None = None
    recall: Printed | None = None
    f1: Printed | None = None
    ms: Printed | None = None
    note: str = ""


class Table(Record):
    """One set of pictures in one regime."""

    title: str
    subset: str | None = None
    pictures: int
    unsafe: int | None = None
    hardware: str


class Published(Record):
    """`published.toml`."""

    tables: dict[str, Table]
    rows: tuple[Row, ...]

    def beside(self, subset: str | None, categories: Iterable[str]) -> list[tuple[Table, list[Row]]]:
        """The tables on this subset (None: on all 1,054 pictures), with their rows; none unless Sexual is looked at."""
        if "Sexual" not in categories:
            return []
        chosen = {key: table for key, table in self.tables.items() if table.subset == subset}
        return [(table, [row for row in self.rows if row.table == key]) for key, table in chosen.items()]


@cache
def published() -> Published:
    """What the paper prints on UnsafeBench Sexual."""
    return Published.model_validate(tomllib.loads(files(__package__).joinpath("published.toml").read_text("utf-8")))
