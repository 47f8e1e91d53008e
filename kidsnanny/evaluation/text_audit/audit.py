"""The audit of a run on pictures whose safety depends on what is written in them: `text_audit.json`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from kidsnanny.evaluation.metrics import LatencySummary, stage_latencies
from kidsnanny.evaluation.predictions import Prediction, SystemDescription
from kidsnanny.evaluation.summary import EvaluationRun
from kidsnanny.evaluation.text_audit.audit_comparisons import (
    GivenComparison,
    PaperComparison,
    VisionComparison,
    given_comparison,
    paper_comparison,
    vision_comparison,
)
from kidsnanny.evaluation.text_audit.audit_scores import AuditedText, Judged, SystemAudit, judged, system_audit
from kidsnanny.evaluation.text_audit.losses import Losses, losses
from kidsnanny.evaluation.text_audit.painted_out import PaintedOut
from kidsnanny.evaluation.text_audit.read_texts import EngineErrors, ReadText, engine_errors, read_texts
from kidsnanny.evaluation.text_audit.worst_cases import WorstCases, worst_cases
from kidsnanny.pipeline import Pipeline
from kidsnanny.records import ModelId, Record

OURS, MULTIMODAL, VISION, GIVEN = "embedded", "embedded:multimodal", "embedded:vision-only", "text-given"
"""A system of the command line, and the rows that are compared with each other."""


class AuditTimes(Record):
    """Milliseconds, from the run itself: in batches, with whatever else ran beside it."""

    systems: dict[str, LatencySummary]
    """Row -> a picture, all stages together."""
    stages: dict[str, dict[str, dict[str, LatencySummary]]]
    """Row of ours that reads -> look -> stage."""


class TextAudit(Record):
    """Everything that is measured. Two runs with equal predictions differ in `times` alone."""

    pictures: int = Field(ge=0)
    """How many any system saw."""
    known_texts: int = Field(ge=0)
    """How many of them have a text that is known."""
    texts: int = Field(ge=0)
    """How many different texts these are."""
    systems: tuple[SystemAudit, ...]
    """In the order of the run."""
    given: tuple[GivenComparison, ...]
    """Each system that reads, against the text model on the true text."""
    vision: VisionComparison | None
    paper: PaperComparison
    engines: tuple[EngineErrors, ...]
    losses: Losses | None
    painted_out: PaintedOut | None
    worst: WorstCases | None
    left_out: tuple[str, ...]
    """What could not be measured, and why, in sentences."""
    times: AuditTimes


def audit(
    run: EvaluationRun,
    out: Path,
    texts: Mapping[str, AuditedText],
    pipeline: Pipeline | None,
    painted_out: PaintedOut | None = None,
) -> TextAudit:
    """Measure what a run makes of pictures with text in them.

    Args:
        run: what the systems made of them.
        out: the folder of the run, which has the inspections.
        texts: a picture's id -> what is written in it; of a picture that is not here, the run says look and topic.
        pipeline: judges what was read as a message, to say where recall is lost; None: that is left out.
        painted_out: what became of verdicts whose text was painted out, if that was measured.

    Raises:
        DataError: a file of the run is not what a run has.
    """
    rows = {name: judged(lines, texts) for name, lines in run.systems.items()}
    seen = {one.id: one for pictures in rows.values() for one in pictures}
    known = {texts[one].text for one in seen if one in texts and (texts[one].text or "").strip()}
    engines, read = _engines(run, out, rows, texts)
    multimodal = rows.get(MULTIMODAL, [])
    given = rows.get(GIVEN, [])
    lost = None
    if multimodal and given and pipeline:
        lost = losses(multimodal, given, read, texts, pipeline, run.systems[MULTIMODAL][0].policy)
    return TextAudit(
        pictures=len(seen),
        known_texts=sum(one in texts and bool((texts[one].text or "").strip()) for one in seen),
        texts=len(known),
        systems=tuple(system_audit(name, pictures) for name, pictures in rows.items()),
        given=tuple(given_comparison(name, rows[name], given) for name in readers(run) if given and rows[name]),
        vision=vision_comparison(multimodal, rows[VISION]) if multimodal and rows.get(VISION) else None,
        paper=paper_comparison(),
        engines=engines,
        losses=lost,
        painted_out=painted_out,
        worst=worst_cases(multimodal, run.systems[MULTIMODAL], run.systems.get(GIVEN, ()), read)
        if multimodal
        else None,
        left_out=tuple(_left_out(rows, bool(known), lost is not None, painted_out is not None)),
        times=_times(run, rows),
    )


def audit_json(found: TextAudit) -> str:
    """The audit as JSON, keys sorted."""
    whole: dict[str, Any] = found.model_dump(mode="json")
    return json.dumps(whole, indent=1, sort_keys=True, allow_nan=False) + "\n"


def readers(run: EvaluationRun) -> list[str]:
    """The rows that read the pictures: in the multimodal regime, with a policy's label."""
    return [
        name
        for name, lines in run.systems.items()
        if name != GIVEN
        and name in run.descriptions
        and run.descriptions[name].regime == "multimodal"
        and any(line.label for line in lines)
    ]


def _engines(
    run: EvaluationRun, out: Path, rows: Mapping[str, Sequence[Judged]], texts: Mapping[str, AuditedText]
) -> tuple[tuple[EngineErrors, ...], dict[str, ReadText]]:
    """How well each system's OCR reads, and what our own read. A system that reads with the OCR of `embedded` is left
    out beside it."""
    found: list[EngineErrors] = []
    ours: dict[str, ReadText] = {}
    for name, described in run.meta.systems.items():
        same = name != OURS and _ocr(described) and _ocr(described) == _ocr(run.meta.systems.get(OURS, ()))
        if name == GIVEN or same or not (read := read_texts(out, name)):
            continue
        pictures = next((rows[row.name] for row in described if rows.get(row.name)), [])
        if errors := engine_errors(name, pictures, read, texts):
            found.append(errors)
        if name == OURS:
            ours = read
    return tuple(found), ours


def _ocr(rows: Sequence[SystemDescription]) -> tuple[ModelId, ...]:
    return next((row.models["ocr"] for row in rows if "ocr" in row.models), ())


def _left_out(rows: Mapping[str, Sequence[Judged]], known: bool, lost: bool, painted: bool) -> list[str]:
    """What was not measured, and what it lacks."""
    said = []
    if not known:
        said.append(
            "No picture's text is known, so character error rates, the comparison with the text model on the true text "
            "and the places where recall is lost are left out; give the data set a column `text`."
        )
    elif not rows.get(GIVEN):
        said.append(
            f"The run has no row {GIVEN}, so nothing is compared with the text model on the true text, and where "
            f"recall is lost is not told; evaluate {GIVEN}, too."
        )
    if not rows.get(MULTIMODAL):
        said.append(
            f"The run has no row {MULTIMODAL}, so misses and false alarms are not shown, and no text is painted out; "
            f"evaluate {OURS}, too."
        )
    elif not rows.get(VISION):
        said.append(f"The run has no row {VISION}, so what reading gains is not told; evaluate it, too.")
    if known and rows.get(GIVEN) and rows.get(MULTIMODAL) and not lost:
        said.append("Where recall is lost was not asked for.")
    if not painted and rows.get(MULTIMODAL):
        said.append("No text was painted out; --counterfactual does that.")
    return said


def _times(run: EvaluationRun, rows: Mapping[str, Sequence[Judged]]) -> AuditTimes:
    whole = {
        name: LatencySummary.of(spent)
        for name, lines in run.systems.items()
        if (spent := [sum(line.timings.values()) for line in lines if line.timings])
    }
    stages: dict[str, dict[str, dict[str, LatencySummary]]] = {}
    for name in readers(run):
        look = {one.id: one.look for one in rows[name]}
        of_look: dict[str, list[Prediction]] = {}
        for line in run.systems[name]:
            of_look.setdefault(look[line.id], []).append(line)
        stages[name] = {one: stage_latencies(lines) for one, lines in sorted(of_look.items())}
    return AuditTimes(systems=whole, stages=stages)
