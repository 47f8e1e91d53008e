"""CSV files that spreadsheets open: read with commas or semicolons, and written so that no cell is a formula."""

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kidsnanny.errors import DataError

_FORMULA = re.compile(r"'*[\s\"\u200b\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20|%]|'*[\t\r\n]")
"""How a cell begins that a spreadsheet may take for a formula, or that `plain_cell` has put a quote before."""


def read_csv(file: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """The columns and rows of a CSV file, with commas or, as some spreadsheets write it, semicolons.

    Raises:
        DataError: it cannot be read.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")  # as it is: an id may hold a carriage return
        head = re.split(r"[\r\n]", text, maxsplit=1)[0]
        found = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;", key=head.count), strict=True)
        return list(found.fieldnames or ()), list(found)
    except FileNotFoundError as error:
        raise DataError(f"{file}: there is no such file; name a CSV file that is there.") from error
    except IsADirectoryError as error:
        raise DataError(f"{file}: it is a folder; name a CSV file.") from error
    except (OSError, ValueError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"{file}: it cannot be read as a CSV file in UTF-8 ({why}); save it as one.") from error


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV, every cell in quotes; `original_cell` gives back what stood in a cell."""
    lines = io.StringIO(newline="")
    csv.writer(lines, quoting=csv.QUOTE_ALL).writerows([plain_cell(str(cell)) for cell in row] for row in rows)
    return lines.getvalue()


def plain_cell(text: str) -> str:
    """The text, behind a single quote if a spreadsheet might take it for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def original_cell(text: str) -> str:
    """What `plain_cell` made the cell of."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text
