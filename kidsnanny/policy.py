"""Age profiles: thresholds, actions, and what the judge may do. `kidsnanny.decision` applies them.

What stands under a field is also its comment in the files that `kidsnanny policy init` writes, and its first sentence
what `kidsnanny policy show` says of it.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from kidsnanny.errors import PolicyError
from kidsnanny.faults import MISSING, Fault, faults
from kidsnanny.records import Record, Thresholds, encodable
from kidsnanny.taxonomy import CATEGORIES, Category
from kidsnanny.toml_files import line_of, parse_toml, toml_text, why_unread

Base = Literal["child", "preteen", "teen"]
BUILT_IN: tuple[Base, ...] = get_args(Base)
DEFAULT: Base = "preteen"


class Rule(Thresholds):
    """What one category's final score means."""

    action: Literal["block", "warn", "support", "ignore"] = "block"
    """What the app should do from `block` on. It is to `block` the picture, to `warn` first, or to offer `support` to a
    child who may need help. `ignore` switches the category off: it is looked for and scored, and changes nothing."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.review > self.block:
            raise ValueError(f"review ({self.review}) is above block ({self.block})")
        return self

    def counts(self, score: float) -> bool:
        """Whether a score is a reason: from `review` on, unless the category is ignored."""
        return self.action != "ignore" and score >= self.review


class TextRules(Record):
    """What counts as text that was found but not read."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    read: float = Field(ge=0.5, le=1, strict=True)
    """0.5 to 1. A line with at least this confidence was read. One with less is scored as well, but counts as
    unread."""
    aspect: float = Field(ge=1, le=10, strict=True)
    """Only what is at least so many times longer than high is a line of text for sure. Of what is shorter, three such
    lines together count."""
    area: float = Field(ge=0, le=0.1, strict=True)
    """Unread lines matter when together they cover at least this share of the frame. A blurred street sign does not."""
    large: float = Field(ge=0, le=1, strict=True)
    """Unread short lines of a scene are a message when they cover at least this share of the frame. Such lines do not
    stand on an even ground as in a chat or on a poster. Below this share they are `minor`."""
    minor: Literal["note", "review"]
    """What becomes of text that is unread or in an unknown language and too little for a message. `note` tells of it in
    the verdict and changes no label; with `review` it counts as not inspected."""


def _rising(band: tuple[float, float]) -> tuple[float, float]:
    if band[0] > band[1]:
        raise ValueError(f"it begins at {band[0]} and ends below it, at {band[1]}")
    return band


Score = Annotated[float, Field(ge=0, le=1, strict=True)]
Band = Annotated[tuple[Score, Score], AfterValidator(_rising)]


class ImageRules(Record):
    """How the kinds of model that look at the picture become one score per category."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    fusion: Literal["agreement", "max", "mean", "min"]
    """How the scores of a classifier and a detector become one. `agreement` believes whoever is alarmed, less where the
    other kind could have agreed and does not; `max` believes whoever is alarmed, `min` asks that all are, and `mean` is
    between the two."""
    alone: float = Field(default=4.0, ge=1, le=10, strict=True)
    """With `agreement`, the exponent on a score that no other kind supports, from 1 to 10. 1 is as `max`."""


class JudgeRules(Record):
    """When the judge is asked, and what its word is worth. Without a judge nothing here matters."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    authority: Literal["asymmetric", "judge"]
    """What the judge may change. `asymmetric`: it may raise any score, and lower one only inside the grey bands below,
    and never when the text looks like it was written for a model. `judge`, for research: its score is the score."""
    escalation: Literal["always", "auto", "never"]
    """When the judge is asked. `auto`: when there is text and its highest score is in `text_asked`, or when a score is
    in one of the grey bands."""
    text_asked: Band
    """The highest scores of the text model, 0..1, for which `auto` asks the judge about a text; all by default.
    `kidsnanny llm bands` finds those for which a judge is worth its time."""
    image_grey: Band
    """The scores of the picture, 0..1, that the judge may lower, from the first number to below the second."""
    text_grey: Band
    """The scores of the text model, 0..1, that the judge may lower. None by default: whoever writes text that the text
    model finds harmful can also write what makes a judge call it harmless."""


class Policy(Record):
    """Who the picture is for, and what is too much for them.

    A TOML file says only what differs from the built-in policy it names as `base`.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")
    """What verdicts call this policy, beside a digest of its rules."""
    base: Base
    """The built-in policy that says what is left out here."""
    ages: str
    """Who the pictures are for, as the judge is told."""
    on_failure: Literal["review", "unsafe"]
    """The label of a picture that could not be looked at in full, if nothing worse was found. There is no `allow`."""
    image: ImageRules
    """How several models of Stage 1 become one score."""
    text: TextRules
    """What counts as unread."""
    judge: JudgeRules
    """When it is asked, and what its word is worth."""
    categories: dict[Category, Rule]
    """What the score of each category means. It goes from 0, nothing was found, to 1."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if missing := [c for c in CATEGORIES if c not in self.categories]:
            raise ValueError(f"no thresholds for {', '.join(missing)}")
        if len(self.ignored) == len(CATEGORIES):
            raise ValueError("it ignores every category, so nothing would be looked for; leave at least one on")
        return self

    @property
    def ignored(self) -> tuple[Category, ...]:
        """The categories that are switched off, in the order of CATEGORIES."""
        return tuple(category for category in CATEGORIES if self.categories[category].action == "ignore")

    @property
    def version(self) -> str:
        """The name and a digest of the content: it changes whenever a threshold does."""
        return f"{self.name}@{hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]}"

    @classmethod
    def load(cls, name: str | Path) -> Self:
        """A built-in profile by name, or a TOML file by path.

        Raises:
            PolicyError: there is no such profile or file, or it is malformed or has unknown keys: all that is wrong.
            TypeError: `name` is neither a string nor a path.
        """
        if not isinstance(name, str | os.PathLike):
            raise TypeError(f"policy is a {type(name).__name__}; expected a name, a TOML file's path or a Policy.")
        text, given = _read(name)
        base = given.get("base")
        _, below = _read(base if base in BUILT_IN else DEFAULT)
        table = _merge({key: value for key, value in below.items() if key != "base"}, given)
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            raise _refusal(encodable(str(name)), text, faults(error, below)) from error


def _read(name: Any) -> tuple[str, dict[str, Any]]:
    """The text and the tables of a built-in policy or a file."""
    built_in, named = str(name) in BUILT_IN, encodable(str(name))
    path = Path(__file__).parent / "policies" / f"{name}.toml" if built_in else Path(name)
    try:
        text = toml_text(path)
        return text, parse_toml(text)
    except FileNotFoundError as error:
        known = ", ".join(BUILT_IN)
        raise PolicyError(f"{named}: there is no such policy; name {known} or a TOML file.") from error
    except IsADirectoryError as error:
        raise PolicyError(f"{named or repr('')}: it is a folder; name the TOML file in it.") from error
    except (OSError, ValueError) as error:
        raise PolicyError(f"{named}: the policy cannot be read ({why_unread(error)}); correct the file.") from error


def _refusal(named: str, text: str, found: list[Fault]) -> PolicyError:
    """All faults of a file as one sentence, and as one each, in the order of its lines."""
    placed = sorted(((line_of(text, fault.where) or 0, fault) for fault in found), key=lambda one: one[0])
    said = [(f"line {line}: " if line else "") + "".join(_explained(fault)) for line, fault in placed]
    fixes = ["add it" if fault.why == MISSING else "correct it" for _, fault in placed]
    fix = fixes[0] if len(fixes) == 1 else "correct them"
    sentences = [f"{named}: {one}; {its}." for one, its in zip(said, fixes, strict=True)]
    return PolicyError(f"{named}: {'; '.join(said)}; {fix}.", sentences)


def _explained(fault: Fault) -> Iterator[str]:
    yield str(fault)
    if fault == ("base", MISSING):
        yield f" (it is one of {', '.join(BUILT_IN)})"


def _merge(base: dict[str, object], over: dict[str, object]) -> dict[str, object]:
    """`over` laid on `base`, table by table."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
