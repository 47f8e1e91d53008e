"""The systems that can be evaluated, by name: ours, the paper's baselines, and one that is asked elsewhere."""

from collections.abc import Callable
from functools import partial

from kidsnanny.evaluation.systems.card_models import classifier, detector
from kidsnanny.evaluation.systems.llavaguard import llavaguard
from kidsnanny.evaluation.systems.nsfwjs import nsfwjs
from kidsnanny.evaluation.systems.nudenet import nudenet_path
from kidsnanny.evaluation.systems.openai_moderation import openai_moderation
from kidsnanny.evaluation.systems.pipelines import ours
from kidsnanny.evaluation.systems.shieldgemma2 import shieldgemma2
from kidsnanny.evaluation.systems.system import Options, System

SYSTEMS: dict[str, Callable[[Options], System]] = {
    "embedded": partial(ours, "embedded"),
    "standard": partial(ours, "standard"),
    "senben": partial(ours, "senben"),
    "falconsai": partial(classifier, "falconsai", "falconsai-nsfw"),
    "adamcodd": partial(classifier, "adamcodd", "adamcodd-nsfw"),
    "freepik": partial(classifier, "freepik", "freepik-nsfw"),
    "nudenet": partial(detector, "nudenet", "nudenet-320n"),
    "nudenet-path": nudenet_path,
    "shieldgemma2": shieldgemma2,
    "llavaguard": llavaguard,
    "nsfwjs": nsfwjs,
    "openai-moderation": openai_moderation,
}
"""How each is built; raises a ComponentError that says what is lacking."""
