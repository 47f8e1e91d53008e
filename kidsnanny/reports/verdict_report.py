"""Verdicts as one HTML file that loads nothing: mosaicked thumbnails, boxes, reasons, and what was not looked at.

The page holds every verdict as a line of JSON, of which its script draws those that are scrolled into view.
"""

import base64
import errno
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from PIL import Image

from kidsnanny.files import atomic_writer
from kidsnanny.media.loader import Source
from kidsnanny.records import Label
from kidsnanny.reports.causes import Cause, causes
from kidsnanny.reports.pages import script_json, stream, visible, words
from kidsnanny.reports.thumbnails import COARSE_BLOCKS, in_blocks
from kidsnanny.reports.verdict_rows import verdict_row
from kidsnanny.taxonomy import CATEGORIES
from kidsnanny.verdict import Verdict

if TYPE_CHECKING:
    from markupsafe import Markup

FINE = 2000
"""So many thumbnails, of the strongest verdicts, have all blocks; the others have `COARSE_BLOCKS` along a side."""
BLOCK = 100
"""Verdicts that the script reads at a time."""
TABLE = 1000
"""Flagged verdicts, at most, in the table for browsers without JavaScript."""
FIRST, CAUSES_FIRST = 5, 3
"""Unsafe verdicts, and causes of review, that the top of the page names."""
SAID = 3
"""Reasons, and things not inspected, that the table says of each."""
LARGE = 15_000_000
"""The page says its size from so many bytes on."""

_LABELS: tuple[Label, ...] = ("unsafe", "review", "safe")


class _Entry(NamedTuple):
    """Of an added verdict, what its place in the page and the counts rest on; the rest waits in a temporary file."""

    number: int
    label: Label
    risk: float | None
    categories: tuple[int, ...]
    causes: tuple[int, ...]
    missed: bool
    noted: bool
    made: int
    is_text: bool
    start: int
    length: int
    mosaic: tuple[int, int] | None

    @property
    def order(self) -> tuple[int, float, int]:
        """By label, the strongest first; before them what has no score, for which nothing vouches."""
        return _LABELS.index(self.label), -2.0 if self.risk is None else -self.risk, self.number


class _Listed(NamedTuple):
    """A verdict as the parts of the page that need no script name it; its texts are ready to be shown."""

    number: int
    label: Label
    name: str
    why: list[str]


class VerdictReport:
    """Writes verdicts to one HTML file; what waits for the end of the page waits on the disk, beside it.

    The file takes its place when the `with` block ends. If the block raises, the page says that it is not complete and
    has what was added before; if nothing was, whatever was there stays. Only its owner may read it.

    Args:
        path: the file to write.
        originals: show the pictures as they are, not as a mosaic.

    Raises:
        OSError: the folder cannot be written to, or `path` is something else than a regular file.
    """

    def __init__(self, path: str | os.PathLike[str], *, originals: bool = False) -> None:
        self._path = Path(path).resolve()
        if self._path.exists() and not self._path.is_file():
            raise FileExistsError(errno.EEXIST, "It is not a regular file, so no report can replace it", str(path))
        self._originals = originals
        self._entries: list[_Entry] = []
        self._end = 0
        self._causes: dict[Cause, int] = {}
        self._made: dict[str, int] = {}
        self._waiting = tempfile.TemporaryFile("w+b", dir=self._path.parent)  # noqa: SIM115

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._waiting:
            if kind is None or self._entries:
                self._finish(complete=kind is None)

    def add(self, source: Source | None, verdict: Verdict) -> None:
        """Add a picture. It is opened again for its thumbnail; where that fails, the report says so. A text has none:
        its source is None."""
        number = len(self._entries) + 1
        row, picture = verdict_row(number, source, verdict, self._originals)
        line = script_json(row).encode()
        self._waiting.seek(self._end)  # an interrupted call may have left half a line
        self._waiting.write(line)
        self._waiting.write(picture.tobytes() if picture else b"")
        found = list(causes(verdict))
        entry = _Entry(
            number=number,
            label=verdict.label,
            risk=max(verdict.scores.values(), default=None),
            categories=tuple({CATEGORIES.index(reason.category): None for reason in verdict.reasons}),
            causes=tuple(self._causes.setdefault(cause, len(self._causes)) for cause in found),
            missed=bool(verdict.not_inspected),
            noted=bool(verdict.noted),
            made=self._made.setdefault(json.dumps(_made(verdict, source is None)), len(self._made)),
            is_text=source is None,
            start=self._end,
            length=len(line),
            mosaic=picture.size if picture else None,
        )
        self._end = self._waiting.tell()
        self._entries.append(entry)

    def _finish(self, complete: bool) -> None:
        entries = sorted(self._entries, key=lambda entry: entry.order)
        made = [json.loads(one) for one in self._made]
        labels = Counter(entry.label for entry in entries)
        texts = sum(entry.is_text for entry in entries)
        noun = "message" if texts and texts == len(entries) else "verdict" if texts else "picture"
        used = {entry.made for entry in entries}
        never = [c for c in CATEGORIES if used and all(words(c) in made[one]["nowhere"] for one in used)]
        page = stream(
            "reports/templates/verdict_report.html.j2",
            noun=noun,
            complete=complete,
            total=len(entries),
            counts={label: labels[label] for label in _LABELS},
            missed=sum(entry.missed for entry in entries),
            noted=sum(entry.noted for entry in entries),
            never=list(map(words, never)),
            originals=self._originals,
            megabytes=self._end / 1e6 if self._end > LARGE else None,
            made_with=list(dict.fromkeys(f"{one['with']}, {one['models'] or 'no models'}" for one in made)),
            policies=list(dict.fromkeys(one["policy"] for one in made)),
            categories=[n for n in range(len(CATEGORIES)) if any(n in entry.categories for entry in entries)],
            category_names=list(map(words, CATEGORIES)),
            first=self._read([entry for entry in entries if entry.label == "unsafe"][:FIRST]),
            causes=self._counted(entries),
            causes_of_review=[
                one
                for one in self._counted(entry for entry in entries if entry.label == "review")
                if one[1].kind != "noted"
            ][:CAUSES_FIRST],
            most_first=FIRST,
            listed=self._read([entry for entry in entries if entry.label != "safe"][:TABLE]),
            table=TABLE,
            index=self._index(entries, made, noun),
            blocks=self._blocks(entries),
        )
        with atomic_writer(self._path, private=True) as file:
            page.dump(file, "utf-8")

    def _counted(self, entries: Iterable[_Entry]) -> list[tuple[int, Cause, int]]:
        """Number, cause and verdicts that have it, the most frequent first; what is noted holds nothing back, so it
        comes last."""
        names = list(self._causes)
        found = Counter(number for entry in entries for number in entry.causes).most_common()
        return sorted(((n, names[n], count) for n, count in found), key=lambda one: one[1].kind == "noted")

    def _index(self, entries: Sequence[_Entry], made: list[dict[str, Any]], noun: str) -> dict[str, Any]:
        """What the script sorts and filters by, in the order of the lines."""
        return {
            "noun": noun,
            "originals": self._originals,
            "block": BLOCK,
            "labels": _LABELS,
            "categories": list(map(words, CATEGORIES)),
            "made": made,
            "rows": [
                [one.number, _LABELS.index(one.label), one.made, one.categories, one.causes, int(one.is_text)]
                for one in entries
            ],
        }

    def _read(self, entries: Sequence[_Entry]) -> Iterator[_Listed]:
        for entry in entries:
            self._waiting.seek(entry.start)
            row = json.loads(self._waiting.read(entry.length))
            found = [reason["is"] for reason in row.get("reasons", ())[:SAID]]
            missed = [f"Not inspected: {one}" for one in row.get("missed", ())[:SAID]]
            yield _Listed(entry.number, entry.label, row["name"], found + missed)

    def _blocks(self, entries: Sequence[_Entry]) -> Iterator[Iterator["Markup"]]:
        """The lines, with their mosaics."""
        for start in range(0, len(entries), BLOCK):
            yield (self._line(entry, fine=start < FINE) for entry in entries[start : start + BLOCK])

    def _line(self, entry: _Entry, *, fine: bool) -> "Markup":
        from markupsafe import Markup

        self._waiting.seek(entry.start)
        line = self._waiting.read(entry.length).decode()
        if not entry.mosaic:
            return Markup(line)  # `script_json` has escaped it
        pixels = self._waiting.read(3 * entry.mosaic[0] * entry.mosaic[1])
        mosaic = Image.frombytes("RGB", entry.mosaic, pixels)
        if not fine and max(mosaic.size) > COARSE_BLOCKS:
            mosaic = in_blocks(mosaic, COARSE_BLOCKS)
        packed = [*mosaic.size, base64.b64encode(mosaic.tobytes()).decode()]
        return Markup(f'{line[:-1]},"mosaic":{json.dumps(packed)}}}')


def _made(verdict: Verdict, is_text: bool) -> dict[str, Any]:
    """What a verdict rests on and shares with others, its texts ready to be shown."""
    made = verdict.provenance
    models = {visible(part): visible("+".join(map(str, models))) for part, models in made.models.items()}
    named = ", ".join(visible(f"{part} {model}") for part, models in made.models.items() for model in models)
    missing = verdict.not_looked_for if is_text else verdict.not_looked_for_in_picture
    return {
        "policy": visible(made.policy),
        "with": f"kidsnanny {visible(made.kidsnanny)}, policy {visible(made.policy)}",
        "models": named,
        "rests": [
            ["policy", visible(made.policy)],
            *models.items(),
            ["review/block", ", ".join(f"{words(c)} {t.review:g}/{t.block:g}" for c, t in made.thresholds.items())],
            ["kidsnanny", visible(made.kidsnanny)],
        ],
        "thresholds": {words(c): [t.review, t.block] for c, t in made.thresholds.items()},
        "ignored": list(map(words, verdict.ignored)),
        "lacking": list(map(words, missing)),
        "nowhere": list(map(words, verdict.not_looked_for)),
    }
