"""Labelled pictures on this machine: UnsafeBench in parquet or as the `datasets` library saves it, folders, manifests.

Pictures are streamed, and read again on every iteration; nothing is downloaded. `parquet_source` and `manifest_source`
read the formats.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

from kidsnanny.errors import DataError
from kidsnanny.evaluation.example_fields import text_of
from kidsnanny.evaluation.manifest_source import read_folders, read_manifest
from kidsnanny.evaluation.parquet_source import GENERATED, open_table, read_tables, table_files
from kidsnanny.evaluation.predictions import DatasetContents, Example
from kidsnanny.models.store import digest

MAX_LISTED = 20
"""How many names of splits and categories an error message lists."""
ANY_CATEGORY = "any"
"""The category of pictures whose data set names none and whose user neither: all that a system speaks about."""
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
        row += [] if example.text is None else [example.text]
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
    more = ", …" if len(have) > MAX_LISTED else ""
    listed = ", ".join(repr(name) for name in have[:MAX_LISTED])
    return f" of {wanted}, but of {listed}{more}; choose --category and --split"


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
        return partial(read_manifest, path, default), False
    if path.is_dir() and (path / "safe").is_dir() and (path / "unsafe").is_dir():
        return partial(read_folders, path, default), False
    if not (files := table_files(path)):
        raise DataError(
            f"{path}: {'it is no data set' if path.exists() else 'there is nothing there'}; name a .parquet file or a "
            "folder of them, a data set saved with `save_to_disk`, a .jsonl or .csv manifest, or a folder with safe/ "
            "and unsafe/."
        )
    schemas = [schema for file in files for schema, _ in [open_table(file)]]
    generated = any(GENERATED.items() <= (schema.metadata or {}).items() for schema in schemas)
    return partial(read_tables, path if path.is_dir() else path.parent, files, default), generated
