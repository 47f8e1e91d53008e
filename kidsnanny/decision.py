"""What an inspection means for a child: thresholds, floors, fusion and the judge's authority. All of it is pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Literal

from kidsnanny.inspection import ChannelSignals, Inspection, JudgeOpinion
from kidsnanny.policy import Band, JudgeRules, Policy
from kidsnanny.records import (
    Action,
    Channel,
    Label,
    NotInspected,
    Reason,
    Record,
    Signal,
    Thresholds,
)
from kidsnanny.taxonomy import CATEGORIES, Category
from kidsnanny.unread_text import unreadable_text
from kidsnanny.verdict import CategoryScore, Provenance, Verdict

_SEVERITY: tuple[Label, ...] = ("safe", "review", "unsafe")
_URGENCY: tuple[Action, ...] = ("show", "warn", "block", "support")
Scores = Mapping[Category, Mapping[Channel, float]]
"""Category -> channel -> score in 0..1, for every category and channel that looked; 0 is "found nothing"."""


def decide(inspection: Inspection, policy: Policy) -> Verdict:
    """May a child of the policy's ages see what was inspected, and if not, why?

    The judge's opinion counts if the policy's `escalation` asks for one. If a judge should have been asked about the
    policy's ages and was not, or gave no answer, that is an entry of `not_inspected`.

    Raises:
        TypeError: `inspection` is not an Inspection, or `policy` is not a Policy.
    """
    if not isinstance(inspection, Inspection):
        raise TypeError(
            f"inspection is a {type(inspection).__name__}; expected an Inspection, as in verdict.inspection."
        )
    if not isinstance(policy, Policy):
        raise TypeError(f'policy is a {type(policy).__name__}; expected a Policy, such as Policy.load("teen").')
    signals = [s for channel in (inspection.image_signals, inspection.text_signals) if channel for s in channel.signals]
    scores = channel_scores(inspection, policy)
    unjudged = _not_inspected(inspection, policy)
    missed = [one for one in unjudged if not one.minor or policy.text.minor == "review"]
    opinion, lowerable = None, CATEGORIES
    if judge_wanted(inspection, policy):
        opinion = inspection.opinion(policy.ages)
        limits = _limits_of_authority(inspection, policy)
        missed += [*limits, *_unanswered(opinion, policy)]
        if opinion:
            lowerable = () if limits else opinion.lowers
            scores = _with_judge(scores, opinion)
            signals += _judge_signals(opinion)
    if scores and _all_ignored(policy, scores):
        part: Literal["image", "text"] = "image" if inspection.image_signals else "text"
        missed.append(NotInspected(part=part, reason="the models look only for what this policy ignores"))
    decision = combine(policy, scores, missed, lowerable=lowerable)
    return Verdict(
        source=inspection.source,
        label=decision.label,
        action=decision.action,
        scores={category: score.final for category, score in decision.detail.items()},
        detail=decision.detail,
        reasons=_reasons(policy, signals, decision),
        explanation=_explanation(policy, decision, opinion),
        findings=inspection.findings,
        text=inspection.text,
        not_inspected=tuple(missed),
        noted=tuple(one for one in unjudged if one not in missed),
        coverage={c: found for c, by in scores.items() if (found := _coverage(inspection, policy, c, by))},
        ignored=policy.ignored,
        timings=inspection.timings,
        provenance=Provenance(
            kidsnanny=inspection.kidsnanny,
            policy=policy.version,
            models=inspection.models,
            thresholds={c: _thresholds(policy, c) for c in scores if c not in policy.ignored},
            sha256=inspection.media.sha256 if inspection.media else None,
        ),
        inspection=inspection,
    )


def _coverage(
    inspection: Inspection, policy: Policy, category: Category, by: Mapping[Channel, float]
) -> dict[Channel, float | None]:
    """The channels that looked for a category, each with its recall at the policy's `review` threshold, if measured."""
    rule = policy.categories[category]
    found: dict[Channel, float | None] = {c: None for c in by if c != "text" or inspection.lines}
    if rule.action == "ignore":
        return found
    for channel, said in (("image", inspection.image_signals), ("text", inspection.text_signals)):
        if said and channel in found:
            found[channel] = next((recall for at, recall in said.recall.get(category, ()) if at >= rule.review), None)
    return found


def channel_scores(inspection: Inspection, policy: Policy) -> dict[Category, dict[Channel, float]]:
    """What image and text score for each category that they looked for, in 0..1."""
    found: dict[Category, dict[Channel, float]] = {category: {} for category in CATEGORIES}
    channels: tuple[tuple[Channel, ChannelSignals | None], ...] = (
        ("image", inspection.image_signals),
        ("text", inspection.text_signals),
    )
    for channel, said in channels:
        if not said:
            continue
        for category in CATEGORIES:
            if any(category in categories for categories in said.looked_for.values()):
                found[category][channel] = fuse(policy, said, category)
    return {category: by for category, by in found.items() if by}


def judge_wanted(inspection: Inspection, policy: Policy) -> bool:
    """Whether the policy's `escalation` asks the judge about this picture; never if there is none."""
    scores = channel_scores(inspection, policy)
    if not (inspection.judge and scores):
        return False
    rules = policy.judge
    if rules.escalation != "auto":
        return rules.escalation == "always"
    text = highest_text_score(inspection, policy)
    if text is not None and within(rules.text_asked, text):
        return True
    counted = [by for category, by in scores.items() if category not in policy.ignored]
    bands: dict[Channel, Band] = {"image": rules.image_grey, "text": rules.text_grey}
    return any(within(band, by[channel]) for by in counted for channel, band in bands.items() if channel in by)


def highest_text_score(inspection: Inspection, policy: Policy) -> float | None:
    """The text's highest score, 0..1, of the categories that the policy does not ignore; None if nothing was read."""
    if not (inspection.text_signals and inspection.lines):
        return None
    scores = channel_scores(inspection, policy)
    return max((by.get("text", 0.0) for category, by in scores.items() if category not in policy.ignored), default=0.0)


def within(band: Band, score: float) -> bool:
    """Whether a score lies in a band: from its first number to below its second, which 1 is still part of."""
    low, below = band
    return low <= score < below or score == below == 1


def flagged(verdict: Verdict) -> tuple[Category, ...]:
    """The categories whose final score reached `review` and that the policy does not ignore."""
    return tuple(c for c, limits in verdict.provenance.thresholds.items() if verdict.scores[c] >= limits.review)


class Decision(Record):
    """What a policy makes of a picture's scores."""

    label: Label
    action: Action
    detail: dict[Category, CategoryScore]
    lowered: tuple[Reason, ...] = ()
    """Each score that the judge brought down."""


def combine(
    policy: Policy,
    scores: Scores,
    not_inspected: Sequence[NotInspected] = (),
    *,
    lowerable: Collection[Category] = CATEGORIES,
) -> Decision:
    """The decision table, from scores by channel. Any channel may raise a category; only the judge lowers one, as
    `policy.judge` allows.

    Args:
        policy: thresholds and actions.
        scores: by category and channel.
        not_inspected: what could not be looked at. One entry is enough for the picture not to be `safe`.
        lowerable: the categories of which the judge may lower a score: none if it did not see all there is to see, or
            something that was written for it, and of the others those that its low scores have a meaning for.

    Returns:
        The label is that of the worst category, or `policy.on_failure` if something (or everything: no scores but of
        ignored categories) was not inspected and that is worse. The action is the most urgent one: `support` before
        `block` before `warn`. An ignored category has its score in `detail`, and no say in anything else.
    """
    label: Label = "safe"
    actions: list[Action] = ["show"]
    detail: dict[Category, CategoryScore] = {}
    lowered: list[Reason] = []
    for category, by_channel in scores.items():
        counted = _after_judge(policy.judge, by_channel, may_lower=category in lowerable)
        decided_by = max(counted, key=lambda channel: counted[channel])
        final = counted[decided_by]
        detail[category] = CategoryScore(
            image=by_channel.get("image"),
            text=by_channel.get("text"),
            judge=by_channel.get("judge"),
            final=final,
            decided_by=decided_by,
        )
        rule = policy.categories[category]
        if rule.action == "ignore":
            continue
        lowered += _lowered(category, by_channel, final)
        if final >= rule.block:
            label = "unsafe"
            actions.append(rule.action)
        elif rule.counts(final):
            label = max(label, "review", key=_SEVERITY.index)
            actions.append("support" if rule.action == "support" else "warn")
    if not_inspected or _all_ignored(policy, scores):
        label = max(label, policy.on_failure, key=_SEVERITY.index)
        actions.append("block" if policy.on_failure == "unsafe" else "warn")
    return Decision(label=label, action=max(actions, key=_URGENCY.index), detail=detail, lowered=tuple(lowered))


def _all_ignored(policy: Policy, scores: Scores) -> bool:
    """Whether nothing was looked for that the policy does not ignore."""
    return scores.keys() <= set(policy.ignored)


def _lowered(category: Category, by_channel: Mapping[Channel, float], final: float) -> Iterator[Reason]:
    """The scores of a category that the judge brought down."""
    places: dict[Channel, str] = {"image": "in the picture", "text": "in its text"}
    for channel, seen in places.items():
        if (before := by_channel.get(channel, 0.0)) > final:
            yield Reason(category=category, channel="judge", source="judge", score=final, what=seen, lowered=before)


def _after_judge(rules: JudgeRules, by_channel: Mapping[Channel, float], *, may_lower: bool) -> dict[Channel, float]:
    """The scores that count, after the judge has lowered what it may."""
    counted = dict(by_channel)
    if (judge := counted.get("judge")) is None:
        return counted
    if not may_lower:
        return counted
    if rules.authority == "judge":
        return {"judge": judge}
    bands: dict[Channel, Band] = {"image": rules.image_grey, "text": rules.text_grey}
    for channel, band in bands.items():
        if within(band, counted.get(channel, -1.0)):
            counted[channel] = min(counted[channel], judge)
    return counted


SUPPORT = 0.5
"""A score of another kind of model that supports a score in full."""
SUPPORTED_BY: dict[Category, tuple[Category, ...]] = {"sexual": ("sexual", "nudity"), "nudity": ("sexual", "nudity")}
"""Category -> the ones of which another kind's score supports one of it. Scores of other categories need no support."""


def fuse(policy: Policy, said: ChannelSignals, category: Category) -> float:
    """A channel's score for one category, in 0..1. Of one kind of model the highest score counts, of whichever frame
    and model; a kind that found nothing scores 0.

    With `fusion = "agreement"`, a score s for `sexual` or `nudity` that no other kind supports counts as s ** `alone`,
    and as s itself from a support of SUPPORT on, in the same frame; in between the exponent falls in proportion. Other
    scores, and those that no other kind could support, count as they are. The form and its constants are ours.

    Args:
        policy: says which of `agreement`, `max`, `mean` and `min` over the kinds of model is taken.
        said: by the models of the channel, at least one of which looked for the category.
        category: to score.
    """
    signals = [signal for signal in said.signals if signal.category == category]
    if policy.image.fusion == "agreement":
        return max((_agreed(policy, said, signal) for signal in signals), default=0.0)
    kinds = [kind for kind, categories in said.looked_for.items() if category in categories]
    highest = [max((s.score for s in signals if s.source == kind), default=0.0) for kind in kinds]
    match policy.image.fusion:
        case "max":
            return max(highest)
        case "min":
            return min(highest)
        case "mean":
            return fmean(highest)


def _agreed(policy: Policy, said: ChannelSignals, signal: Signal) -> float:
    """A signal's score, less if another kind of model could support it and does not."""
    related = SUPPORTED_BY.get(signal.category, ())
    others = [kind for kind, found in said.looked_for.items() if kind != signal.source and set(related) & set(found)]
    if not others:
        return signal.score
    support = max(
        (s.score for s in said.signals if s.frame == signal.frame and s.source in others and s.category in related),
        default=0.0,
    )
    return float(signal.score ** (1 + (policy.image.alone - 1) * (1 - min(1.0, support / SUPPORT))))


def _not_inspected(inspection: Inspection, policy: Policy) -> list[NotInspected]:
    """What could not be looked at, before the judge."""
    unread = unreadable_text(policy, inspection.text) if inspection.text_signals else []
    image, text = inspection.image_signals, inspection.text_signals
    return [
        *inspection.not_inspected,
        *(image.not_inspected if image else ()),
        *unread,
        *(text.not_inspected if text else ()),
    ]


def _limits_of_authority(inspection: Inspection, policy: Policy) -> list[NotInspected]:
    """Why the judge may lower nothing here."""
    text, found = inspection.text_for_judge, []
    if text.addressed_to_model and policy.judge.authority == "asymmetric":
        reason = f"the text holds {text.addressed_to_model}, meant for a model"
        found.append(NotInspected(part="judge", reason=reason, cause="steering"))
    if text.cut:
        found.append(NotInspected(part="judge", reason=text.cut, cause="length"))
    return found


def _unanswered(opinion: JudgeOpinion | None, policy: Policy) -> list[NotInspected]:
    if opinion is None:
        reason: str | None = f"the judge was not asked about ages {policy.ages}"
    else:
        reason = opinion.error
    return [NotInspected(part="judge", reason=reason, cause="judge")] if reason else []


def _with_judge(scores: Scores, opinion: JudgeOpinion) -> dict[Category, dict[Channel, float]]:
    """The scores with the judge's beside them, for every category that somebody looked for."""
    found: dict[Category, dict[Channel, float]] = {}
    for category in CATEGORIES:
        by = dict(scores.get(category, {}))
        if category in opinion.scores:
            by["judge"] = opinion.scores[category]
        if by:
            found[category] = by
    return found


def _judge_signals(opinion: JudgeOpinion) -> list[Signal]:
    return [
        Signal(category=category, channel="judge", source="judge", score=score, what="the judge")
        for category, score in opinion.scores.items()
    ]


def _reasons(policy: Policy, signals: Sequence[Signal], decision: Decision) -> tuple[Reason, ...]:
    """What reached its category's `review` threshold, strongest first, and what the judge lowered."""
    reasons = (
        Reason(**dict(signal))
        for signal in signals
        if policy.categories[signal.category].counts(min(signal.score, decision.detail[signal.category].final))
    )
    return (*sorted(reasons, key=lambda reason: -reason.score), *decision.lowered)


def _explanation(policy: Policy, decision: Decision, opinion: JudgeOpinion | None) -> str | None:
    """The judge's sentence, if it is about the categories that this policy flags."""
    over = {c for c, score in decision.detail.items() if policy.categories[c].counts(score.final)}
    return opinion.explanation if opinion and over == set(opinion.explained) else None


def _thresholds(policy: Policy, category: Category) -> Thresholds:
    return Thresholds.model_validate(policy.categories[category].model_dump(include={"review", "block"}))
