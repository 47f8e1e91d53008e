"""What a data set's datasheet says to question 16: how much in it may be inappropriate, and where."""

from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Literal

from kidsnanny import __version__
from kidsnanny.evaluation.metrics import Proportion
from kidsnanny.probes.datasheet.datasheet_scores import AuditEntry, ScoredPictures
from kidsnanny.probes.datasheet.word_weights import chi_squared, relative_weights
from kidsnanny.records import CAVEATS, ModelId, Record

ARGMAX = 0.5
"""From this score on, what is inappropriate is likelier than what is fine."""
TERMS = 150
"""Of captions, at most: the heaviest."""


class FlaggedCounts(Record):
    """How many pictures are potentially inappropriate, of those that could be looked at."""

    argmax: Proportion
    """Those of which it is likelier than not: from a score of .5 on."""
    at_threshold: Proportion
    """Those that reach the audit threshold."""


class ClassCounts(Record):
    """The pictures of one class."""

    name: str
    """As the data set has it; empty: it names none."""
    pictures: int
    """How many it has, those that could not be looked at included."""
    flagged: FlaggedCounts
    """How many of those that could be looked at are potentially inappropriate."""


class LabelCounts(Record):
    """What one label of the probe says."""

    name: str
    """As in the probe's card."""
    flagged: FlaggedCounts
    """How many pictures have it."""


class CaptionTerm(Record):
    """A word, or two that belong together, which stands out in the captions of flagged pictures."""

    term: str
    """In small letters."""
    weight: float
    """Chi-squared: (observed - expected)² / expected."""
    observed: float
    """How often it stands in captions of flagged pictures, as a share of their commonest term, 0..1."""
    expected: float
    """The same in the captions of the others; of a term that is not there, that of their rarest one."""


class NotJudged(Record):
    """A picture of which nothing is known. It is not fine."""

    picture: str
    """Which one it is."""
    group: str
    """Its class."""
    why: str
    """Why it could not be looked at."""


class ConfirmationCounts(Record):
    """What a person says of flagged pictures that he or she has looked at. A picture that is there several times counts
    once."""

    argmax: Proportion
    """How many of these are inappropriate: an estimate of the precision, if they were not chosen by what they show."""
    at_threshold: Proportion
    """The same of those that reach the audit threshold."""
    not_flagged: int
    """How many answers are about pictures that are not flagged, or not there."""


class Datasheet(Record):
    """The card: question 16 of *Datasheets for Datasets*, answered by a probe and, if they were given, a person's
    confirmations."""

    version: Literal[1] = 1
    """Of this format."""
    data: str
    """The data set's path, as it was given."""
    form: str
    """What it was taken for: folder, tables, manifest or WebDataset."""
    probe: ModelId
    """Whose scores these are."""
    kind: str
    """q16 or linear."""
    encoder: ModelId
    """Whose rows the probe reads."""
    caveat: str
    """Why no figure here means anything, or nothing."""
    kidsnanny: str = __version__
    """The version that made it."""
    threshold: float
    """The audit threshold, 0..1."""
    pictures: int
    """How many the data set has."""
    distinct: int
    """How many different ones could be looked at, by their content."""
    not_judged: tuple[NotJudged, ...]
    """Those that could not be looked at."""
    flagged: FlaggedCounts
    """How many of the others are potentially inappropriate."""
    labels: tuple[LabelCounts, ...]
    """The same for each label of the probe that counts."""
    classes: tuple[ClassCounts, ...]
    """Those with most flagged pictures first; none if the data set names none."""
    captions: int
    """How many pictures that could be looked at have one."""
    caption_terms: tuple[CaptionTerm, ...]
    """Those that stand out most first."""
    unread_texts: int
    """How many pictures have a class or caption that could not be read."""
    confirmed: ConfirmationCounts | None
    """None: no list with a person's answers was given."""


def make_datasheet(
    scored: ScoredPictures,
    *,
    data: str,
    form: str,
    probe: ModelId,
    kind: str,
    encoder: ModelId,
    threshold: float,
    answers: Mapping[str, bool] | None = None,
) -> Datasheet:
    """The card of a data set.

    Args:
        scored: its pictures.
        data, form: see `Datasheet`.
        probe, kind, encoder: see `Datasheet`.
        threshold: the audit threshold, 0.5 to 1.
        answers: a person's, by checksum; None: nobody was asked.
    """
    entries = [*scored.judged, *scored.not_judged]
    scores = scored.scores.tolist()
    caveat = probe.caveat or encoder.caveat
    labels = zip(scored.labels, scored.by_label.T.tolist(), strict=True)
    return Datasheet(
        data=data,
        form=form,
        probe=probe,
        kind=kind,
        encoder=encoder,
        caveat=f"The weights {CAVEATS[caveat]}." if caveat else "",
        threshold=threshold,
        pictures=len(entries),
        distinct=len({one.sha256 for one in scored.judged}),
        not_judged=tuple(NotJudged(picture=one.name, group=one.group, why=one.why) for one in scored.not_judged),
        flagged=_flagged(scores, threshold),
        labels=tuple(LabelCounts(name=name, flagged=_flagged(column, threshold)) for name, column in labels),
        classes=tuple(_classes(scored, scores, threshold)),
        captions=sum(bool(one.caption) for one in scored.judged),
        caption_terms=tuple(_terms(scored.judged, scores, threshold)),
        unread_texts=sum(bool(one.problem) for one in entries),
        confirmed=None if answers is None else _confirmed(scored.judged, scores, threshold, answers),
    )


def _flagged(scores: list[float], threshold: float) -> FlaggedCounts:
    argmax, reached = (sum(score >= least for score in scores) for least in (ARGMAX, threshold))
    return FlaggedCounts(argmax=_proportion(argmax, len(scores)), at_threshold=_proportion(reached, len(scores)))


_proportion = cache(Proportion.of)


def _classes(scored: ScoredPictures, scores: list[float], threshold: float) -> list[ClassCounts]:
    pictures = Counter(one.group for one in (*scored.judged, *scored.not_judged))
    if set(pictures) <= {""}:
        return []
    of_class = dict[str, list[float]]()
    for one, score in zip(scored.judged, scores, strict=True):
        of_class.setdefault(one.group, []).append(score)
    found = [
        ClassCounts(name=name, pictures=count, flagged=_flagged(of_class.get(name, []), threshold))
        for name, count in pictures.items()
    ]
    return sorted(found, key=lambda c: (-c.flagged.at_threshold.successes, -c.flagged.argmax.successes, c.name))


def _terms(judged: list[AuditEntry], scores: list[float], threshold: float) -> list[CaptionTerm]:
    captions: dict[bool, list[str]] = {True: [], False: []}
    for one, score in zip(judged, scores, strict=True):
        captions[score >= threshold].append(one.caption)
    observed, expected = relative_weights(captions[True]), relative_weights(captions[False])
    rarest = min(expected.values(), default=0.0)
    heaviest = list(chi_squared(observed, expected).items())[:TERMS]
    return [
        CaptionTerm(term=term, weight=weight, observed=observed[term], expected=expected.get(term, rarest))
        for term, weight in heaviest
    ]


def _confirmed(
    judged: list[AuditEntry], scores: list[float], threshold: float, answers: Mapping[str, bool]
) -> ConfirmationCounts:
    of_content = {str(one.sha256): score for one, score in zip(judged, scores, strict=True) if score >= ARGMAX}
    by_least = dict[float, Proportion]()
    for least in (ARGMAX, threshold):
        said = [yes for sha256, yes in answers.items() if of_content.get(sha256, 0.0) >= least]
        by_least[least] = _proportion(sum(said), len(said))
    return ConfirmationCounts(
        argmax=by_least[ARGMAX],
        at_threshold=by_least[threshold],
        not_flagged=len(answers.keys() - of_content.keys()),
    )
