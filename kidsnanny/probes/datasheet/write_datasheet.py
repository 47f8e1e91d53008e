"""Writing a card: datasheet.html, which loads nothing and needs no script, datasheet.json, and flagged.csv."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from kidsnanny.errors import DataError, InputError
from kidsnanny.evaluation.datasets import picture_count
from kidsnanny.files import atomic_writer, write_atomically
from kidsnanny.media.loader import open_picture
from kidsnanny.probes.datasheet.audited_pictures import AuditedPicture
from kidsnanny.probes.datasheet.confirmations import FlaggedPicture, write_flagged
from kidsnanny.probes.datasheet.datasheet_scores import ScoredPictures
from kidsnanny.probes.datasheet.question_16 import ARGMAX, ClassCounts, Datasheet
from kidsnanny.probes.datasheet.word_weights import cloud
from kidsnanny.reports.pages import stream
from kidsnanny.reports.thumbnails import COARSE_BLOCKS, SIDE, data_uri, in_blocks

HTML, JSON, FLAGGED = "datasheet.html", "datasheet.json", "flagged.csv"
SHOWN = 60
"""Flagged pictures that the page shows, at most."""
LISTED = 200
"""Flagged pictures, those that could not be looked at, and classes that the page lists, at most."""


class WrittenDatasheet(NamedTuple):
    """What was written."""

    page: Path
    """The card, for a person."""
    answers_stay: bool
    """Whether the list of flagged pictures has a person's answers, and was left as it is."""


def flagged_pictures(scored: ScoredPictures, threshold: float) -> list[FlaggedPicture]:
    """Those that argmax takes for inappropriate, the highest score first.

    Args:
        scored: the pictures of the data set.
        threshold: the audit threshold, 0.5 to 1.
    """
    pairs = zip(scored.judged, scored.scores.tolist(), strict=True)
    found = [
        FlaggedPicture(one.name, one.group, score, score >= threshold, str(one.sha256))
        for one, score in pairs
        if score >= ARGMAX
    ]
    return sorted(found, key=lambda one: -one.score)


def write_datasheet(
    sheet: Datasheet,
    flagged: Sequence[FlaggedPicture],
    out: Path,
    *,
    pictures: Iterable[AuditedPicture] = (),
    answers: Mapping[str, bool] | None = None,
    show: bool = False,
) -> WrittenDatasheet:
    """Write the card into a folder.

    Args:
        sheet: what the card says.
        flagged: as `flagged_pictures` returns them.
        out: the folder, which is there.
        pictures: the data set again, of which the first flagged ones are shown.
        answers: a person's, by checksum.
        show: whether the pictures are shown as they are, and not as mosaics.

    Raises:
        DataError: the folder cannot be written, its list has a person's answers about other pictures, or the data set
            cannot be read any more.
    """
    try:
        answers_stay = write_flagged(out / FLAGGED, flagged, answers or {})
        write_atomically(out / JSON, sheet.model_dump_json(indent=1).encode() + b"\n")
        page = stream(
            "probes/datasheet/templates/datasheet.html.j2",
            sheet=sheet,
            flagged=flagged,
            listed=LISTED,
            show=show,
            answers=answers or {},
            files={"json": JSON, "flagged": FLAGGED},
            picture_count=picture_count,
            by_share=_by_share(sheet),
            class_cloud=cloud({one.name: float(one.flagged.at_threshold.successes) for one in _named(sheet)}),
            caption_cloud=cloud({one.term: one.weight for one in sheet.caption_terms}),
            thumbnails=list(_thumbnails(flagged[:SHOWN], pictures, show)),
        )
        with atomic_writer(out / HTML) as file:
            page.dump(file, "utf-8")
    except OSError as error:
        raise DataError(f"{out}: it cannot be written ({error.strerror}); name another folder.") from error
    return WrittenDatasheet(out / HTML, answers_stay)


def _named(sheet: Datasheet) -> list[ClassCounts]:
    return [one for one in sheet.classes if one.name and one.flagged.at_threshold.successes]


def _by_share(sheet: Datasheet) -> list[ClassCounts]:
    """The classes with flagged pictures, by the lower end of their share's interval: of one picture it is low."""
    found = [one for one in sheet.classes if one.flagged.argmax.successes]
    return sorted(
        found,
        key=lambda one: [-(part.wilson or (0.0,))[0] for part in (one.flagged.at_threshold, one.flagged.argmax)],
    )


class ShownPicture(NamedTuple):
    """A flagged picture on the page."""

    flagged: FlaggedPicture
    uri: str
    """A `data:` URI; empty if it cannot be shown."""


def _thumbnails(
    flagged: Sequence[FlaggedPicture], pictures: Iterable[AuditedPicture], show: bool
) -> Iterator[ShownPicture]:
    """The pictures in the order of the list; the data set is read no further than the last of them."""
    wanted = {(one.name, one.sha256): "" for one in flagged}
    names = {one.name for one in flagged}
    missing = set(wanted)
    for picture in pictures if missing else ():
        if picture.name in names:
            sha256, uri = _thumbnail(picture.image, show)
            if (key := (picture.name, sha256)) in missing:
                missing.discard(key)
                wanted[key] = uri
            if not missing:
                break
    return (ShownPicture(one, wanted[one.name, one.sha256]) for one in flagged)


def _thumbnail(image: bytes | Path, show: bool) -> tuple[str, str]:
    """The checksum of a picture and its first frame, mosaicked or reduced."""
    try:
        picture = open_picture(image)
        frame = Image.fromarray(next(picture.frames()).rgb)
    except (InputError, StopIteration):  # it was there a moment ago
        return "", ""
    if not show:
        return picture.sha256, data_uri(in_blocks(frame, COARSE_BLOCKS), "PNG")
    frame.thumbnail((SIDE, SIDE))
    return picture.sha256, data_uri(frame, "JPEG")
