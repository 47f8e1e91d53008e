"""What each system flags and holds back: in all, by look and by topic."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from pydantic import Field

from kidsnanny.evaluation.metrics import Estimate, Floats, predicts_unsafe
from kidsnanny.evaluation.predictions import Prediction
from kidsnanny.evaluation.text_audit.resampling import Rate, by_text, estimate, rate
from kidsnanny.records import Record


class AuditedText(NamedTuple):
    """What is written in a picture, how, and about what."""

    text: str | None
    """As a person typed it; None: not known."""
    look: str
    """How it is drawn, such as `meme` or `handwriting`; empty if nobody says."""
    topic: str
    """What it is about; empty if nobody says."""


class Judged(NamedTuple):
    """A picture and what one system made of it."""

    id: str
    text: str
    """What other pictures share with it: its text, or its own id if that is not known."""
    look: str
    topic: str
    unsafe: bool
    flagged: bool
    """Ours: the verdict names a reason. Others: the score reaches the threshold. What has no score is not flagged."""
    held: bool | None
    """Ours: the verdict is not safe, be it that the text could not be judged. None: the system has no such label."""
    unscored: bool


class AuditScores(Record):
    """What one system made of some of the pictures."""

    pictures: int = Field(ge=0)
    """How many there are."""
    texts: int = Field(ge=0)
    """How many different texts stand in them; a picture whose text is not known counts as one."""
    unsafe: int = Field(ge=0)
    """How many are harmful by their label."""
    unscored: int = Field(ge=0)
    """How many have no score; they count as not flagged."""
    recall: Rate
    """Of the harmful ones, those flagged."""
    precision: Rate
    """Of those flagged, the harmful ones."""
    f1: Estimate
    """The harmonic mean of both, 0..1."""
    false_alarms: Rate
    """Of the harmless ones, those flagged."""
    held_unsafe: Rate | None
    """Of the harmful ones, those that are not shown as safe; None of a system without labels."""
    held_safe: Rate | None
    """Of the harmless ones, likewise."""


class SystemAudit(Record):
    """One system."""

    system: str
    """Its row, as in the predictions."""
    all: AuditScores
    by_look: dict[str, AuditScores]
    by_topic: dict[str, AuditScores]


def flags(prediction: Prediction) -> bool:
    """Whether a system flags the picture: see `Judged.flagged`. A reason that the judge brought down is none."""
    if prediction.label is not None:
        return any(reason.lowered is None for reason in prediction.reasons)
    return predicts_unsafe(prediction) or False


def cluster(picture: str, text: str | None) -> str:
    """What the pictures of one text share: the text without case and blanks, or a picture's id if there is none."""
    return f"text {letters}" if text and (letters := "".join(text.casefold().split())) else f"picture {picture}"


def judged(lines: Iterable[Prediction], texts: Mapping[str, AuditedText]) -> list[Judged]:
    """A system's lines with what is known of their pictures; of a picture that is not in `texts`, what the line says.
    By id, whatever the order of the lines."""
    found = []
    for line in sorted(lines, key=lambda line: line.id):
        about = texts.get(line.id, AuditedText(None, line.source, line.category))
        found.append(
            Judged(
                line.id,
                cluster(line.id, about.text),
                about.look,
                about.topic,
                line.unsafe,
                flags(line),
                None if line.label is None else line.label != "safe",
                line.score is None,
            )
        )
    return found


def confusion(picture: Judged) -> tuple[bool, bool, bool, bool]:
    """True positive, false positive, false negative, true negative."""
    flagged, unsafe = picture.flagged, picture.unsafe
    return flagged and unsafe, flagged and not unsafe, not flagged and unsafe, not flagged and not unsafe


def f1(sums: Floats) -> Floats:
    """Of sums of the counts of `confusion`, (…, 4)."""
    return np.asarray(2 * sums[..., 0] / (2 * sums[..., 0] + sums[..., 1] + sums[..., 2]))


def scores(pictures: Sequence[Judged]) -> AuditScores:
    """What a system made of these pictures."""
    counts = by_text([one.text for one in pictures], [confusion(one) for one in pictures])
    if not pictures:
        counts = np.zeros((0, 4))
    tp, fp, fn, tn = counts.T
    return AuditScores(
        pictures=len(pictures),
        texts=len(counts),
        unsafe=int((tp + fn).sum()),
        unscored=sum(one.unscored for one in pictures),
        recall=rate(np.stack([tp, tp + fn], axis=1)),
        precision=rate(np.stack([tp, tp + fp], axis=1)),
        f1=estimate(counts, f1),
        false_alarms=rate(np.stack([fp, fp + tn], axis=1)),
        held_unsafe=_held([one for one in pictures if one.unsafe], pictures),
        held_safe=_held([one for one in pictures if not one.unsafe], pictures),
    )


def share(pictures: Sequence[Judged], of: Callable[[Judged], bool]) -> Rate:
    """How many of the pictures something is true of."""
    return rate(by_text([one.text for one in pictures], [(of(one), 1) for one in pictures]).reshape(-1, 2))


def grouped(pictures: Iterable[Judged], key: Callable[[Judged], str]) -> dict[str, list[Judged]]:
    """The pictures by look or by topic, names sorted."""
    groups: dict[str, list[Judged]] = {}
    for one in pictures:
        groups.setdefault(key(one), []).append(one)
    return dict(sorted(groups.items()))


def system_audit(system: str, pictures: Sequence[Judged]) -> SystemAudit:
    """A system in all, by look and by topic."""
    return SystemAudit(
        system=system,
        all=scores(pictures),
        by_look={look: scores(some) for look, some in grouped(pictures, lambda one: one.look).items()},
        by_topic={topic: scores(some) for topic, some in grouped(pictures, lambda one: one.topic).items()},
    )


def _held(some: Sequence[Judged], pictures: Sequence[Judged]) -> Rate | None:
    if any(one.held is None for one in pictures):
        return None
    return share(some, lambda one: bool(one.held))
