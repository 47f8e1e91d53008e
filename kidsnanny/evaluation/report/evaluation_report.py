"""An evaluation as one HTML file that loads nothing and needs no script.

Everything that comes from a data set, a system or a command line is escaped and set apart in <bdi>; the policy in the
file's head lets no style work but ours, which it names by its hash, no script at all, and no picture load but what the
file itself holds.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kidsnanny.errors import DataError
from kidsnanny.evaluation.datasets import picture_count
from kidsnanny.evaluation.metrics import RESAMPLES, predicts_unsafe
from kidsnanny.evaluation.published import published_results
from kidsnanny.evaluation.report import charts
from kidsnanny.evaluation.report.system_section import SHARES, section
from kidsnanny.evaluation.summary import EvaluationRun, PublishedComparison, RunSummary, published_caption
from kidsnanny.records import CAVEATS
from kidsnanny.reports import pages

HEADINGS = {
    "legend": "Marks and abbreviations",
    "headline": "Measured, beside published",
    "unsafebench": "By source and category, as in UnsafeBench",
    "caveats": "How to read these figures",
    "pairs": "The same pictures, two systems",
    "counterfactual": "Does the verdict follow the text?",
    "text-audit": "Pictures with text in them",
    "undecided": "What was not decided",
    "systems": "System by system",
    "latency": "Latency",
    "repeats": "Repeatability",
    "pictures": "Pictures, mosaicked",
    "made-with": "What this rests on",
}
"""The sections by their places in the page; the counterfactual one and the text audit bring their
own headings, which are the same."""


def render(
    run: EvaluationRun,
    thumbnails: Sequence[tuple[str, str]] = (),
    *,
    counterfactual: str = "",
    text_audit: str = "",
) -> str:
    """The report, one HTML document.

    Args:
        run: what to report.
        thumbnails: ids of pictures, each with a `data:` URI of its mosaic; none by default. Whoever hands them over
            answers for what can be seen in them.
        counterfactual: `counterfactual.report_section`, markup, if that was measured. A plain string is escaped.
        text_audit: `text_audit_section`, markup, likewise.

    Raises:
        DataError: a thumbnail is not a PNG or JPEG in a `data:` URI, or its id is not in the run.
    """
    found, contents = run.summary, run.meta.contents
    by_table = _by_table(found)
    printed = published_results().tables_for(run.subset, contents.by.get("category", ()))
    sections: dict[str, Sequence[object]] = {"counterfactual": counterfactual, "text-audit": text_audit}
    given = sections | {"pictures": thumbnails, "unsafebench": found.unsafebench}
    thresholds = {name: of.threshold for name, of in found.systems.items()}
    return pages.render(
        "evaluation/report/templates/evaluation_report.html.j2",
        run=run,
        meta=run.meta,
        contents=contents,
        found=found,
        headings={place: heading for place, heading in HEADINGS.items() if given.get(place, True)},
        picture_count=picture_count,
        visible=pages.visible,
        share_heads=SHARES,
        resamples=RESAMPLES,
        guessing=list(_guessing(run)),
        by_table=by_table,
        published_caption=published_caption,
        published_tables=[table for table, rows in printed if rows],
        hardware={table.title: table.hardware for table, _ in printed},
        published_times={title: rows for title, rows in by_table.items() if any(one.row.ms for one in rows)},
        notes=[one.row for one in found.published if one.row.note],
        forest_chart=_forest(found),
        threshold=lambda name: "–" if thresholds[name] is None else f"{thresholds[name]:g}",
        counterfactual=counterfactual,
        text_audit=text_audit,
        unscored={name: of for name, of in found.systems.items() if of.all.unscored},
        labelled={name: of for name, of in found.systems.items() if of.labels},
        systems=[section(n, name, run, of) for n, (name, of) in enumerate(found.systems.items(), 1)],
        protocols=list(dict.fromkeys(row.protocol for row in run.latency)),
        thumbnails=list(_thumbnails(run, thumbnails)),
    )


def _guessing(run: EvaluationRun) -> Iterator[tuple[list[str], str]]:
    """The systems whose weights are random or stand-ins, and what that means."""
    for mark, why in CAVEATS.items():
        if names := [name for name, about in run.descriptions.items() if mark in about.caveats]:
            yield names, why


def _by_table(found: RunSummary) -> dict[str, list[PublishedComparison]]:
    tables: dict[str, list[PublishedComparison]] = {}
    for one in found.published:
        tables.setdefault(one.table, []).append(one)
    return tables


def _forest(found: RunSummary) -> charts.Forest:
    ours = [(name, measured.all.scores.accuracy, False) for name, measured in found.systems.items()]
    theirs = [(one.row.system, one.accuracy, True) for one in found.published if one.accuracy]
    return charts.forest(
        [
            (name, part.value, part.wilson, printed)
            for name, part, printed in (*ours, *theirs)
            if part.value is not None and part.wilson is not None
        ]
    )


class PictureAnswers(NamedTuple):
    """A picture's mosaic, its label, and what each system says of it."""

    id: str
    uri: str
    unsafe: bool
    answers: list[tuple[str, str]]


def _thumbnails(run: EvaluationRun, thumbnails: Sequence[tuple[str, str]]) -> Iterator[PictureAnswers]:
    answers: dict[str, list[tuple[str, str]]] = {}
    labels: dict[str, bool] = {}
    for name, lines in run.systems.items():
        for line in lines:
            labels[line.id] = line.unsafe
            called = "unsafe" if predicts_unsafe(line) else "safe"
            answer = "unscored" if line.score is None else f"{line.score:.2f}, {called}"
            answers.setdefault(line.id, []).append((name, answer))
    for picture, uri in thumbnails:
        if not re.fullmatch(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/]+={0,2}", uri):
            raise DataError(f"{picture}: its thumbnail is not a PNG or JPEG in a data URI; give it as one.")
        if picture not in answers:
            raise DataError(f"{picture}: there is a thumbnail of it but no prediction; leave the thumbnail out.")
        yield PictureAnswers(picture, uri, labels[picture], answers[picture])
