"""Writing what a run amounts to: report.html, summary.json and text_audit.json."""

import json
from pathlib import Path

from kidsnanny.errors import DataError
from kidsnanny.evaluation.datasets import Dataset
from kidsnanny.evaluation.report.evaluation_report import render
from kidsnanny.evaluation.subsets.counterfactual import CounterfactualResult, report_section
from kidsnanny.evaluation.summary import EvaluationRun, summary_json
from kidsnanny.evaluation.text_audit.audit import TextAudit, audit_json
from kidsnanny.evaluation.text_audit.audit_section import text_audit_section
from kidsnanny.files import write_atomically
from kidsnanny.reports.thumbnails import mosaic_thumbnail

THUMBNAILS = 60
"""Pictures that a report shows at most."""


def write_report(
    run: EvaluationRun,
    out: Path,
    *,
    shown: Dataset | None = None,
    text_versions: CounterfactualResult | None = None,
    text_audit: TextAudit | None = None,
) -> Path:
    """Write the report and the summary of a run.

    Args:
        run: what to report.
        out: the folder to write `report.html` and `summary.json` into.
        shown: the run's pictures, of which those with disagreement are shown as mosaics; None: no pictures.
        text_versions: what the systems say of the pictures with their text painted out, and of the text alone.
        text_audit: what was measured of pictures with text in them, written to `text_audit.json`, too.

    Returns:
        The path of the report.

    Raises:
        DataError: a file cannot be written.
    """
    pictures = disputed_pictures(run, shown) if shown else ()
    report = render(
        run,
        pictures,
        counterfactual=report_section(text_versions) if text_versions else "",
        text_audit=text_audit_section(text_audit) if text_audit else "",
    )
    try:
        write_atomically(out / "report.html", report.encode())
        write_atomically(out / "summary.json", json.dumps(summary_json(run), indent=1, sort_keys=True).encode() + b"\n")
        if text_audit:
            write_atomically(out / "text_audit.json", audit_json(text_audit).encode())
    except OSError as error:
        raise DataError(f"{out}: the report cannot be written ({error.strerror}); free it and run again.") from error
    return out / "report.html"


def disputed_pictures(run: EvaluationRun, dataset: Dataset) -> list[tuple[str, str]]:
    """Id and mosaic of the first pictures about which the systems, or a system and the label, disagree."""
    answers: dict[str, set[bool]] = {}
    for lines in run.systems.values():
        for line in lines:
            if line.score is not None:
                answers.setdefault(line.id, {line.unsafe}).add(line.score >= line.threshold)
    found: list[tuple[str, str]] = []
    for example in dataset:
        if len(answers.get(example.id, ())) > 1 and len(found) < THUMBNAILS:
            found.append((example.id, mosaic_thumbnail(example.image)))
    return found
