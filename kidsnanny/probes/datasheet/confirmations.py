"""The list of flagged pictures as a CSV file, in which a person answers for each whether it is inappropriate."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from kidsnanny.errors import DataError
from kidsnanny.evaluation.csv_files import csv_text, original_cell, read_csv
from kidsnanny.files import write_atomically

COLUMNS = ("picture", "class", "score", "sha256", "confirmed")
"""Of the list. `confirmed` is left empty for a person, who writes `yes` or `no`."""
WORDS = {"yes": True, "y": True, "no": False, "n": False}
"""What a person may write, in capitals or not."""


class FlaggedPicture(NamedTuple):
    """A row of the list."""

    name: str
    """Of the picture."""
    group: str
    """Its class."""
    score: float
    """0..1."""
    at_threshold: bool
    """Whether the audit threshold is reached, and not argmax's alone."""
    sha256: str
    """Of its content, by which an answer finds its picture."""


def read_answers(file: Path) -> dict[str, bool]:
    """The checksum of each picture that a person has looked at, and whether it is inappropriate.

    Raises:
        DataError: the file is no such list, an answer is none, or there are two different ones about a picture.
    """
    answers = dict[str, bool]()
    for number, row in enumerate(_rows(file), 2):
        if not (said := (row["confirmed"] or "").strip().casefold()):
            continue
        if said not in WORDS:
            raise DataError(
                f"{file}: row {number} has {said!r:.40} in `confirmed`; write yes or no, or leave it empty."
            )
        sha256 = row["sha256"] or ""
        if answers.setdefault(sha256, WORDS[said]) != WORDS[said]:
            raise DataError(
                f"{file}: row {number} says {said} of a picture of which another row does not; make up one."
            )
    return answers


def write_flagged(file: Path, pictures: Iterable[FlaggedPicture], answers: Mapping[str, bool]) -> bool:
    """Write the list, with the answers that there are. A list with a person's answers is never written over.

    Args:
        file: the list.
        pictures: in the order in which a person should look at them.
        answers: by checksum, as `read_answers` returns them.

    Returns:
        Whether the list that is there has a person's answers, and stays.

    Raises:
        DataError: such a list is there and is of other pictures or scores, or the file is something else.
        OSError: it cannot be written.
    """
    flagged = list(pictures)
    if file.exists():
        rows = _rows(file)
        if any((row["confirmed"] or "").strip() for row in rows):
            if {_key(row) for row in rows} != {(one.sha256, f"{one.score:.4f}") for one in flagged}:
                raise DataError(
                    f"{file}: it has a person's answers, and other pictures or scores than those flagged now; move it "
                    "elsewhere, and name it with --confirmed."
                )
            return True
    said = {True: "yes", False: "no", None: ""}
    lines = [(one.name, one.group, f"{one.score:.4f}", one.sha256, said[answers.get(one.sha256)]) for one in flagged]
    write_atomically(file, csv_text([COLUMNS, *lines]).encode())
    return False


def _rows(file: Path) -> list[dict[str, str | None]]:
    columns, rows = read_csv(file)
    if missing := [name for name in ("sha256", "score", "confirmed") if name not in columns]:
        raise DataError(
            f"{file}: it is no list of flagged pictures, for it has no column {' and no '.join(missing)}; name another."
        )
    return rows


def _key(row: Mapping[str, str | None]) -> tuple[str, str]:
    try:
        return row["sha256"] or "", f"{float(original_cell(row['score'] or '')):.4f}"
    except ValueError:
        return "", ""
