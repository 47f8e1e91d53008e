"""The values of an example as data sets write them: splits, labels, and text that can be written down."""

import os
import re
from pathlib import Path

from kidsnanny.errors import DataError
from kidsnanny.records import encodable

LABELS = {"unsafe": True, "1": True, "true": True, "safe": False, "0": False, "false": False}
"""Label, in lower case -> whether it means unsafe."""
SPLIT_NAME = re.compile(r"(?<![a-z])(train|training|validation|valid|val|dev|test)(?![a-z])", re.IGNORECASE)


def split_of(file: Path, root: Path) -> str:
    """The split named by a word of the file's name, or by a folder above it up to the root; empty if there is none."""
    folders = (SPLIT_NAME.fullmatch(folder.name) for folder in file.parents if folder.is_relative_to(root))
    found = next(filter(None, (SPLIT_NAME.search(file.name), *folders)), None)
    return found[1].lower() if found else ""


def text_of(value: object) -> str:
    """An id, a category or a path as text that encodes to UTF-8, whatever bytes a file's name holds; empty for None."""
    return "" if value is None else encodable(str(value))


def inside(root: Path, path: str | Path, who: str) -> Path:
    """The path of a picture that a data set names, counted from its folder. Whoever made the data set must not have
    other files of this machine read: after all links it is in that folder, absolute or not.

    Args:
        root: the data set's folder.
        path: as it is named.
        who: what names it, for the message.

    Raises:
        DataError: it leads out of the folder.
    """
    try:
        real, folder = os.path.realpath(root / path), os.path.realpath(root)
    except ValueError as error:  # a NUL
        raise DataError(f"{text_of(who)}: its path {str(path)!r:.80} is none ({error}); correct it.") from error
    if not Path(real).is_relative_to(folder):
        raise DataError(
            f"{text_of(who)}: its path {str(path)!r:.80} leads out of the data set's folder {text_of(root)}; put the "
            "picture there."
        )
    return root / path


def parse_label(file: Path, row: int, label: object) -> bool:
    """Whether a label means unsafe.

    Raises:
        DataError: it is not one of LABELS.
    """
    found = LABELS.get(str(label).strip().lower())
    if found is None:
        raise DataError(f"{file}: row {row} has the label {label!r:.40}, expected Safe or Unsafe; correct it.")
    return found
