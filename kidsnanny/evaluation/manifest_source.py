"""Examples from a folder with `safe` and `unsafe`, and from JSONL or CSV manifests."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kidsnanny.errors import DataError
from kidsnanny.evaluation.csv_files import read_csv
from kidsnanny.evaluation.example_fields import SPLIT_NAME, inside, parse_label, text_of
from kidsnanny.evaluation.predictions import Example
from kidsnanny.media.walk import is_media, walk


def read_folders(root: Path, default: str, categories: Sequence[str] = ()) -> Iterator[Example]:
    """Every picture in `safe` and `unsafe`, in name order. What is no picture by content or name is passed over.

    Args:
        root: their folder.
        default: the category of all of them.
        categories: folders in place of `unsafe`, each with the category that it is named after.

    Raises:
        DataError: a folder cannot be walked, or a picture is a link that leads out of the data set.
    """
    named = SPLIT_NAME.fullmatch(root.name)
    for folder in ("safe", *(name for name in categories or ("unsafe",) if name != "safe")):
        for name, file in pictures_below(root, folder):
            category = folder if folder in categories else default
            yield Example(name, file, folder != "safe", category, "", named[1].lower() if named else "")


def pictures_below(root: Path, folder: str = "") -> Iterator[tuple[str, Path]]:
    """The pictures of a folder and of those in it, in name order, each with its path from the data set's folder.

    Args:
        root: the data set's folder.
        folder: the one in it to walk; by default all of it.

    Raises:
        DataError: a folder cannot be walked, or a picture is a link that leads out of the data set.
    """
    files, unwalked = walk(root / folder)
    if unwalked:
        why = "it is a link to a folder" if unwalked[0].is_symlink() else "it cannot be opened"
        raise DataError(f"{unwalked[0]}: {why}, so its pictures would be left out; put a folder there that can.")
    for file in filter(is_media, files):
        inside(root, file, str(root))
        yield text_of(file.relative_to(root).as_posix()), file


def read_manifest(file: Path, default: str) -> Iterator[Example]:
    """Rows with `path` or `file` (counted from the manifest's folder) and `unsafe` or `label`; `text` (what is written
    in the picture), `category`, `source`, `split` and `id` if there are. A CSV file's rows are counted as a spreadsheet
    counts them, blank ones aside.

    Raises:
        DataError: it cannot be read, a row lacks something, or its path leads out of the manifest's folder.
    """
    categorised = None
    for number, row in manifest_rows(file):
        label = row.get("unsafe", row.get("label", row.get("safety_label")))
        path = row.get("path", row.get("file"))
        missing = [what for what, there in (("path", path), ("label", label)) if there in (None, "")]
        if missing or not isinstance(path, str):
            raise DataError(
                f"{file}: row {number} has no {' and no '.join(missing) or 'path that is a text'}; give every picture "
                "its `path` (or `file`) and `label`."
            )
        category = row.get("category") or None
        if categorised not in (None, bool(category)):
            raise DataError(
                f"{file}: row {number} names {'a' if category else 'no'} category, unlike those before it; name one in "
                "every row or in none."
            )
        categorised = bool(category)
        yield Example(
            id=text_of(row.get("id") or path),
            image=inside(file.parent, path, f"{file}: row {number}"),
            unsafe=parse_label(file, number, label),
            category=text_of(category or default),
            source=text_of(row.get("source")),
            split=text_of(row.get("split")),
            text=None if row.get("text") is None else text_of(row["text"]),
        )


def manifest_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a JSONL or CSV file with their numbers, for messages.

    Raises:
        DataError: it cannot be read.
    """
    return iter(enumerate(*((_jsonl(file), 1) if file.suffix == ".jsonl" else (read_csv(file)[1], 2))))


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
