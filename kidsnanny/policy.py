"""Age profiles: thresholds, actions, and what the judge may do. `kidsnanny.decision` applies them."""

import hashlib
import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from kidsnanny.errors import PolicyError
from kidsnanny.records import Record, Thresholds, encodable
from kidsnanny.taxonomy import CATEGORIES, Category
from kidsnanny.toml_files import MISSING, UNKNOWN, first_fault, read_toml, why_unread

BUILT_IN = ("child", "preteen", "teen")


class Rule(Thresholds):
    """What one category's final score means."""

    action: Literal["block", "warn", "support"] = "block"
    """What the app should do from `block` on. Between `review` and `block` it is `warn`, or `support` if this is."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.review > self.block:
            raise ValueError(f"review ({self.review}) is above block ({self.block})")
        return self


class TextRules(Record):
    """What counts as text that was found but not judged."""

    read: float = Field(ge=0.5, le=1, strict=True)
    """0.5 to 1. A line with at least this confidence was read. One with less is scored as well, but counts as
    unread."""
    aspect: float = Field(ge=1, le=10, strict=True)
    """Only what is at least so many times longer than high is a line of text for sure."""
    area: float = Field(ge=0, le=0.1, strict=True)
    """Unread lines matter when together they cover at least this share of the frame: a blurred street sign does not."""
    large: float = Field(ge=0, le=1, strict=True)
    """Unread lines of a scene, which do not stand on an even ground as in a chat or on a poster, are a message when
    they cover at least this share of the frame; else they are `minor`."""
    minor: Literal["note", "review"]
    """What is unread or in an unknown language and no message: `note` it in the verdict, or let it be
    `not_inspected`."""


def _rising(band: tuple[float, float]) -> tuple[float, float]:
    if band[0] > band[1]:
        raise ValueError(f"it begins at {band[0]} and ends below it, at {band[1]}")
    return band


Score = Annotated[float, Field(ge=0, le=1, strict=True)]
Band = Annotated[tuple[Score, Score], AfterValidator(_rising)]


class ImageRules(Record):
    """How the kinds of model of Stage 1 become one score per category."""

    fusion: Literal["agreement", "max", "mean", "min"]
    """Of the kinds that look for the category: `agreement` believes whoever is alarmed, less where another kind could
    have agreed and does not; `max` believes whoever is alarmed, `min` asks that all are."""
    alone: float = Field(default=4.0, ge=1, le=10, strict=True)
    """With `agreement`: the exponent, 1 to 10, on a score that no other kind supports. 1 is `max`."""


class JudgeRules(Record):
    """When the judge is asked, and what its word is worth."""

    authority: Literal["asymmetric", "judge"]
    """`asymmetric`: it may raise any score, and lower one only inside the grey bands below; never when the text looks
    like it was written for a model. `judge`, for research: its score is the score, as in the paper."""
    escalation: Literal["always", "auto", "never"]
    """`auto`: when there is text, or when a score is in its grey band."""
    image_grey: Band
    """From, below, each 0..1: Stage 1's scores that the judge may lower."""
    text_grey: Band
    """From, below, each 0..1: the text model's scores that the judge may lower. Empty by default: whoever writes text
    that the text model finds harmful can also write what makes a judge call it harmless."""


class Policy(Record):
    """Who the picture is for, and what is too much for them.

    A TOML file says only what differs from the built-in profile it names as `base`.
    """

    name: str = Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")
    """As it stands in verdicts."""
    base: str
    """The built-in policy that a file's own differs from."""
    ages: str
    """Like `10-12`; a judge is asked about these."""
    on_failure: Literal["review", "unsafe"]
    """The label of a picture that could not be looked at in full, if nothing worse was found. There is no `allow`."""
    image: ImageRules
    """How several models of Stage 1 become one score."""
    text: TextRules
    """What counts as unread."""
    judge: JudgeRules
    """When it is asked, and what its word is worth."""
    categories: dict[Category, Rule]
    """Thresholds and action of each category."""

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
        if not isinstance(name, str | os.PathLike):
            raise TypeError(f"policy is a {type(name).__name__}; expected a name, a TOML file's path or a Policy.")
        table = _table(name)
        base = table.get("base")
        if str(name) not in BUILT_IN:
            if base not in BUILT_IN:
                found = "missing" if base is None else repr(base)
                raise PolicyError(f"{encodable(str(name))}: `base` is {found}; set it to one of {', '.join(BUILT_IN)}.")
            table = _merge(_table(base), table)
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            where, why = first_fault(error)
            fix = f"{_built_in('preteen')} has all of them" if why in (UNKNOWN, MISSING) else "correct it"
            raise PolicyError(f"{encodable(str(name))}: {where}: {why}; {fix}.") from error


def _built_in(name: str) -> Path:
    return Path(__file__).parent / "policies" / f"{name}.toml"


def _table(name: str | Path) -> dict[str, object]:
    built_in, named = str(name) in BUILT_IN, encodable(str(name))
    path = _built_in(str(name)) if built_in else Path(name)
    try:
        return read_toml(path)
    except FileNotFoundError as error:
        known = ", ".join(BUILT_IN)
        raise PolicyError(f"{named}: there is no such policy; name {known} or a TOML file.") from error
    except IsADirectoryError as error:
        raise PolicyError(f"{named or repr('')}: it is a folder; name the TOML file in it.") from error
    except (OSError, ValueError) as error:
        raise PolicyError(f"{named}: the policy cannot be read ({why_unread(error)}); correct the file.") from error


def _merge(base: dict[str, object], over: dict[str, object]) -> dict[str, object]:
    """`over` laid on `base`, table by table."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
