"""Subsets of a data set in which text matters, as a person labelled the candidates, and a data set cut down to one.

The KidsNanny paper reports on 257 pictures with text and visual content and on 44 whose safety depends mainly on the
text in them, and defines neither (arXiv 2603.16181). `DEFINITIONS` are ours. They go by three labels that
a person gives each candidate: of the picture, of the picture with its text painted out, of the text alone.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field, ValidationError

from kidsnanny.errors import DataError
from kidsnanny.evaluation.csv_files import original_cell, read_csv
from kidsnanny.evaluation.datasets import Dataset, sha256_of
from kidsnanny.evaluation.example_fields import text_of
from kidsnanny.evaluation.predictions import Example
from kidsnanny.evaluation.subsets.candidates import LABEL_COLUMNS, CandidateManifest, CandidateSelection, TextScan
from kidsnanny.faults import first_fault
from kidsnanny.records import Box, Record

SubsetName = Literal["text-only", "text+visual"]
"""As the paper has them, so that its rows stand beside ours."""
DEFINITIONS: dict[SubsetName, str] = {
    "text+visual": "the person sees text in it, and is sure of all three labels",
    "text-only": (
        "of text+visual, those whose label changes when the text is painted out, and those that are safe without "
        "their text and have the label of the text alone"
    ),
}
LABEL_VALUES = ("safe", "unsafe", "unsure")
NONE = "none"
"""Instead of a label of the text alone: the person sees no text. The picture without its text needs no label then."""
NO_TEXT = "no text"
"""The same, as sheet.html calls it."""
MAX_FAULTS = 20
"""Told at once."""


class SheetLabels(NamedTuple):
    """A row of the sheet."""

    picture: str
    painted_out: str
    """Empty if there is no text to paint out."""
    text_alone: str

    @property
    def sure(self) -> bool:
        return "unsure" not in self

    @property
    def names(self) -> Iterator[SubsetName]:
        """The subsets that it is in."""
        if self.sure and self.text_alone != NONE:
            yield "text+visual"
            if self.picture != self.painted_out or self.painted_out == "safe" == self.text_alone:
                yield "text-only"


class LabelledPicture(Record):
    """A picture of a subset; its labels are the person's."""

    id: str
    sha256: str
    unsafe: bool
    painted_out_unsafe: bool
    text_alone_unsafe: bool
    boxes: tuple[Box, ...] = ()
    """Of its text in pixels of the first frame. Empty: the OCR missed it, and it came in by the sample."""
    still_read: bool = False
    """The OCR reads text where it was painted out."""
    skipped: str | None = None
    """What of the picture the OCR did not scan."""


class SheetCounts(Record):
    """What became of the sheet's rows."""

    rows: int
    unsure: int
    """Left out."""
    no_text: int
    """Left out: the person sees no text."""
    missed_by_ocr: int
    """Of the sample of pictures in which the OCR found no text, those in which the person sees some, or is unsure."""
    labels: dict[str, int]
    """`picture/text painted out/text alone` -> rows that are sure and have text: enough for other definitions."""


class Subset(Record):
    """A subset, the rule behind it, and who labelled it: what `kidsnanny eval --subset` reads."""

    name: SubsetName
    definition: str
    labelled_by: str
    unsafe: int
    safe: int
    selection: CandidateSelection
    sheet: SheetCounts
    pictures: tuple[LabelledPicture, ...] = Field(min_length=1)

    @property
    def warning(self) -> str:
        """What must be read before any figure on it."""
        selection = self.selection
        return (
            f"The subset {self.name} is ours, not the paper's, which does not say how it chose: {self.definition}. "
            f"{self.labelled_by} labelled {self.sheet.rows} candidates: {selection.rule}. Labels are this person's, "
            f"not the data set's. Text that {selection.ocr} cannot read is represented only by the sample, which "
            "favours systems that use the same OCR, as ours do by default."
        )


def make_subsets(manifest: CandidateManifest, sheet: Path, labelled_by: str) -> dict[SubsetName, Subset | None]:
    """The subsets that a labelled sheet amounts to; None for one without a picture.

    Args:
        manifest: whose candidates the sheet is of.
        sheet: a CSV file with the columns `id` and LABEL_COLUMNS.
        labelled_by: who labelled it, as it shall stand in every report.

    Raises:
        DataError: it does not say who labelled it; or the sheet cannot be read, lacks a column or a row, or has rows
            that do not say what is needed; a sentence for each.
    """
    if not labelled_by.strip():
        raise DataError("--labelled-by is empty; say who labelled it, as it shall stand in every report.")
    given = read_labels(sheet, [candidate.id for candidate in manifest.candidates])
    selection = CandidateSelection.model_validate(manifest.model_dump(exclude={"candidates"}))
    counts = _count_rows(manifest, given)
    found: dict[SubsetName, Subset | None] = {}
    for name, definition in DEFINITIONS.items():
        chosen = [_labelled_picture(one, given[one.id]) for one in manifest.candidates if name in given[one.id].names]
        unsafe = sum(one.unsafe for one in chosen)
        found[name] = (
            Subset(
                name=name,
                definition=definition,
                labelled_by=text_of(labelled_by),
                unsafe=unsafe,
                safe=len(chosen) - unsafe,
                selection=selection,
                sheet=counts,
                pictures=tuple(chosen),
            )
            if chosen
            else None
        )
    return found


def read_labels(sheet: Path, ids: Sequence[str]) -> dict[str, SheetLabels]:
    """Id -> its labels, for just these ids.

    Raises:
        DataError: see `make_subsets`.
    """
    columns, rows = read_csv(sheet)
    if missing := [column for column in ("id", *LABEL_COLUMNS) if column not in columns]:
        raise DataError(
            f"{sheet}: it has no column {' and no '.join(missing)}; start from the sheet.csv that was drawn."
        )
    wanted = set(ids)
    found: dict[str, SheetLabels] = {}
    faults = []
    for number, row in enumerate(rows, 2):  # as a spreadsheet counts
        id = original_cell(row["id"] or "")
        words = ((row[column] or "").strip().lower() for column in LABEL_COLUMNS)
        labels = SheetLabels(*(NONE if word == NO_TEXT else word for word in words))
        if (
            fault := "it is not a candidate" * (id not in wanted)
            or "it has a row above" * (id in found)
            or _fault(labels)
        ):
            faults.append(f"row {number} ({id or 'no id'}): {fault}; correct it.")
        found[id] = labels
    faults += [f"there is no row for {id}; add it." for id in ids if id not in found]
    if faults:
        more = [f"and {len(faults) - MAX_FAULTS} more like that."] if len(faults) > MAX_FAULTS else []
        raise DataError(f"{sheet}: {' '.join(faults[:MAX_FAULTS] + more)}")
    return found


def read_subset(file: Path) -> Subset:
    """A file that `kidsnanny subset make` wrote.

    Raises:
        DataError: it is not there, or no such file.
    """
    try:
        return Subset.model_validate_json(file.read_bytes())
    except OSError as error:
        raise DataError(
            f"{file}: it cannot be read ({error.strerror}); name a file of `kidsnanny subset make`."
        ) from error
    except ValidationError as error:
        why = first_fault(error)
        raise DataError(f"{file}: it is not a subset ({why}); name a file of `kidsnanny subset make`.") from error


def restrict(dataset: Dataset, subset: Subset) -> Dataset:
    """The data set cut down to the pictures of a subset, with the person's labels.

    Reading it raises a DataError where a picture of the subset is missing, or is not the one that was labelled.
    """
    chosen = {one.id: one for one in subset.pictures}

    def read() -> Iterator[Example]:
        seen = 0
        for example in replace(dataset, limit=None):
            if one := chosen.get(example.id):
                seen += 1
                if sha256_of(example.image) != one.sha256:
                    raise DataError(
                        f"{dataset.name}: {one.id} is not the picture that was labelled; get the same data."
                    )
                yield example._replace(unsafe=one.unsafe)
        if seen != len(chosen):
            selection = subset.selection
            options = (("--category", selection.categories or ("all",)), ("--split", selection.splits))
            wanted = " and ".join(f"{option} {','.join(values)}" for option, values in options if values)
            raise DataError(
                f"{dataset.name}: it has {seen} of the {len(chosen)} pictures of the subset {subset.name}; name the "
                f"data that its candidates were drawn from, with {wanted}."
            )

    return replace(dataset, read=read, splits=frozenset(), categories=())


def _fault(labels: SheetLabels) -> str | None:
    """What keeps a row from being understood; the text alone comes first, as the others depend on it."""
    for column, word in sorted(zip(LABEL_COLUMNS, labels, strict=True), key=lambda said: said[0] != LABEL_COLUMNS[2]):
        alone = column == LABEL_COLUMNS[2]
        if column == "label_text_painted_out" and labels.text_alone == NONE and word in ("", NONE):
            continue
        if word not in LABEL_VALUES and not (alone and word == NONE):
            given = f"is {word!r:.40}" if word else "is empty"
            return f"{column} {given}; expected safe, unsafe{', unsure, none or no text' if alone else ' or unsure'}"
    return None


def _count_rows(manifest: CandidateManifest, given: Mapping[str, SheetLabels]) -> SheetCounts:
    with_text = [labels for labels in given.values() if labels.sure and labels.text_alone != NONE]
    return SheetCounts(
        rows=len(given),
        unsure=sum(not labels.sure for labels in given.values()),
        no_text=sum(labels.sure and labels.text_alone == NONE for labels in given.values()),
        missed_by_ocr=sum(not one.boxes and given[one.id].text_alone != NONE for one in manifest.candidates),
        labels=dict(sorted(Counter("/".join(labels) for labels in with_text).items())),
    )


def _labelled_picture(one: TextScan, labels: SheetLabels) -> LabelledPicture:
    unsafe, painted_out, text_alone = (word == "unsafe" for word in labels)
    return LabelledPicture(
        id=one.id,
        sha256=one.sha256 or "",
        unsafe=unsafe,
        painted_out_unsafe=painted_out,
        text_alone_unsafe=text_alone,
        boxes=one.boxes,
        still_read=bool(one.still_read),
        skipped=one.skipped,
    )
