"""Labelled pictures on this machine: UnsafeBench in parquet or as the `datasets` library saves it, folders, manifests.

Pictures are read as a stream, as often as they are asked for; nothing is downloaded. UnsafeBench's columns are `image`
(bytes, or a struct of `bytes` and `path`), `safety_label` (`Safe` or `Unsafe`), `category`, `source` and perhaps `id`
(section 3.2 in our notes on it). A further column, like `text`, is never read.
"""

import csv
import hashlib
import io
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from kidsnanny.errors import DataError
from kidsnanny.evaluation.predictions import DatasetContents, Example
from kidsnanny.media.loader import is_picture, walk
from kidsnanny.models.cards import digest

GENERATED = {b"kidsnanny": b"generated"}
"""The schema metadata of a data set that `generated.write` drew."""
UNSAFE = {"unsafe": True, "1": True, "true": True, "safe": False, "0": False, "false": False}
ROWS = 16
"""Rows of parquet that are in memory at once."""
SHOWN = 20
"""Names of what there is instead of what was asked for."""
ANY_CATEGORY = "any"
"""The category of pictures whose data set names none and whose user neither: all that a system speaks about."""
_SPLIT = re.compile(r"(?<![a-z])(train|training|validation|valid|val|dev|test)(?![a-z])", re.IGNORECASE)
_TRAINING = ("train", "training")


@dataclass(frozen=True)
class Dataset:
    """Labelled pictures, chosen and in a fixed order; each iteration reads them anew."""

    name: str
    read: Callable[[], Iterator[Example]]
    generated: bool = False
    """Drawn by us, with labels that are stand-ins."""
    splits: frozenset[str] = frozenset()
    """Those that are wanted; empty: all."""
    categories: tuple[str, ...] = ()
    """The data set's own names of those that are wanted; empty: all."""
    limit: int | None = None

    def __iter__(self) -> Iterator[Example]:
        """The chosen examples.

        Raises:
            DataError: the data cannot be read, or lack a column.
        """
        chosen = (
            example
            for example in self.read()
            if (not self.splits or example.split in self.splits)
            and (not self.categories or example.category in self.categories)
        )
        return islice(chosen, self.limit)


def open_dataset(
    path: Path,
    *,
    splits: Iterable[str] = (),
    categories: tuple[str, ...] = (),
    limit: int | None = None,
) -> Dataset:
    """The data set at a path: a .parquet file or a folder of them, what `save_to_disk` wrote, a .jsonl or .csv
    manifest, or a folder with `safe` and `unsafe`.

    Args:
        path: the file or folder.
        splits, categories: what to choose; by default everything. Pictures of a data set without a column `category`
            are all of the one that was asked for, or of ANY_CATEGORY.
        limit: at most so many.

    Raises:
        DataError: nothing there is a data set of a form that we know.
    """
    default = categories[0] if len(categories) == 1 else ANY_CATEGORY
    try:
        read, generated = _reader(Path(path), default)
    except OSError as error:  # of the path itself
        raise DataError(f"{text_of(path)}: it cannot be opened ({error.strerror}); name another.") from error
    return Dataset(text_of(path), read, generated, frozenset(splits), categories, limit)


def choose_categories(path: Path, given: tuple[str, ...] | None) -> tuple[tuple[str, ...], str]:
    """The categories to open a data set with, and what must be said of one that names none (else nothing).

    Args:
        path: as for `open_dataset`.
        given: what the user wants, () for all; None: nothing was said, which is UnsafeBench's Sexual, or ANY_CATEGORY.

    Raises:
        DataError: it cannot be opened, or names no category and the user several.
    """
    first = next(iter(open_dataset(path)), None)
    if first is None or first.category != ANY_CATEGORY:
        return (("Sexual",) if given is None else given), ""
    name = text_of(path)
    if not given or given == (ANY_CATEGORY,):
        return (), (
            f"{name} names no category: its pictures are of the category `{ANY_CATEGORY}`, and a system's score is "
            "that of all categories that it covers; --category NAME takes them all as one."
        )
    if len(given) > 1:
        raise DataError(f"{name}: it names no category, so --category {','.join(given)} cannot choose; name one.")
    return given, f"{name} names no category: all of its pictures are taken as {given[0]}, as --category says."


def read_contents(dataset: Dataset, expect: int | None = None) -> DatasetContents:
    """One pass over the data: how many there are, by split, category and source, and the digest of it all.

    Raises:
        DataError: there are none, or not as many as expected, or two have the same id, or they cannot be read.
    """
    by: dict[Literal["split", "category", "source"], dict[str, tuple[int, int]]]
    by = {"split": {}, "category": {}, "source": {}}
    rows, ids = hashlib.sha256(), set()
    unsafe = 0
    for example in dataset:
        if example.id in ids:
            raise DataError(f"{dataset.name}: two pictures have the id {example.id}; give each its own.")
        ids.add(example.id)
        unsafe += example.unsafe
        for column, values in by.items():
            safe_unsafe = values.get(value := getattr(example, column), (0, 0))
            values[value] = (safe_unsafe[0] + (not example.unsafe), safe_unsafe[1] + example.unsafe)
        row = [example.id, example.unsafe, example.category, example.source, example.split, sha256_of(example.image)]
        rows.update(json.dumps(row).encode() + b"\n")
    if not ids:
        raise DataError(f"{dataset.name}: it holds no pictures{_what_there_is(dataset)}.")
    if expect is not None and len(ids) != expect:
        splits = ", ".join(f"{split or 'of no split'} {sum(counts)}" for split, counts in by["split"].items())
        told = f" ({splits})" if any(by["split"]) else ""
        raise DataError(
            f"{dataset.name}: it holds {picture_count(len(ids))} of what was asked for{told} where {expect:,} are "
            "expected; name the splits with --split, or leave out --expect."
        )
    return DatasetContents(pictures=len(ids), unsafe=unsafe, by=by, digest=rows.hexdigest())


def _what_there_is(dataset: Dataset) -> str:
    """Of what it holds no pictures, and of what it does."""
    have = sorted({"/".join(filter(None, (example.split, example.category))) for example in dataset.read()})
    if not have:
        return " at all; name another"
    wanted = " and ".join([*sorted(dataset.splits), *dataset.categories])
    more = ", …" if len(have) > SHOWN else ""
    return f" of {wanted}, but of {', '.join(repr(name) for name in have[:SHOWN])}{more}; choose --category and --split"


def contamination_warnings(contents: DatasetContents) -> tuple[str, ...]:
    """What of the data a system may have been trained on."""
    train = sum(sum(contents.by["split"][split]) for split in contents.by["split"] if split.lower() in _TRAINING)
    if not train:
        return ()
    return (
        f"{train:,} of {contents.pictures:,} pictures are of the training split: a system trained on it has seen them, "
        "and its figures here mean nothing. Nothing that kidsnanny ships was trained on UnsafeBench; what the "
        "baselines were trained on is not published.",
    )


def picture_count(count: int) -> str:
    """So many, in words."""
    return f"{count:,} picture{'' if count == 1 else 's'}"


def sha256_of(image: bytes | Path) -> str | None:
    """Of the content; None of a file that cannot be read: a broken picture is an example like any other."""
    if isinstance(image, bytes):
        return hashlib.sha256(image).hexdigest()
    try:
        return digest(image) if os.path.isfile(image) else None  # nothing that could be read without an end
    except OSError:
        return None


def _reader(path: Path, default: str) -> tuple[Callable[[], Iterator[Example]], bool]:
    """How to read what is there, and whether it says that it is generated."""
    if path.suffix in (".jsonl", ".csv") and path.is_file():
        return partial(_manifest, path, default), False
    if path.is_dir() and (path / "safe").is_dir() and (path / "unsafe").is_dir():
        return partial(_folders, path, default), False
    if path.suffix == ".parquet" and path.is_file():
        files = [path]
    elif path.is_dir():
        files = sorted(path.rglob("*.parquet")) or _saved(path)
    else:
        files = []
    if not files:
        raise DataError(
            f"{path}: {'it is no data set' if path.exists() else 'there is nothing there'}; name a .parquet file or a "
            "folder of them, a data set saved with `save_to_disk`, a .jsonl or .csv manifest, or a folder with safe/ "
            "and unsafe/."
        )
    schemas = [schema for file in files for schema, _ in [open_table(file)]]
    generated = any((schema.metadata or {}).get(b"kidsnanny") == b"generated" for schema in schemas)
    return partial(_tables, path if path.is_dir() else path.parent, files, default), generated


def _saved(folder: Path) -> list[Path]:
    """The files of what `datasets` saved: each folder's state.json names them in order."""
    states = sorted(folder.rglob("state.json"))
    try:
        return [
            state.parent / file["filename"]
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
        mend = "run `pip install 'kidsnanny[eval]'` (or `[student]`)"
        raise DataError(f"{file}: reading it needs pyarrow ({error}); {mend}.") from error
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


def _tables(root: Path, files: list[Path], default: str) -> Iterator[Example]:
    """UnsafeBench's columns. The id is the split and the column `id`, or the number of the row in its split."""
    rows: Counter[str] = Counter()
    for file in files:
        schema, batches = open_table(file)
        if missing := [column for column in ("image", "safety_label") if column not in schema.names]:
            have = ", ".join(schema.names)
            raise DataError(f"{file}: it has no column {' and no '.join(missing)} but {have}; rename its columns.")
        split = split_of(file, root)
        columns = [c for c in ("image", "safety_label", "category", "source", "id") if c in schema.names]
        words = _class_names(schema)
        for row in table_rows(file, batches(columns)):
            for column in words.keys() & row.keys():
                row[column] = words[column].get(row[column], row[column])
            number = rows[split]
            rows[split] += 1
            own = row.get("id")
            yield Example(
                id=text_of(f"{split or 'all'}/{number if own is None else own}"),
                image=stored_image(row["image"], file),
                unsafe=_unsafe(file, number, row["safety_label"]),
                category=text_of(row.get("category", default)),
                source=text_of(row.get("source")),
                split=split,
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


def split_of(file: Path, root: Path) -> str:
    """As a word of the file's name, or the name of a folder it lies in, up to the root; empty if none is one."""
    folders = (_SPLIT.fullmatch(folder.name) for folder in file.parents if folder.is_relative_to(root))
    found = next(filter(None, (_SPLIT.search(file.name), *folders)), None)
    return found[1].lower() if found else ""


def stored_image(value: Any, file: Path) -> bytes | Path:
    """The bytes, or the path beside the file. A picture that is neither is a broken one, not a lost one."""
    if isinstance(value, Mapping):
        value = value.get("path") if value.get("bytes") is None else value["bytes"]
    if isinstance(value, str) and value:
        return file.parent / value
    return value if isinstance(value, bytes) else b""


def text_of(value: object) -> str:
    """An id, a category or a path as text that can be written down, whatever a file's name holds; empty for None."""
    return "" if value is None else str(value).encode("utf-8", "backslashreplace").decode()


def _unsafe(file: Path, row: int, label: object) -> bool:
    found = UNSAFE.get(str(label).strip().lower())
    if found is None:
        raise DataError(f"{file}: row {row} has the label {label!r:.40} where Safe or Unsafe is meant; correct it.")
    return found


def _folders(root: Path, default: str) -> Iterator[Example]:
    """Every picture in `safe` and `unsafe`, in name order. What is no picture by content or name is passed over.

    Raises:
        DataError: a folder cannot be walked.
    """
    named = _SPLIT.fullmatch(root.name)
    for folder in ("safe", "unsafe"):
        files, unwalked = walk(root / folder)
        if unwalked:
            why = "it is a link to a folder" if unwalked[0].is_symlink() else "it cannot be opened"
            raise DataError(f"{unwalked[0]}: {why}, so its pictures would be left out; put a folder there that can.")
        for file in filter(is_picture, files):
            name = text_of(file.relative_to(root).as_posix())
            yield Example(name, file, folder == "unsafe", default, "", named[1].lower() if named else "")


def _manifest(file: Path, default: str) -> Iterator[Example]:
    """Rows with `path` (counted from the manifest's folder) and `unsafe` or `label`; `category`, `source`, `split`
    and `id` if there are. A CSV file's rows are counted as a spreadsheet counts them, blank ones aside."""
    categorised = None
    for number, row in enumerate(*((_jsonl(file), 1) if file.suffix == ".jsonl" else (read_csv(file)[1], 2))):
        label = row.get("unsafe", row.get("label", row.get("safety_label")))
        path = row.get("path")
        if not isinstance(path, str) or not path or label is None:
            raise DataError(f"{file}: row {number} has no path or no label; give columns `path` and `label`.")
        category = row.get("category") or None
        if categorised not in (None, bool(category)):
            raise DataError(
                f"{file}: row {number} names {'a' if category else 'no'} category, unlike those before it; name one in "
                "every row or in none."
            )
        categorised = bool(category)
        yield Example(
            id=text_of(row.get("id") or path),
            image=file.parent / path,
            unsafe=_unsafe(file, number, label),
            category=text_of(category or default),
            source=text_of(row.get("source")),
            split=text_of(row.get("split")),
        )


def _jsonl(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise ValueError(f"line {number}: {error}") from error
                if not isinstance(row, dict):
                    raise ValueError(f"line {number}: {row!r:.40} is no object")
                yield row
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: it is no manifest ({error}); write a row with path and label a picture.") from error


def read_csv(file: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """The columns and rows of a CSV file, with commas or, as some spreadsheets write it, semicolons.

    Raises:
        DataError: it cannot be read.
    """
    try:
        text = file.read_text("utf-8-sig")
        head = text.partition("\n")[0]
        found = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;", key=head.count), strict=True)
        return list(found.fieldnames or ()), list(found)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"{file}: it cannot be read as a CSV file in UTF-8 ({why}); save it as one.") from error
