"""Examples from parquet files and from arrow files that the `datasets` library saved.

UnsafeBench's columns are `image` (bytes, or a struct of `bytes` and `path`), `safety_label` (`Safe` or `Unsafe`),
`category`, `source` and optionally `id`, as its data set card lists them. An evaluation reads no other
columns, like `text`.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kidsnanny.errors import DataError
from kidsnanny.evaluation.example_fields import inside, parse_label, split_of, text_of
from kidsnanny.evaluation.predictions import Example

GENERATED = {b"kidsnanny": b"generated"}
"""The schema metadata of a data set that `generated.write` drew."""
ROWS = 16
"""Rows of parquet that are in memory at once."""


def table_files(path: Path) -> list[Path]:
    """The tables at a path: a .parquet file itself, or those below a folder, or what `datasets` saved there; or none.

    Raises:
        DataError: what `datasets` saved cannot be read.
    """
    if path.suffix == ".parquet" and path.is_file():
        return [path]
    return (sorted(path.rglob("*.parquet")) or saved_files(path)) if path.is_dir() else []


def saved_files(folder: Path) -> list[Path]:
    """The files of what `datasets` saved: each folder's state.json names them in order."""
    states = sorted(folder.rglob("state.json"))
    try:
        return [
            inside(folder, state.parent / file["filename"], str(state))
            for state in states
            for file in json.loads(state.read_text("utf-8"))["_data_files"]
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{folder}: its state.json cannot be read ({error}); save the data set again.") from error


def open_table(file: Path) -> tuple[Any, Callable[[list[str]], Iterator[Any]]]:
    """The schema of a parquet or arrow file, and a function that reads batches of some of its columns."""
    try:
        import pyarrow
        from pyarrow import ipc, parquet
    except ImportError as error:
        fix = "run `pip install 'kidsnanny[eval]'` (or `[student]`)"
        raise DataError(f"{file}: reading it needs pyarrow ({error}); {fix}.") from error
    try:
        if file.suffix == ".parquet":
            opened = parquet.ParquetFile(file)
            return opened.schema_arrow, lambda columns: opened.iter_batches(ROWS, columns=columns)
        stream = ipc.open_stream(pyarrow.memory_map(str(file)))
        return stream.schema, lambda columns: (
            batch.slice(start, ROWS).select(columns) for batch in stream for start in range(0, batch.num_rows, ROWS)
        )
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{file}: it cannot be read ({error}); get it again.") from error


class TableRow(NamedTuple):
    """A picture's row in one of a data set's tables."""

    id: str
    """The split and the column `id`, or the number of the row in its split."""
    image: bytes | Path
    """As it lies in the table, or the file beside it that the table names."""
    file: Path
    """The table."""
    split: str
    """train, test or the like; empty if the file does not say."""
    number: int
    """Of the row in its split, counted from 0."""
    cells: dict[str, Any]
    """By column. A number that stands for a word is that word."""


def picture_rows(root: Path, files: list[Path], required: Sequence[str], others: Sequence[str]) -> Iterator[TableRow]:
    """The rows of tables with pictures in their column `image`.

    Args:
        root: the data set's folder.
        files: the tables.
        required: columns that each table has, besides `image`.
        others: columns that are read where they are there.

    Raises:
        DataError: a table cannot be read or lacks a column, or a picture lies outside the folder.
    """
    rows: Counter[str] = Counter()
    for file in files:
        schema, batches = open_table(file)
        if missing := [column for column in ("image", *required) if column not in schema.names]:
            have = ", ".join(schema.names)
            raise DataError(f"{file}: it has no column {' and no '.join(missing)} but {have}; rename its columns.")
        split = split_of(file, root)
        columns = [c for c in ("image", *required, *others, "id") if c in schema.names]
        words = _class_names(schema)
        for row in table_rows(file, batches(columns)):
            for column in words.keys() & row.keys():
                row[column] = words[column].get(row[column], row[column])
            number = rows[split]
            rows[split] += 1
            own = row.get("id")
            name = text_of(f"{split or 'all'}/{number if own is None else own}")
            yield TableRow(name, stored_image(row.pop("image"), file, root), file, split, number, row)


def read_tables(root: Path, files: list[Path], default: str) -> Iterator[Example]:
    """UnsafeBench's columns. Errors are those of `picture_rows`."""
    for row in picture_rows(root, files, ("safety_label",), ("category", "source")):
        yield Example(
            id=row.id,
            image=row.image,
            unsafe=parse_label(row.file, row.number, row.cells["safety_label"]),
            category=text_of(row.cells.get("category", default)),
            source=text_of(row.cells.get("source")),
            split=row.split,
        )


def _class_names(schema: Any) -> dict[str, dict[object, str]]:
    """Column -> number -> the word that it stands for, where the `datasets` library wrote a ClassLabel."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        kinds = {column: of for column, of in features.items() if isinstance(of, dict)}  # a list's is a list
        labels = {column: of["names"] for column, of in kinds.items() if of.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError):  # not its files
        return {}
    return {column: dict(enumerate(map(str, names))) for column, names in labels.items()}


def table_rows(file: Path, batches: Iterator[Any]) -> Iterator[dict[str, Any]]:
    """Row by row; a damaged file is a DataError."""
    import pyarrow

    while True:
        try:
            batch = next(batches, None)
            rows = None if batch is None else batch.to_pylist()
        except (OSError, ValueError, pyarrow.ArrowException) as error:
            raise DataError(f"{file}: it is damaged ({error}); get it again.") from error
        if rows is None:
            return
        yield from rows


def stored_image(value: Any, file: Path, root: Path) -> bytes | Path:
    """The bytes, or the path beside the file. A picture that is neither is a broken one, not a lost one.

    Raises:
        DataError: the path leads out of the data set's folder, `root`.
    """
    if isinstance(value, Mapping):
        value = value.get("path") if value.get("bytes") is None else value["bytes"]
    if isinstance(value, str) and value:
        return inside(root, file.parent / value, str(file))
    return value if isinstance(value, bytes) else b""
