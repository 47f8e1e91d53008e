"""Baselines that are a Stage 1 of ours and nothing else: the paper's classifiers and NudeNet, by their cards.

They get every frame, upright and in RGB, through our door. A category's score is what the card says its labels are
worth: for two classes the probability of the one, for Freepik's four levels the expected level, for NudeNet the
strongest detection times its weight.
"""

from kidsnanny.evaluation.predictions import SystemDescription
from kidsnanny.evaluation.systems.pipelines import Composed, licences
from kidsnanny.evaluation.systems.system import HALF, NOT_FOUND, Options
from kidsnanny.pipeline import Pipeline
from kidsnanny.stage1.classifier import Classifier
from kidsnanny.stage1.detector import Yolo
from kidsnanny.stage1.stage1 import Stage1


def classifier(name: str, card: str, options: Options) -> Composed:
    """A ViT by its card.

    Raises:
        ComponentError: the weights or a package are missing.
    """
    rule = "the sum over the card's labels of probability times weight, of the loudest frame"
    return _alone(name, Classifier(card), rule, options)


def detector(name: str, card: str, options: Options) -> Composed:
    """A YOLO by its card.

    Raises:
        ComponentError: the weights or a package are missing.
    """
    rule = "the strongest detection in any frame or tile, fed RGB, times its label's weight in the card"
    return _alone(name, Yolo(card), rule, options)


def _alone(name: str, eye: Stage1, rule: str, options: Options) -> Composed:
    threshold, origin = options.threshold(name, HALF, NOT_FOUND)
    about = SystemDescription(
        name=name,
        regime="vision-only",
        categories=tuple(sorted(frozenset().union(*eye.eyes.values()))),
        rule=f"{rule}; unsafe from the threshold on",
        licence=licences(eye.models),
        threshold=threshold,
        origin=origin,
        models={"stage1": "+".join(eye.models)},
        policy=options.policy.version,
    )
    return Composed(Pipeline(stage1=eye, stage2=None, policy=options.policy), (about,))
