"""Verdicts as tables for spreadsheets and data frames: CSV and Parquet, a row for each verdict."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, Self

from kidsnanny.files import private
from kidsnanny.media.loader import Source
from kidsnanny.taxonomy import CATEGORIES
from kidsnanny.verdict import Verdict

ROWS = 500
"""Of a row group of a Parquet file: it is in memory until it is written."""
FIRST_COLUMNS = ("name", "policy", "label", "action")
COLUMNS: dict[str, str] = {
    **dict.fromkeys(FIRST_COLUMNS, "string"),
    **dict.fromkeys(CATEGORIES, "float64"),
    **dict.fromkeys(("reasons", "not_inspected", "noted"), "string"),
    "text_found": "bool_",
    **dict.fromkeys(("width", "height", "frames"), "int64"),
    "sha256": "string",
    "ms": "float64",
}
"""Column -> its type in a Parquet file. A category's is its final score, and empty where nothing looked for it."""


_HEAD = ",".join(f'"{name}"' for name in FIRST_COLUMNS).encode()
"""How a CSV table begins."""


def row(verdict: Verdict) -> dict[str, Any]:
    """A verdict's cells by column; None is an empty one."""
    media = verdict.inspection.media
    return {
        "name": verdict.source,
        "policy": verdict.provenance.policy,
        "label": verdict.label,
        "action": verdict.action,
        **{category: verdict.scores.get(category) for category in CATEGORIES},
        "reasons": "; ".join(map(str, verdict.reasons)),
        "not_inspected": "; ".join(map(str, verdict.not_inspected)),
        "noted": "; ".join(map(str, verdict.noted)),
        "text_found": bool(verdict.inspection.lines) if verdict.inspection.text_signals else None,
        **{name: getattr(media, name) if media else None for name in ("width", "height", "frames")},
        "sha256": verdict.provenance.sha256,
        "ms": round(sum(verdict.timings.values()), 3),
    }


class _Table:
    """Writes a row for each verdict. What is written is whole whenever the `with` block ends, by an error as well.

    Args:
        path: the file to write or replace. Only its owner may read one that is made.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file: IO[bytes] = open(path, "wb", opener=private)  # noqa: SIM115

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class CsvTable(_Table):
    """CSV in UTF-8, every cell in quotes and none a formula; each row is in the file as soon as it is made."""

    @staticmethod
    def may_replace(path: Path) -> bool:
        """Whether the file is not there, is empty, or is such a table."""
        if not path.is_file():
            return True
        with path.open("rb") as file:
            return file.read(len(_HEAD)) in (b"", _HEAD)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._write(COLUMNS)

    def add(self, source: Source | None, verdict: Verdict) -> None:  # noqa: ARG002
        """Add a row. Where nothing looked for text, `text_found` is empty."""
        cells = row(verdict)
        cells["text_found"] = {True: "yes", False: "no"}.get(cells["text_found"])
        self._write("" if cell is None else cell for cell in cells.values())

    def _write(self, cells: Iterable[object]) -> None:
        from kidsnanny.evaluation.csv_files import csv_text

        self._file.write(csv_text([cells]).encode())
        self._file.flush()


class ParquetTable(_Table):
    """Parquet: row groups, and the end that makes it readable when the block ends.

    Raises:
        ImportError: pyarrow is not installed.
    """

    @staticmethod
    def may_replace(path: Path) -> bool:
        """Whether the file is not there, is empty, is such a table, or has no end, as after a kill."""
        import pyarrow.parquet

        if not path.is_file():
            return True
        with path.open("rb") as file:
            if file.read(4) not in (b"", b"PAR1"):
                return False
            file.seek(-min(4, path.stat().st_size), os.SEEK_END)
            return file.read() != b"PAR1" or pyarrow.parquet.read_schema(path).names == list(COLUMNS)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        import pyarrow
        import pyarrow.parquet

        self._schema = pyarrow.schema([(name, getattr(pyarrow, kind)()) for name, kind in COLUMNS.items()])
        super().__init__(path)
        self._rows: list[dict[str, Any]] = []
        self._writer = pyarrow.parquet.ParquetWriter(self._file, self._schema)

    def add(self, source: Source | None, verdict: Verdict) -> None:  # noqa: ARG002
        """Add a row."""
        self._rows.append(row(verdict))
        if len(self._rows) == ROWS:
            self._write()

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._write()
            self._writer.close()

    def _write(self) -> None:
        import pyarrow

        if self._rows:
            self._writer.write_table(pyarrow.Table.from_pylist(self._rows, self._schema))
            self._rows = []
