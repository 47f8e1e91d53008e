"""Engines by name, for profiles: what is built in, and what other packages add by entry points.

A package adds an engine with an entry point in the group `kidsnanny.KIND`, whose value is a factory: a class or a
function that takes the rest of the profile's table as keyword arguments and returns the engine.

    [project.entry-points."kidsnanny.ocr"]
    my-ocr = "my_package.ocr:MyOcr"
"""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Literal

from kidsnanny.errors import ComponentError

Kind = Literal["stage1", "ocr", "text_model", "judge", "baselines"]
BUILT_IN: dict[Kind, dict[str, str]] = {
    "stage1": {
        "classifier": "kidsnanny.profiles.factories:classifier",
        "detector": "kidsnanny.profiles.factories:detector",
        "student": "kidsnanny.profiles.factories:student",
        "probe": "kidsnanny.profiles.factories:probe",
    },
    "ocr": {
        "ppocr": "kidsnanny.stage2.ocr.ppocr:PpOcr",
        "paddle": "kidsnanny.profiles.factories:paddle",
    },
    "text_model": {"encoder": "kidsnanny.profiles.factories:encoder"},
    "judge": {"openai": "kidsnanny.profiles.factories:openai"},
    "baselines": {},  # the built-in ones are in evaluation/systems/registry.py
}
"""Kind -> name -> `module:factory`; nothing is imported until it is asked for."""


def names(kind: Kind) -> tuple[str, ...]:
    """The names of all engines of a kind, the built-in ones first."""
    return (*BUILT_IN[kind], *(point.name for point in entry_points(group=f"kidsnanny.{kind}")))


def factory(kind: Kind, name: str) -> Callable[..., Any]:
    """What builds the engine of that name.

    Raises:
        ComponentError: there is none, or the package that has it cannot be imported.
    """
    if target := BUILT_IN[kind].get(name):
        module, _, path = target.partition(":")
        return getattr(import_module(module), path)  # type: ignore[no-any-return]
    for point in entry_points(group=f"kidsnanny.{kind}", name=name):
        try:
            return point.load()  # type: ignore[no-any-return]
        except (ImportError, AttributeError) as error:
            raise ComponentError(f"{name}: {point.value} cannot be imported ({error}); install its package.") from error
    choice = f"choose one of {', '.join(names(kind))}" if names(kind) else "no package here adds any"
    raise ComponentError(f"{name}: there is no such {kind} engine; {choice}.")
