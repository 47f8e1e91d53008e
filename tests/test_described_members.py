"""Whatever a program may read, call or pass is described where it is defined, and stands in the API reference."""

import ast
import inspect
import re
import sys
import typing
from collections.abc import Iterator
from functools import cache
from types import FunctionType
from typing import Any

import pytest
from conftest import ROOT
from test_structure import none_of

import kidsnanny
from kidsnanny import errors

EXPORTED = [getattr(kidsnanny, name) for name in kidsnanny.__all__]
CALLED = {"__init__", "__call__"}
NUMBER = re.compile(r"\b(int|float|Score|Band)\b")
UNIT = re.compile(
    r"0\.\.1|\d to \d|length over height"
    r"|\b(pixels?|bytes|milliseconds|seconds|how many|how often|counted from 0|place in|times|share)\b",
    re.I,
)
"""What a number's description says: its unit, its range, or that it is a count."""


def parts(annotation: Any) -> Iterator[Any]:
    """The annotation and whatever stands in its brackets."""
    yield annotation
    for inner in typing.get_args(annotation):
        yield from parts(inner)


def ours(one: Any) -> bool:
    return isinstance(one, type) and one.__module__.startswith("kidsnanny.")


def reachable() -> list[type]:
    """The exported classes and those of their fields, and of the fields of these."""
    found = [one for one in EXPORTED if ours(one)]
    for one in found:  # grows as it goes
        hints = {} if issubclass(one, Exception) else typing.get_type_hints(one)
        fields = hints.values() if dataclass_like(one) else ()
        found += dict.fromkeys(p for f in fields for p in parts(f) if ours(p) and p not in found)
    return found


def dataclass_like(one: type) -> bool:
    """Whether its annotations are its fields, and not the attributes of a protocol or of an ordinary class."""
    return hasattr(one, "model_fields") or hasattr(one, "_fields")


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(sys.modules[module]))


def definition(one: type) -> ast.ClassDef:
    return next(n for n in tree(one.__module__).body if isinstance(n, ast.ClassDef) and n.name == one.__name__)


def below(body: list[ast.stmt], node: ast.stmt) -> str:
    """The string that stands right below a field."""
    following = body[body.index(node) + 1 :][:1]
    value = following[0].value if following and isinstance(following[0], ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def undescribed_fields(one: type) -> Iterator[str]:
    body = definition(one).body
    for node in body:
        if isinstance(node, ast.AnnAssign) and not (name := ast.unparse(node.target)).startswith("_"):
            text, kind = below(body, node), ast.unparse(node.annotation)
            if not text:
                yield f"{one.__name__}.{name}: nothing stands below it"
            elif NUMBER.search(kind) and not UNIT.search(f"{name.replace('_', ' ')}: {text}"):
                yield f"{one.__name__}.{name}: neither a unit nor a range: {text}"


def parameters(function: FunctionType | type) -> list[str]:
    """Those that need a word: the only one of a method is what its first sentence is about."""
    names = [name for name in inspect.signature(function).parameters if name not in {"self", "cls", "_"}]
    return names if len(names) > 1 else []


def undescribed_calls(one: type) -> Iterator[str]:
    for name, member in vars(one).items():
        function = getattr(member, "__func__", member)
        if isinstance(member, property):
            if not member.__doc__:
                yield f"{one.__name__}.{name}: it has no docstring"
        elif isinstance(function, FunctionType) and (name in CALLED or not name.startswith("_")):
            text = one.__doc__ if name == "__init__" else function.__doc__
            if function.__module__ == one.__module__ and not getattr(one, "_is_protocol", False):
                yield from (
                    f"{one.__name__}.{name}: says nothing of {parameter}"
                    for parameter in parameters(function)
                    if not re.search(rf"\b{parameter}\b", text or "")
                )
            if function.__module__ == one.__module__ and not text:
                yield f"{one.__name__}.{name}: it has no docstring"


def undescribed_attributes(one: type) -> Iterator[str]:
    """Public attributes that `__init__` sets, and that are not a parameter of the same name."""
    for function in definition(one).body:
        if isinstance(function, ast.FunctionDef) and function.name == "__init__":
            known = {argument.arg for argument in [*function.args.args, *function.args.kwonlyargs]}
            for body in (b for n in ast.walk(function) if isinstance(b := getattr(n, "body", None), list)):
                for node in body:
                    target = ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""
                    name = target.removeprefix("self.")
                    if name != target and not name.startswith("_") and name not in known and not below(body, node):
                        yield f"{one.__name__}.{name}: nothing stands below it"


def test_every_class_field_and_method_is_described() -> None:
    classes = reachable()
    assert len(classes) > 25
    for check in (undescribed_fields, undescribed_calls, undescribed_attributes):
        none_of(line for one in classes for line in check(one))
    none_of(f"{one.__name__}: it has no docstring of its own" for one in classes if not vars(one).get("__doc__"))


def test_every_error_is_described() -> None:
    found = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)]
    assert len(found) > 10
    none_of(f"{one.__name__}: it has no docstring of its own" for one in found if not vars(one).get("__doc__"))


@pytest.mark.parametrize("function", [one for one in EXPORTED if isinstance(one, FunctionType)])
def test_every_function_is_described(function: FunctionType) -> None:
    assert all(re.search(rf"\b{name}\b", function.__doc__ or "") for name in parameters(function))


def test_names_that_are_no_classes_are_described() -> None:
    for name in ("Category", "CATEGORIES"):
        body = tree("kidsnanny.taxonomy").body
        (node,) = [n for n in body if re.match(rf"{name}\b", ast.unparse(n))]
        assert below(body, node), name


def test_the_reference_has_all_of_them() -> None:
    shown = set(re.findall(r"^::: ([\w.]+)", (ROOT / "docs" / "api.md").read_text("utf-8"), re.M))
    exported = {f"kidsnanny.{name}" for name in kidsnanny.__all__ if not name.endswith("Error")}
    inner = {f"{one.__module__}.{one.__name__}" for one in reachable() if one not in EXPORTED}
    assert shown == exported | inner | {"kidsnanny.errors"}
