"""F1 by source and category, as UnsafeBench prints it (arXiv 2405.03486), and what it prints.

Positive is unsafe. A safe picture belongs to the category that it was searched under, and whatever splits are in the
data are taken together, as in the paper. A cell is None where the system is not evaluated on the category.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files

from pydantic import TypeAdapter

from kidsnanny.evaluation.markdown import markdown_table
from kidsnanny.evaluation.metrics import Estimate
from kidsnanny.evaluation.predictions import Prediction
from kidsnanny.evaluation.slices import Slice, slice_of
from kidsnanny.evaluation.systems.system import was_asked
from kidsnanny.records import Record
from kidsnanny.taxonomy import UNSAFEBENCH

ALL_SOURCES = ""
"""As the name of a source: all of them together."""
OVERALL = "Overall"


class PrintedRow(Record):
    """A row of a table of the paper."""

    source: str
    """Of the data set, or ALL_SOURCES."""
    system: str
    f1: dict[str, str]
    """Category, or OVERALL -> F1 as printed. What is not printed is left out."""


class CategoryRow(Record):
    """One system on the pictures of one source."""

    system: str
    cells: dict[str, Slice | None]
    """Category -> its pictures; None where the system is not evaluated on it."""
    overall: Slice
    """The pictures of all categories that it is evaluated on; the paper prints it only of systems with all of them."""

    @property
    def evaluated_on(self) -> int:
        """How many categories."""
        return sum(cell is not None for cell in self.cells.values())


class SourceTable(Record):
    """The systems on the pictures of one source, and what the paper prints of that."""

    source: str
    """Of the data set, or ALL_SOURCES."""
    categories: tuple[str, ...]
    """UnsafeBench's that are in the data, in the paper's order."""
    rows: tuple[CategoryRow, ...]
    printed: tuple[PrintedRow, ...]


@cache
def printed_rows() -> tuple[PrintedRow, ...]:
    """What the paper prints."""
    rows = tomllib.loads(files(__package__).joinpath("published_unsafebench.toml").read_text("utf-8"))["rows"]
    heads = (*UNSAFEBENCH, OVERALL)
    named = [
        {**row, "f1": {head: cell for head, cell in zip(heads, row["f1"], strict=True) if cell != "-"}} for row in rows
    ]
    return TypeAdapter(tuple[PrintedRow, ...]).validate_python(named)


def unsafebench_tables(systems: Mapping[str, Sequence[Prediction]]) -> tuple[SourceTable, ...]:
    """A table of all sources, and one of each if there are several; none unless the data have at least two of
    UnsafeBench's categories.

    Args:
        systems: a system's name -> its line of every picture.
    """
    lines = [line for of_system in systems.values() for line in of_system]
    found = {line.category for line in lines}
    categories = tuple(name for name in UNSAFEBENCH if name in found)
    if len(categories) < 2:
        return ()
    sources = sorted({line.source for line in lines if line.category in categories})
    return tuple(
        SourceTable(
            source=source,
            categories=categories,
            rows=tuple(_row(name, of_system, source, categories) for name, of_system in systems.items()),
            printed=tuple(row for row in printed_rows() if row.source == source),
        )
        for source in (ALL_SOURCES, *(sources if len(sources) > 1 else ()))
    )


def _row(name: str, lines: Sequence[Prediction], source: str, categories: Iterable[str]) -> CategoryRow:
    cells: dict[str, Slice | None] = {}
    counted: list[Prediction] = []
    for category in categories:
        of_category = [line for line in lines if line.category == category]
        here = [line for line in of_category if source in (ALL_SOURCES, line.source)]
        evaluated = any(map(was_asked, of_category))
        cells[category] = slice_of(here) if evaluated else None
        counted += here if evaluated else ()
    return CategoryRow(system=name, cells=cells, overall=slice_of(counted))


def as_text(tables: Iterable[SourceTable], marks: Mapping[str, str], absent: Iterable[str]) -> str:
    """The tables as Markdown, without intervals.

    Args:
        tables: of `unsafebench_tables`.
        marks: a system's name -> what stands behind it, such as that its weights are random.
        absent: the names of systems that could not be evaluated.
    """
    parts = []
    for table in tables:
        heads = (f"F1, {f'source {table.source}' if table.source else 'all sources'}", *table.categories, OVERALL)
        rows = []
        for row in table.rows:
            cells = ["" if cell is None else _cell(cell.scores.f1) for cell in row.cells.values()]
            overall = f"{_cell(row.overall.scores.f1)} (of {row.evaluated_on})" if row.evaluated_on else ""
            rows.append((row.system + marks.get(row.system, ""), *cells, overall))
        rows += [(f"{name}: not evaluated", *[""] * len(heads[1:])) for name in absent]
        rows += [(f"{row.system}: published", *(row.f1.get(head, "") for head in heads[1:])) for row in table.printed]
        parts.append(markdown_table(heads, rows))
    return "\n".join(parts)


def _cell(f1: Estimate) -> str:
    """A dash where F1 is not defined."""
    return "–" if f1.value is None else f"{f1.value:.3f}".removeprefix("0")
