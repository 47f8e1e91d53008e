"""Baselines that are one model of ours and nothing else: the paper's classifiers and NudeNet, by their cards.

They get every frame, upright and in RGB, from our loader. A category's score follows from the weights of the labels in
the card: for two classes the probability of the one, for Freepik's four levels the expected level, for NudeNet the
strongest detection times its weight.
"""

from kidsnanny.evaluation.predictions import SystemDescription
from kidsnanny.evaluation.systems.pipelines import PipelineSystem, licences
from kidsnanny.evaluation.systems.system import HALF, NOT_FOUND, Options
from kidsnanny.pipeline import Pipeline
from kidsnanny.stage1.classifier import Classifier
from kidsnanny.stage1.detector import Yolo
from kidsnanny.stage1.stage1 import Stage1


def classifier(name: str, card: str, options: Options) -> PipelineSystem:
    """A ViT by its card.

    Raises:
        ComponentError: the weights or a package are missing.
    """
    rule = "the sum over the card's labels of probability times weight, of the loudest frame"
    return _alone(name, Classifier(card), rule, options)


def detector(name: str, card: str, options: Options) -> PipelineSystem:
    """A YOLO by its card.

    Raises:
        ComponentError: the weights or a package are missing.
    """
    rule = "the strongest detection in any frame or tile, fed RGB, times its label's weight in the card"
    return _alone(name, Yolo(card), rule, options)


def _alone(name: str, model: Stage1, rule: str, options: Options) -> PipelineSystem:
    threshold, origin = options.threshold(name, HALF, NOT_FOUND)
    about = SystemDescription(
        name=name,
        regime="vision-only",
        categories=tuple(sorted(frozenset().union(*model.categories.values()))),
        rule=f"{rule}; unsafe from the threshold on",
        licence=licences(model.models),
        threshold=threshold,
        origin=origin,
        models={"stage1": model.models},
        policy=options.policy.version,
    )
    return PipelineSystem(Pipeline(stage1=model, stage2=None, policy=options.policy), (about,))
