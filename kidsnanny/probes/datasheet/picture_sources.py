"""Pictures to audit from a folder, tables, a manifest, or the shards of a WebDataset. They are streamed, and read again
on every iteration."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from kidsnanny.errors import DataError
from kidsnanny.evaluation.example_fields import inside, text_of
from kidsnanny.evaluation.manifest_source import manifest_rows, pictures_below
from kidsnanny.evaluation.parquet_source import picture_rows, table_files
from kidsnanny.probes.datasheet.audited_pictures import (
    CAPTION_BYTES,
    CAPTION_COLUMNS,
    CLASS_COLUMNS,
    AuditedPicture,
    caption_in,
    class_in,
)
from kidsnanny.probes.datasheet.webdataset_source import read_shards


class PictureSource(NamedTuple):
    """A data set that can be read."""

    name: str
    """Its path."""
    form: str
    """What it was taken for."""
    read: Callable[[], Iterator[AuditedPicture]]
    """Reads the pictures from the first one on. It raises a DataError if they are damaged."""


def open_pictures(data: Path) -> PictureSource:
    """The data set at a path.

    Args:
        data: a .tar file or a folder of them, whatever else is in it; a .parquet file, a folder of them, or what
            `datasets` saved; a .jsonl or .csv manifest; or a folder of pictures, whose classes are its subfolders.

    Raises:
        DataError: nothing there is a data set of a form that we know.
    """
    name = text_of(data)
    try:
        shards = [data] if data.suffix == ".tar" and data.is_file() else sorted(data.rglob("*.tar"))
        if shards:
            return PictureSource(
                name, "WebDataset", partial(read_shards, data if data.is_dir() else data.parent, shards)
            )
        if data.suffix in (".jsonl", ".csv") and data.is_file():
            return PictureSource(name, "manifest", partial(_of_manifest, data))
        if files := table_files(data):
            return PictureSource(name, "tables", partial(_of_tables, data if data.is_dir() else data.parent, files))
        if data.is_dir():
            return PictureSource(name, "folder", partial(_of_folder, data))
    except OSError as error:
        raise DataError(f"{name}: it cannot be opened ({error.strerror}); name another.") from error
    raise DataError(
        f"{name}: {'it is no data set' if data.exists() else 'there is nothing there'}; name a folder of "
        "pictures, a .parquet file, a .jsonl or .csv manifest, a .tar of a WebDataset, or a folder of these."
    )


def _of_folder(root: Path) -> Iterator[AuditedPicture]:
    for name, file in pictures_below(root):
        folder = text_of(file.parent.relative_to(root).as_posix())
        caption, problem = _beside(root, file)
        yield AuditedPicture(name, file, "" if folder == "." else folder, caption, problem)


def _beside(root: Path, file: Path) -> tuple[str, str]:
    """The caption in the .txt beside a picture, and why it could not be read."""
    written = file.with_suffix(".txt")
    if not written.is_file():
        return "", ""
    inside(root, written, str(root))
    try:
        with written.open("rb") as opened:
            return opened.read(CAPTION_BYTES).decode("utf-8-sig").strip(), ""
    except (OSError, ValueError) as error:
        return "", f"{written.name} cannot be read ({getattr(error, 'strerror', None) or 'it is not UTF-8'})"


def _of_tables(root: Path, files: list[Path]) -> Iterator[AuditedPicture]:
    for row in picture_rows(root, files, (), (*CLASS_COLUMNS, *CAPTION_COLUMNS)):
        yield AuditedPicture(row.id, row.image, class_in(row.cells), caption_in(row.cells))


def _of_manifest(file: Path) -> Iterator[AuditedPicture]:
    for number, row in manifest_rows(file):
        path = row.get("path", row.get("file"))
        if not path or not isinstance(path, str):
            raise DataError(f"{file}: row {number} has no path; give every picture its `path` (or `file`).")
        name = text_of(row.get("id") or path)
        group = class_in({column: row.get(column) for column in ("class", "category")})  # `label` may be safe or unsafe
        # what stands in `text` is written in the picture, and no caption
        caption = text_of(row.get("caption"))
        yield AuditedPicture(name, inside(file.parent, path, f"{file}: row {number}"), group, caption)
