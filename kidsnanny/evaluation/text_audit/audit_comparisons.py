"""What reading costs, against the same text model on the true text, and what it gains, against looking alone."""

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import Field

from kidsnanny.evaluation.metrics import Estimate, Floats, Proportion, mcnemar_p
from kidsnanny.evaluation.published import published_results
from kidsnanny.evaluation.text_audit.audit_scores import Judged, confusion, f1, grouped, share
from kidsnanny.evaluation.text_audit.resampling import Rate, by_text, estimate
from kidsnanny.records import Record

Pairs = list[tuple[Judged, Judged]]


class Ratios(Record):
    """A system's figures over those of the text model on the true text; 1: nothing is lost."""

    pictures: int = Field(ge=0)
    """How many both saw."""
    recall: Estimate
    precision: Estimate
    f1: Estimate


class GivenComparison(Record):
    """A system that reads, beside the text model that is given the true text."""

    system: str
    """The one that reads."""
    all: Ratios
    by_look: dict[str, Ratios]


class VisionComparison(Record):
    """Our system with Stage 2 and without, on the same pictures."""

    pictures: int = Field(ge=0)
    """How many both saw."""
    recall_gain: Estimate
    """The recall of both stages minus that of Stage 1 alone, -1 to 1; the interval draws texts."""
    false_alarms: Rate
    """Of both stages."""
    false_alarms_vision: Rate
    """Of Stage 1 alone."""
    only_multimodal: int = Field(ge=0)
    """How many harmful pictures only both stages together flag."""
    only_vision: int = Field(ge=0)
    """How many only Stage 1 alone flags."""
    p_pictures: float = Field(ge=0, le=1)
    """0..1: McNemar's exact test over harmful pictures, which takes the looks of one text for independent."""
    texts_gained: int = Field(ge=0)
    """How many harmful texts are flagged in more pictures by both stages than by Stage 1."""
    texts_lost: int = Field(ge=0)
    """How many are flagged in fewer."""
    p_texts: float = Field(ge=0, le=1)
    """0..1: the same test over texts, each of which counts once, however many looks it has."""


class PaperComparison(Record):
    """What the paper prints of its text-only subset, from counts that we derived."""

    recall: Proportion
    false_alarms: Proportion


def given_comparison(system: str, read: Sequence[Judged], given: Sequence[Judged]) -> GivenComparison:
    """A system that reads against the text model on the true text, on the pictures that both saw."""
    looks = grouped(read, lambda one: one.look)
    return GivenComparison(
        system=system,
        all=_ratios(paired(read, given)),
        by_look={look: _ratios(paired(some, given)) for look, some in looks.items()},
    )


def vision_comparison(multimodal: Sequence[Judged], vision: Sequence[Judged]) -> VisionComparison:
    """Both stages against Stage 1 alone, on the pictures that both saw."""
    pairs = paired(multimodal, vision)
    harmful = [pair for pair in pairs if pair[0].unsafe]
    harmless = [pair for pair in pairs if not pair[0].unsafe]
    counts = _counts(harmful, [(a.flagged, b.flagged, 1) for a, b in harmful], 3)
    more, fewer = int((counts[:, 0] > counts[:, 1]).sum()), int((counts[:, 0] < counts[:, 1]).sum())
    only = sum(a.flagged > b.flagged for a, b in harmful), sum(a.flagged < b.flagged for a, b in harmful)
    return VisionComparison(
        pictures=len(pairs),
        recall_gain=estimate(counts, lambda sums: (sums[..., 0] - sums[..., 1]) / sums[..., 2]),
        false_alarms=share([a for a, _ in harmless], lambda one: one.flagged),
        false_alarms_vision=share([b for _, b in harmless], lambda one: one.flagged),
        only_multimodal=only[0],
        only_vision=only[1],
        p_pictures=mcnemar_p(*only),
        texts_gained=more,
        texts_lost=fewer,
        p_texts=mcnemar_p(more, fewer),
    )


def paper_comparison() -> PaperComparison:
    """The paper's own system on its text-only subset."""
    ((_, rows),) = published_results().tables_for("text-only", ("Sexual",))
    counts = next(row.counts for row in rows if row.counts and row.system.startswith("KidsNanny"))
    return PaperComparison(
        recall=Proportion.of(counts.tp, counts.tp + counts.fn),
        false_alarms=Proportion.of(counts.fp, counts.fp + counts.tn),
    )


def paired(some: Sequence[Judged], others: Sequence[Judged]) -> Pairs:
    """What two systems made of the same picture, for the pictures that both saw."""
    known: Mapping[str, Judged] = {one.id: one for one in others}
    return [(one, known[one.id]) for one in some if one.id in known]


def _counts(pairs: Pairs, counts: Sequence[Sequence[float]], columns: int) -> Floats:
    return by_text([one.text for one, _ in pairs], counts).reshape(-1, columns)


def _ratios(pairs: Pairs) -> Ratios:
    counts = _counts(pairs, [(*confusion(a), *confusion(b)) for a, b in pairs], 8)

    def recall(sums: Floats) -> Floats:
        return sums[..., 0] / (sums[..., 0] + sums[..., 2])

    def precision(sums: Floats) -> Floats:
        return sums[..., 0] / (sums[..., 0] + sums[..., 1])

    return Ratios(
        pictures=len(pairs),
        recall=estimate(counts, lambda sums: np.asarray(recall(sums[..., :4]) / recall(sums[..., 4:]))),
        precision=estimate(counts, lambda sums: np.asarray(precision(sums[..., :4]) / precision(sums[..., 4:]))),
        f1=estimate(counts, lambda sums: np.asarray(f1(sums[..., :4]) / f1(sums[..., 4:]))),
    )
