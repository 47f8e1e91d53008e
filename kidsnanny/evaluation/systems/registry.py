"""The systems that can be evaluated, by name: ours, the paper's baselines, and one that is asked elsewhere.

A system's module is imported when the system is built, so that listing the names costs nothing.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kidsnanny.evaluation.systems.system import Options, System


def _factory(module: str, function: str, *arguments: str) -> "Callable[[Options], System]":
    def build(options: "Options") -> "System":
        system: System = getattr(import_module(f"{__package__}.{module}"), function)(*arguments, options)
        return system

    return build


SYSTEMS: "dict[str, Callable[[Options], System]]" = {
    "embedded": _factory("pipelines", "ours", "embedded"),
    "standard": _factory("pipelines", "ours", "standard"),
    "senben": _factory("pipelines", "ours", "senben"),
    "falconsai": _factory("card_models", "classifier", "falconsai", "falconsai-nsfw"),
    "adamcodd": _factory("card_models", "classifier", "adamcodd", "adamcodd-nsfw"),
    "freepik": _factory("card_models", "classifier", "freepik", "freepik-nsfw"),
    "nudenet": _factory("card_models", "detector", "nudenet", "nudenet-320n"),
    "nudenet-path": _factory("nudenet", "nudenet_path"),
    "shieldgemma2": _factory("shieldgemma2", "shieldgemma2"),
    "llavaguard": _factory("llavaguard", "llavaguard"),
    "nsfwjs": _factory("nsfwjs", "nsfwjs"),
    "openai-moderation": _factory("openai_moderation", "openai_moderation"),
}
"""How each is built; raises a ComponentError that says what is missing."""
