"""The report's section on pictures with text in them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kidsnanny.evaluation.metrics import Estimate, Interval
from kidsnanny.evaluation.report import charts
from kidsnanny.evaluation.text_audit.audit import GIVEN, MULTIMODAL, VISION, TextAudit
from kidsnanny.evaluation.text_audit.losses import LostRecall
from kidsnanny.evaluation.text_audit.painted_out import MOST_PAINTED
from kidsnanny.evaluation.text_audit.resampling import Rate
from kidsnanny.reports.pages import render, visible

if TYPE_CHECKING:
    from markupsafe import Markup

HEADINGS = {
    "audit-systems": "What is flagged, system by system",
    "audit-given": "Against the text model on the true text",
    "audit-vision": "What reading gains, and what it costs",
    "audit-reading": "How well the text is read",
    "audit-losses": "Where recall is lost",
    "audit-painted": "With the text painted out",
    "audit-worst": "The worst misses and false alarms",
    "audit-times": "Time",
}
"""The parts of the section by their places in the page."""


def text_audit_section(found: TextAudit) -> "Markup":
    """Tables and charts, as markup for the evaluation report."""
    shown = {
        "audit-given": bool(found.given),
        "audit-vision": found.vision is not None,
        "audit-reading": bool(found.engines),
        "audit-losses": found.losses is not None,
        "audit-painted": found.painted_out is not None,
        "audit-worst": found.worst is not None,
    }
    return render(
        "evaluation/text_audit/templates/text_audit.html.j2",
        found=found,
        headings={place: heading for place, heading in HEADINGS.items() if shown.get(place, True)},
        compared=(GIVEN, MULTIMODAL, VISION),
        recall_chart=charts.forest(list(_recalls(found))),
        reading_chart=charts.forest(list(_readings(found))),
        most=MOST_PAINTED,
        parts=_parts,
    )


def _recalls(found: TextAudit) -> Iterator[charts.ForestEntry]:
    """Recall by look: on the true text, of both stages, of Stage 1 alone."""
    systems = {one.system: one for one in found.systems}
    looks = sorted({look for one in found.systems for look in one.by_look})
    for look in looks:
        for name in (GIVEN, MULTIMODAL, VISION):
            part = systems[name].by_look.get(look) if name in systems else None
            if part and (entry := _entry(f"{look or 'not said'}: {name}", part.recall, name == GIVEN)):
                yield entry


def _readings(found: TextAudit) -> Iterator[charts.ForestEntry]:
    looks = sorted({look for one in found.engines for look in one.by_look})
    for look in looks:
        for engine in found.engines:
            if (part := engine.by_look.get(look)) and (
                entry := _entry(f"{look or 'not said'}: {engine.system}", part.mean, False)
            ):
                yield entry


def _entry(name: str, part: Rate | Estimate, hollow: bool) -> charts.ForestEntry | None:
    if part.value is None:
        return None
    interval: Interval | None = part.interval if isinstance(part, Rate) else part.bootstrap
    return visible(name), part.value, interval or (part.value, part.value), hollow


def _parts(lost: LostRecall) -> list[tuple[int, float]]:
    """Found, and lost to each cause: how many pictures, and their share of those whose text is flagged."""
    return [
        (n, n / lost.given if lost.given else 0.0) for n in (lost.found, lost.ocr, lost.order, lost.others, lost.rules)
    ]
