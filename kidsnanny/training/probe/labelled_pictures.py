"""Labelled pictures to train a probe on: a folder with a subfolder for each label, or what `kidsnanny eval` reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kidsnanny.errors import DataError
from kidsnanny.evaluation.datasets import ANY_CATEGORY, open_dataset
from kidsnanny.evaluation.manifest_source import pictures_below, read_folders

HARMLESS = "safe"
"""The subfolder of pictures that have no label."""
UNSAFE = "unsafe"
"""The label of pictures that are unsafe in a data set without categories."""


class Labelled(NamedTuple):
    """One picture with one of its labels. A picture with several comes several times."""

    image: bytes | Path
    """As it lies in the data set."""
    label: str | None
    """None: it is harmless."""


def how_many(data: Path) -> int | None:
    """How many pictures lie in the folders of labels; None if it is something that must be read to know.

    Raises:
        DataError: a folder cannot be walked.
    """
    if not (data / HARMLESS).is_dir():
        return None
    names = [one.name for one in data.iterdir() if one.is_dir() and not one.name.startswith(".")]
    return sum(1 for name in names for _ in pictures_below(data, name))


def read_labelled(data: Path) -> Iterator[Labelled]:
    """The pictures and what they are labelled as.

    Args:
        data: a folder with `safe` and a subfolder for each label, or a .parquet file or folder of them, a .jsonl or
            .csv manifest. There, an unsafe picture has its category as its label, or UNSAFE if there are none.

    Raises:
        DataError: it is no such thing, or cannot be read.
    """
    folders = sorted(one.name for one in data.iterdir() if one.is_dir()) if data.is_dir() else []
    if HARMLESS in folders:
        names = [name for name in folders if not name.startswith(".")]
        examples = read_folders(data, ANY_CATEGORY, names)
        return (Labelled(one.image, None if not one.unsafe else one.category) for one in examples)
    if data.is_dir() and not list(data.rglob("*.parquet")) and not list(data.rglob("state.json")):
        beside = f" beside {', '.join(folders[:5])}" if folders else ", nor one for a label"
        fix = "put harmless pictures there, and those with a label into a folder that is named after it"
        raise DataError(f"{data}: it has no folder {HARMLESS}/{beside}; {fix}.")
    return (
        Labelled(one.image, None if not one.unsafe else UNSAFE if one.category == ANY_CATEGORY else one.category)
        for one in open_dataset(data)
    )
