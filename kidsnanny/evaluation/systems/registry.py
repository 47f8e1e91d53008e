"""The systems that can be evaluated, by name: ours, ours with another part, the paper's baselines, and one that is
asked elsewhere.

A system's module is imported when the system is built, so that listing the names costs nothing.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from kidsnanny.profiles.engine_registry import factory, names
from kidsnanny.taxonomy import UNSAFEBENCH

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
    "text-given": _factory("text_systems", "text_given"),
    "rapidocr": _factory("ocr_engines", "read_by", "rapidocr"),
    "tesseract": _factory("ocr_engines", "read_by", "tesseract"),
    "paddleocr": _factory("ocr_engines", "read_by", "paddleocr"),
    "keywords": _factory("text_systems", "keywords"),
    "falconsai": _factory("card_models", "classifier", "falconsai", "falconsai-nsfw"),
    "adamcodd": _factory("card_models", "classifier", "adamcodd", "adamcodd-nsfw"),
    "freepik": _factory("card_models", "classifier", "freepik", "freepik-nsfw"),
    "nudenet": _factory("card_models", "detector", "nudenet", "nudenet-320n"),
    "nudenet-path": _factory("nudenet", "nudenet_path"),
    "q16": _factory("unsafebench_classifiers", "unsafebench_classifier", "q16", "q16"),
    "multiheaded": _factory("unsafebench_classifiers", "unsafebench_classifier", "multiheaded", "multiheaded"),
    "sd-filter": _factory("unsafebench_classifiers", "unsafebench_classifier", "sd-filter", "sd-filter"),
    "nsfw-detector": _factory("unsafebench_classifiers", "unsafebench_classifier", "nsfw-detector", "nsfw-detector"),
    "nudenet-classifier": _factory("card_models", "classifier", "nudenet-classifier", "nudenet-classifier"),
    "shieldgemma2": _factory("shieldgemma2", "shieldgemma2"),
    "llavaguard": _factory("llavaguard", "llavaguard"),
    "nsfwjs": _factory("nsfwjs", "nsfwjs"),
    "perspective-vlm": _factory("perspective_vlm", "perspective_vlm"),
    "openai-moderation": _factory("openai_moderation", "openai_moderation"),
}
"""How each is built; raises a ComponentError that says what is missing."""

ONE_REGIME = frozenset({"rapidocr", "tesseract", "paddleocr", "keywords"})
"""Those whose one row is `NAME:multimodal`, whatever the regimes that are asked for."""

EVALUATED_ON: dict[str, tuple[str, ...]] = {
    "q16": tuple(name for name in UNSAFEBENCH if name not in ("Sexual", "Spam")),
    "multiheaded": ("Sexual", "Violence", "Shocking", "Hate", "Political"),
    "sd-filter": ("Sexual",),
    "nsfw-detector": ("Harassment", "Sexual"),
    "perspective-vlm": tuple(UNSAFEBENCH),
}
"""System -> UnsafeBench's categories that the paper evaluates it on, for some of which none of ours stands. Of the
others it has no score."""

SLOW = {"nsfwjs": "it computes in plain JavaScript, which takes seconds a picture (9 to 10 on two busy cores)"}
"""What must be said before a system starts that takes far longer than the others."""


def system_names() -> tuple[str, ...]:
    """The built-in systems, and the baselines that other packages add (entry points `kidsnanny.baselines`)."""
    return (*SYSTEMS, *names("baselines"))


def build_system(name: str, options: "Options") -> "System":
    """The system of that name: one of `system_names()`, or a profile of `options.profiles`.

    Raises:
        ComponentError: something that it needs is missing.
    """
    if name in options.profiles:
        return _factory("pipelines", "ours", str(options.profiles[name]))(options)
    if name in SYSTEMS:
        return SYSTEMS[name](options)
    system: System = factory("baselines", name)(options)
    return system
