"""What pydantic refuses is said in our words, in every message of the package."""

import ast
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
from conftest import ScriptedStage1
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, model_validator
from test_structure import TREES, dotted

from kidsnanny import Pipeline
from kidsnanny.errors import ComponentError
from kidsnanny.faults import Fault, faults, first_fault, in_words
from kidsnanny.records import Detection, Record
from kidsnanny.taxonomy import Category
from kidsnanny.verdict import Verdict


class Pet(Record):
    name: str
    age: int = Field(default=1, ge=0, lt=30, strict=True)
    kind: Literal["cat", "dog"] = "cat"

    @model_validator(mode="after")
    def _cats_are_no_dogs(self) -> "Pet":
        if self.name == "Rex" and self.kind == "cat":
            raise ValueError("Rex is a dog")
        return self


class Home(Record):
    pets: tuple[Pet, ...] = ()
    by_category: dict[Category, Pet] = Field(default_factory=dict)


def refused(model: type[Record], data: object) -> ValidationError:
    with pytest.raises(ValidationError) as raised:
        model.model_validate(data)
    return raised.value


FAULTS = [
    # a model, data -> all that is wrong, in words
    (Pet, {}, ["name: it is missing"]),
    (Pet, {"name": 7, "age": -1}, ["name: it is 7, expected a text in quotes", "age: it is -1, expected at least 0"]),
    (Pet, {"name": "a", "age": 30}, ["age: it is 30, expected below 30"]),
    (Pet, {"name": "a", "age": True}, ["age: it is true, expected a whole number"]),
    (Pet, {"name": "a", "kind": "cow"}, ["kind: it is 'cow', expected 'cat' or 'dog'"]),
    (Pet, {"name": "a", "agee": 3, "z": 1}, ["agee: there is no such key", "z: there is no such key"]),
    (Pet, {"name": "Rex"}, ["Rex is a dog"]),
    (Home, {"pets": [{"name": "a"}, {"name": "Rex"}]}, ["pets.1: Rex is a dog"]),
    (Home, {"pets": [7]}, ["pets.0: it is 7, expected a table"]),
    (Home, {"by_category": {"scam": 7}}, ["by_category.scam: it is 7, expected a table"]),
    (Home, {"by_category": {"scan": {}}}, ["by_category.scan: there is no such key"]),  # and not what it lacks
    (Home, {"by_category": {"scan": 7}}, ["by_category.scan: there is no such key"]),
    (Home, 7, ["it is 7, expected a table"]),
    (Home, {"pets": "x" * 99}, [f"pets: it is '{'x' * 38}…, expected a list"]),
]


@pytest.mark.parametrize(("model", "data", "said"), FAULTS)
def test_everything_that_is_wrong_is_said(model: type[Record], data: object, said: list[str]) -> None:
    error = refused(model, data)
    assert [str(fault) for fault in faults(error)] == said
    assert str(first_fault(error)) == said[0]


def test_json_that_is_none() -> None:
    with pytest.raises(ValidationError) as raised:
        Pet.model_validate_json("{")
    assert str(first_fault(raised.value)).startswith("it is not JSON (EOF")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"by_category": {"scan": 7}}, "by_category.scan: there is no such key (did you mean scam?)"),
        ({"by_category": {"zzz": 7}}, "by_category.zzz: there is no such key (there are scam, hate)"),
        ({"pests": []}, "pests: there is no such key (did you mean pets?)"),
        ({"pets": [{"name": "a", "x": 1}]}, "pets.0.x: there is no such key"),  # of what nothing is known
    ],
)
def test_a_typo_gets_a_suggestion(data: dict[str, object], said: str) -> None:
    known = {"pets": [], "by_category": {"scam": {}, "hate": {}}}
    assert [str(fault) for fault in faults(refused(Home, data), known)] == [said]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ComponentError("The oven is off; light it."), "The oven is off; light it."),
        (RuntimeError("two\n  lines"), "RuntimeError: two lines"),
        (KeyError(), "KeyError"),
        (refused(Pet, {"name": "Rex"}), "ValidationError: Rex is a dog"),
    ],
)
def test_an_error_in_words(error: Exception, said: str) -> None:
    assert in_words(error) == said


def test_a_model_that_makes_impossible_findings_is_named_in_our_words() -> None:
    """Code of somebody else's may raise what it likes; its verdict is one line, and never safe."""

    class Boastful(ScriptedStage1):
        def screen(self, _: object) -> list[object]:
            return [Detection(label="x", score=1.5)]  # type: ignore[list-item]

    verdict = Pipeline(stage1=Boastful(), stage2=None)(np.zeros((8, 8, 3), np.uint8))
    reasons = [missed.reason for missed in verdict.not_inspected]
    assert reasons == ["the component failed (ValidationError: score: it is 1.5, expected at most 1)"]
    assert verdict.label == "review"


def test_a_validators_own_words_stand_alone() -> None:
    def never(_: object) -> None:
        raise ValueError("we have none")

    with pytest.raises(ValidationError) as raised:
        TypeAdapter(Annotated[int, BeforeValidator(never)]).validate_python(1)
    assert faults(raised.value) == [Fault("", "we have none")]
    with pytest.raises(ValueError, match=r"^It is not the JSON of a verdict: source: it is missing\.$"):
        Verdict.from_json("{}")


def handlers(tree: ast.Module) -> list[ast.ExceptHandler]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.type and node.name]


def printed_as_it_is(handler: ast.ExceptHandler) -> bool:
    """Whether the caught error itself goes into a text."""
    for node in ast.walk(handler):
        value = node.value if isinstance(node, ast.FormattedValue) else None
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("str", "repr"):
            value = node.args[0]
        if isinstance(value, ast.Name) and value.id == handler.name:
            return True
    return False


@pytest.mark.parametrize("path", TREES, ids=dotted)
def test_no_message_of_pydantics_is_printed_as_it_is(path: Path) -> None:
    """Only `kidsnanny.faults` reads them; everybody else asks it."""
    tree = TREES[path]
    read = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "errors"]
    if dotted(path) == "kidsnanny.faults":
        assert read
        return
    assert not read
    for handler in handlers(tree):
        assert "ValidationError" not in ast.unparse(handler.type) or not printed_as_it_is(handler), handler.lineno
