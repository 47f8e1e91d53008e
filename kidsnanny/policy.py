"""Age profiles, thresholds and actions; `decide()` turns scores and failures into a label. All of it is pure."""

import hashlib
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from kidsnanny.errors import PolicyError
from kidsnanny.records import (
    Action,
    CategoryScore,
    Channel,
    Label,
    ModelKind,
    NotInspected,
    Reason,
    Record,
    TextLine,
    Thresholds,
)
from kidsnanny.taxonomy import CATEGORIES, Category

BUILT_IN = ("child", "preteen", "teen")
_SEVERITY: tuple[Label, ...] = ("safe", "review", "unsafe")
_URGENCY: tuple[Action, ...] = ("show", "warn", "block", "support")


class Rule(Thresholds):
    """What one category's final score means."""

    action: Literal["block", "warn", "support"] = "block"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.review > self.block:
            raise ValueError(f"review ({self.review}) is above block ({self.block})")
        return self


class TextFloors(Record):
    """What counts as text, and as text that was found but not read."""

    noise: float = Field(ge=0, le=0.5)
    """A line with a lower OCR confidence is no text: a row of coins, a cat's whiskers."""
    read: float = Field(ge=0.5, le=1)
    """A line with at least this confidence was read. One between the floors is scored, too, but counts as unread."""
    area: float = Field(ge=0, le=0.1)
    """Unread lines matter when together they cover at least this share of the frame: a blurred street sign does not."""


def _rising(band: tuple[float, float]) -> tuple[float, float]:
    if band[0] > band[1]:
        raise ValueError(f"it begins at {band[0]} and ends below it, at {band[1]}")
    return band


Score = Annotated[float, Field(ge=0, le=1)]
Band = Annotated[tuple[Score, Score], AfterValidator(_rising)]


class ImageRules(Record):
    """How the kinds of eye of Stage 1 become one score per category."""

    fusion: Literal["max", "mean", "min"]
    """Of the kinds that look for the category: `max` believes whoever is alarmed, `min` asks that all are."""


class JudgeRules(Record):
    """When the judge is asked, and what its word is worth."""

    authority: Literal["asymmetric", "judge"]
    """`asymmetric`: it may raise any score, and lower one only inside the grey bands below; never when the text looks
    like it was written for a model. `judge`, for research: its score is the score, as in the paper."""
    escalation: Literal["always", "auto", "never"]
    """`auto`: when there is text, or when a score is in its grey band."""
    image_grey: Band
    """From, below: Stage 1's scores that the judge may lower."""
    text_grey: Band
    """The text model's scores that the judge may lower. Empty by default: whoever writes text that the text model finds
    harmful can also write what makes a judge call it harmless."""


class Policy(Record):
    """Who the picture is for, and what is too much for them.

    A TOML file says only what differs from the built-in profile it names as `base`.
    """

    name: str
    base: str
    ages: str
    on_failure: Literal["review", "unsafe"]
    """The label of a picture that could not be looked at in full, if nothing worse was found. There is no `allow`."""
    image: ImageRules
    text: TextFloors
    judge: JudgeRules
    categories: dict[Category, Rule]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if missing := [c for c in CATEGORIES if c not in self.categories]:
            raise ValueError(f"no thresholds for {', '.join(missing)}")
        return self

    @property
    def version(self) -> str:
        """The name and a digest of the content: it changes whenever a threshold does."""
        return f"{self.name}@{hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]}"

    @classmethod
    def load(cls, name: str | Path) -> Self:
        """A built-in profile by name, or a TOML file by path.

        Raises:
            PolicyError: there is no such profile or file, or it is malformed or has unknown keys.
        """
        table = _table(name)
        base = table.get("base")
        if str(name) not in BUILT_IN:
            if base not in BUILT_IN:
                found = "missing" if base is None else repr(base)
                raise PolicyError(f"{name}: `base` is {found}; set it to one of {', '.join(BUILT_IN)}.")
            table = _merge(_table(base), table)
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(step) for step in first["loc"] if step != "[key]") or "the file"
            unknown = first["type"] == "extra_forbidden" or "[key]" in first["loc"]
            why = "there is no such key" if unknown else first["msg"]
            raise PolicyError(f"{name}: {where}: {why}; {_built_in('preteen')} has all of them.") from error


class Decision(Record):
    """What a policy makes of a picture's scores."""

    label: Label
    action: Action
    detail: dict[Category, CategoryScore]
    lowered: tuple[Reason, ...] = ()
    """Each score that the judge brought down."""


def decide(
    policy: Policy,
    scores: Mapping[Category, Mapping[Channel, float]],
    not_inspected: Sequence[NotInspected] = (),
    *,
    may_lower: bool = True,
) -> Decision:
    """The decision table. Any channel may raise a category; only the judge lowers one, as `policy.judge` allows.

    Args:
        policy: thresholds and actions.
        scores: category -> channel -> score in 0..1, for every category and channel that looked; 0 is "found nothing".
        not_inspected: what could not be looked at. One entry is enough for the picture not to be `safe`.
        may_lower: whether the judge saw all there is to see, and nothing that was written for it.

    Returns:
        The label is that of the worst category, or `policy.on_failure` if something (or everything: no scores) was not
        inspected and that is worse. The action is the most urgent one: `support` before `block` before `warn`.
    """
    label: Label = "safe"
    actions: list[Action] = ["show"]
    detail: dict[Category, CategoryScore] = {}
    lowered: list[Reason] = []
    for category, by_channel in scores.items():
        heard = _heard(policy.judge, by_channel, may_lower=may_lower)
        decided_by = max(heard, key=lambda channel: heard[channel])
        final = heard[decided_by]
        for channel in ("image", "text"):
            before = by_channel.get(channel, 0.0)
            if before > final:
                seen = "in the picture" if channel == "image" else "in its text"
                by = Reason(category=category, channel="judge", source="judge", score=final, what=seen, lowered=before)
                lowered.append(by)
        detail[category] = CategoryScore(
            image=by_channel.get("image"),
            text=by_channel.get("text"),
            judge=by_channel.get("judge"),
            final=final,
            decided_by=decided_by,
        )
        rule = policy.categories[category]
        if final >= rule.block:
            label = "unsafe"
            actions.append(rule.action)
        elif final >= rule.review:
            label = max(label, "review", key=_SEVERITY.index)
            actions.append("support" if rule.action == "support" else "warn")
    if not_inspected or not scores:
        label = max(label, policy.on_failure, key=_SEVERITY.index)
        actions.append("block" if policy.on_failure == "unsafe" else "warn")
    return Decision(label=label, action=max(actions, key=_URGENCY.index), detail=detail, lowered=tuple(lowered))


def _heard(rules: JudgeRules, by_channel: Mapping[Channel, float], *, may_lower: bool) -> dict[Channel, float]:
    """The scores that count, after the judge has lowered what it may."""
    heard = dict(by_channel)
    if (judge := heard.get("judge")) is None:
        return heard
    if rules.authority == "judge":
        return {"judge": judge}
    bands: dict[Channel, Band] = {"image": rules.image_grey, "text": rules.text_grey}
    for channel, (low, below) in bands.items():
        if may_lower and low <= heard.get(channel, -1.0) < below:
            heard[channel] = min(heard[channel], judge)
    return heard


def judge_wanted(policy: Policy, scores: Mapping[Category, Mapping[Channel, float]], *, has_text: bool) -> bool:
    """Whether the policy's `escalation` asks the judge about a picture with these scores of image and text."""
    rules = policy.judge
    if rules.escalation != "auto":
        return rules.escalation == "always"
    bands: dict[Channel, Band] = {"image": rules.image_grey, "text": rules.text_grey}
    grey = (
        low <= by[channel] < below for by in scores.values() for channel, (low, below) in bands.items() if channel in by
    )
    return has_text or any(grey)


def fuse(policy: Policy, looked: Collection[ModelKind], reasons: Sequence[Reason]) -> float:
    """Stage 1's score for one category.

    Args:
        policy: says which of `max`, `mean` and `min` is taken.
        looked: the kinds of eye that look for the category; one that found nothing says 0.
        reasons: theirs, of that category. Of one kind the loudest counts, in whichever frame and model.
    """
    loudest = [max((r.score for r in reasons if r.source == kind), default=0.0) for kind in looked]
    match policy.image.fusion:
        case "max":
            return max(loudest)
        case "min":
            return min(loudest)
        case "mean":
            return fmean(loudest)


def unreadable_text(policy: Policy, lines: Sequence[TextLine], frame_area: int) -> list[NotInspected]:
    """Frames in which text that was found but not read covers at least the area floor.

    One or two characters are a button, a wheel or a pupil more often than they are a message: they do not count.
    """
    area: dict[int, int] = {}
    for line in lines:
        if policy.text.noise <= line.confidence < policy.text.read and len(line.text) > 2:
            area[line.frame] = area.get(line.frame, 0) + line.box.area
    return [
        NotInspected(part="text", reason=f"text on {share:.1%} of the picture could not be read", frame=frame)
        for frame, covered in area.items()
        if (share := covered / frame_area) >= policy.text.area
    ]


def _built_in(name: str) -> Path:
    return Path(__file__).parent / "policies" / f"{name}.toml"


def _table(name: str | Path) -> dict[str, object]:
    built_in = str(name) in BUILT_IN
    path = _built_in(str(name)) if built_in else Path(name)
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise PolicyError(f"{name}: there is no such policy; name {', '.join(BUILT_IN)} or a TOML file.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PolicyError(f"{name}: the policy cannot be read ({error}); correct the file.") from error


def _merge(base: dict[str, object], over: dict[str, object]) -> dict[str, object]:
    """`over` laid on `base`, table by table."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
