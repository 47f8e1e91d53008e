"""Where a harmful text is lost that the text model flags when it is given the text: reading, order, what stands beside
it, or the rules."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from pydantic import Field

from kidsnanny.evaluation.text_audit.audit_comparisons import paired
from kidsnanny.evaluation.text_audit.audit_scores import AuditedText, Judged, grouped
from kidsnanny.evaluation.text_audit.read_texts import NOTHING, ReadText, in_true_order, matching_stretch
from kidsnanny.pipeline import Pipeline
from kidsnanny.policy import Policy
from kidsnanny.records import Record

LossCause = Literal["ocr", "order", "others", "rules"]


class LostRecall(Record):
    """What becomes of the harmful pictures that the text model flags when it is given their text."""

    given: int = Field(ge=0)
    """How many these are."""
    found: int = Field(ge=0)
    """How many of them our system flags in the picture, too."""
    ocr: int = Field(ge=0)
    """How many are lost to the OCR: the words as it read them are not flagged even in their true order."""
    order: int = Field(ge=0)
    """How many are lost to the reading order and the joining of lines: those words in their true order are flagged, and
    the stretch of the lines as they were read, joined, that matches the text best is not."""
    others: int = Field(ge=0)
    """How many are lost among other texts in the picture: that stretch is flagged by itself, and not with the rest."""
    rules: int = Field(ge=0)
    """How many are lost to the rules for pictures, such as floors, discounts for labels, and confidence: all lines,
    joined, are flagged as a message."""


class Losses(Record):
    """The same in all and by look."""

    all: LostRecall
    by_look: dict[str, LostRecall]
    causes: dict[str, LossCause]
    """A lost picture's id -> why."""


def losses(
    multimodal: Sequence[Judged],
    given: Sequence[Judged],
    read: Mapping[str, ReadText],
    texts: Mapping[str, AuditedText],
    pipeline: Pipeline,
    policy: Policy | None = None,
) -> Losses:
    """Why our system does not flag harmful pictures whose text it would flag.

    Args:
        multimodal: what our system made of the pictures.
        given: what the text model made of their true texts.
        read: what our OCR read.
        texts: the true texts.
        pipeline: judges what was read as a message.
        policy: that the run was decided by; None: the pipeline's.
    """
    harmful = [pair for pair in paired(multimodal, given) if pair[0].unsafe and pair[1].flagged]
    lost = [one.id for one, _ in harmful if not one.flagged]
    passages = {one: read.get(one, NOTHING).everything for one in lost}
    wanted = {one: texts[one].text or "" if one in texts else "" for one in lost}
    tried: dict[LossCause, dict[str, tuple[str, ...]]] = {
        "rules": passages,
        "others": {one: (matching_stretch(wanted[one], passages[one]),) for one in lost},
        "order": {one: (in_true_order(wanted[one], passages[one]),) for one in lost},
    }
    causes: dict[str, LossCause] = {}
    for cause, said in tried.items():
        left = {one: of_one for one, of_one in said.items() if one not in causes}
        causes |= dict.fromkeys(_flagged(left, pipeline, policy), cause)
    causes = {one: causes.get(one, "ocr") for one in sorted(lost)}
    looks = grouped((one for one, _ in harmful), lambda one: one.look)
    return Losses(
        all=_lost([one for one, _ in harmful], causes),
        by_look={look: _lost(some, causes) for look, some in looks.items()},
        causes=causes,
    )


def _flagged(passages: Mapping[str, tuple[str, ...]], pipeline: Pipeline, policy: Policy | None) -> set[str]:
    """The ids one of whose passages is flagged as a message."""
    asked = [(one, passage) for one, of_one in passages.items() for passage in of_one if passage]
    verdicts = pipeline.check_text([passage for _, passage in asked], policy=policy)
    return {one for (one, _), verdict in zip(asked, verdicts, strict=True) if verdict.reasons}


def _lost(pictures: Sequence[Judged], causes: Mapping[str, LossCause]) -> LostRecall:
    counted = Counter(causes[one.id] for one in pictures if one.id in causes)
    return LostRecall(
        given=len(pictures),
        found=len(pictures) - counted.total(),
        **{cause: counted[cause] for cause in get_args(LossCause)},
    )
