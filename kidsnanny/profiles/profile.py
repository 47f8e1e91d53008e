"""Compositions of Stage 1 and Stage 2 as data. A part that cannot be built is an error, never a weaker profile."""

import os
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError

from kidsnanny.budget import SECONDS
from kidsnanny.errors import ComponentError, ProfileError
from kidsnanny.faults import MISSING, UNKNOWN, first_fault
from kidsnanny.models.cards import Card, TextCard, cards, read_card
from kidsnanny.profiles.engine_registry import BUILT_IN, Kind, factory
from kidsnanny.records import Record, encodable
from kidsnanny.stage1.stage1 import Stage1
from kidsnanny.stage2.stage2 import Stage2
from kidsnanny.toml_files import read_toml, why_unread

FOLDER = Path(__file__).parent
PROFILES = ("embedded", "standard", "senben")
"""The built-in ones."""
DEFAULT = "embedded"


class Profile(Record):
    """Which engines a pipeline is made of. Each table names an `engine` of the registry; its other keys are the
    arguments of the engine's factory."""

    name: str
    stage1: tuple[dict[str, Any], ...] = Field(min_length=1)
    """Models that look at the picture. With `model`, the name of a weight card, `engine` is by default the card's role;
    several classifiers and detectors look side by side. A table `card` is the card itself, with `model` as its name."""
    ocr: dict[str, Any] | None = None
    text_model: dict[str, Any] | None = None
    judge: dict[str, Any] | None = Field(default=None, repr=False)  # its URL and key may be secret
    seconds: float = Field(default=SECONDS, gt=0, strict=True, allow_inf_nan=False)
    """How long one picture may be worked on, the judge not counted; see `kidsnanny.budget`."""

    @classmethod
    def load(cls, name: str | Path) -> Self:
        """A built-in profile by name, a TOML file by path, or the names of weight cards with commas between them:
        the default profile with these models instead of its own.

        Raises:
            ComponentError: there is no such profile, file or card, or it is malformed or has unknown keys.
            TypeError: `name` is neither a string nor a path.
        """
        if not isinstance(name, str | Path):
            raise TypeError(f"A profile is a name or a path, not a {type(name).__name__}.")
        if name not in PROFILES and not os.path.isfile(name) and (own := _named_cards(str(name))):
            return cls._of_cards(own)
        if name in PROFILES and name in cards():
            fix = f"give the card another name, or run `kidsnanny weights remove {name}`"
            raise ComponentError(f"{name}: it is a built-in profile, and a card of yours has the same name; {fix}.")
        path, named = FOLDER / f"{name}.toml" if name in PROFILES else Path(name), encodable(str(name))
        if str(name) and os.path.isdir(path):
            raise ComponentError(f"{named}: it is a folder and no profile; {_card_in(path)}.")
        try:
            table = read_toml(path)
            if table and all(isinstance(fields, dict) and "role" in fields for fields in table.values()):
                fix = f"run `kidsnanny weights add {named}`, and name {', '.join(table)}"
                raise ComponentError(f"{named}: it holds weight cards and no profile; {fix}.")
            profile = cls.model_validate(table)
        except FileNotFoundError as error:
            known = ", ".join(PROFILES)
            raise ComponentError(
                f"{named}: there is no such profile; choose one of {known}, a TOML file, or a name from "
                "`kidsnanny weights list`."
            ) from error
        except ValidationError as error:
            fault = first_fault(error, cls.model_fields)
            by_example = fault.why.startswith((UNKNOWN, MISSING))
            fix = f"{FOLDER / 'standard.toml'} is an example" if by_example else "correct it"
            raise ComponentError(f"{named}: {fault}; {fix}.") from error
        except (OSError, ValueError) as error:
            why = why_unread(error)
            raise ComponentError(f"{named}: the profile cannot be read ({why}); correct the file.") from error
        return profile.model_copy(update={"stage1": tuple(_with_card(path, table) for table in profile.stage1)})

    @classmethod
    def _of_cards(cls, named: Sequence[Card]) -> Self:
        """The default profile with these models: in Stage 1 they alone, in its place a text model."""
        name, text_model = "+".join(card.name for card in named), None
        stage1: list[dict[str, Any]] = []
        for card in named:
            if isinstance(card, TextCard):
                text_model = {"engine": "encoder", "model": card.name}
            elif card.role in BUILT_IN["stage1"]:
                stage1.append({"model": card.name})
            else:
                fix = "name a classifier, a detector, a probe, a student or a text model"
                raise ComponentError(f"{card.name}: no profile can use the weights of its role, {card.role}; {fix}.")
        students = [card.name for card in named if card.role == "student"]
        if students and len(stage1) > 1:
            raise ComponentError(f"{name}: a student looks by itself; name {students[0]} without other models.")
        default = cls.load(DEFAULT)
        return default.model_copy(
            update={
                "name": name,
                "stage1": tuple(stage1) or default.stage1,
                "text_model": text_model or default.text_model,
                "seconds": cls.load("senben").seconds if students else default.seconds,
            }
        )

    def build_stage1(self) -> Stage1:
        """The models that look at the picture; several of them as an Ensemble.

        Raises:
            ComponentError: a part is missing.
        """
        models = [self._built("stage1", table) for table in self.stage1]
        if len(models) == 1:
            return models[0]  # type: ignore[no-any-return]
        from kidsnanny.stage1.ensemble import Ensemble

        return Ensemble(*models)

    def build_stage2(self) -> Stage2 | None:
        """OCR, text model and judge; None if the profile has no OCR.

        Raises:
            ComponentError: a part is missing.
        """
        if self.ocr is None:
            if self.text_model is not None or self.judge is not None:
                raise ComponentError(f"{self.name}: a text model and a judge read what an OCR reads; add [ocr].")
            return None
        judge = self._built("judge", self.judge) if self.judge is not None else None
        text_model = self.text_model or {"engine": "encoder"}
        return Stage2(self._built("ocr", self.ocr), self._built("text_model", text_model), judge)

    def _built(self, kind: Kind, table: dict[str, Any]) -> Any:
        arguments = dict(table)
        engine = arguments.pop("engine", None)
        model = arguments.get("model")
        if engine is None and (card := model if isinstance(model, Card) else cards().get(str(model))):
            engine = card.role
        if not isinstance(engine, str):
            known = f"the model {model} has no card"
            if "model" not in arguments:
                known = "no engine is named" + (f" (its keys are {', '.join(arguments)})" if arguments else "")
            raise ComponentError(f"{self.name}: {kind}: {known}; see `kidsnanny weights list`, or name an `engine`.")
        build = factory(kind, engine)
        takes = ", ".join(signature(build).parameters) or "no arguments"
        fix = f"{engine} takes {takes}; correct the profile."
        try:
            signature(build).bind(**arguments)
        except TypeError as error:
            raise ProfileError(f"{self.name}: {kind}: {error}; {fix}") from error
        try:
            return build(**arguments)
        except ValidationError as error:  # the built-in factories check the values too
            raise ProfileError(f"{self.name}: {kind}: {first_fault(error)}; {fix}") from error


def _named_cards(name: str) -> list[Card]:
    """The cards of these names; none if one of them is no card's."""
    known = cards()
    names = dict.fromkeys(part.strip() for part in name.split(","))
    return [known[part] for part in names] if known.keys() >= names.keys() else []


def _card_in(folder: Path) -> str:
    """What to do with a folder that was named as a profile."""
    card = folder / "card.toml"
    if not card.is_file():
        return "name a TOML file, or a name from `kidsnanny weights list`"
    return encodable(f"run `kidsnanny weights add {card}`, and give the name that it says")


def _with_card(file: Path, table: dict[str, Any]) -> dict[str, Any]:
    """The table with the card that it holds, if it does, as its `model`."""
    rest = dict(table)
    fields = rest.pop("card", None)
    return table if fields is None else rest | {"model": read_card(file, str(rest.get("model", file.stem)), fields)}
