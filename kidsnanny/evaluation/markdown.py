"""Tables of text."""

from collections.abc import Iterable, Sequence


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is to the left and whose others are to the right; cells may hold anything."""
    ruled = [heads, ("---",) + ("---:",) * (len(heads) - 1), *rows]
    return "".join(f"| {' | '.join(map(_plain, row))} |\n" for row in ruled)


def _plain(cell: str) -> str:
    """Without what would end the cell or steer the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cell).replace("|", "\\|")
