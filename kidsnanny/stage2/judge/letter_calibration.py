"""What a model's letters mean: raw probabilities of Y turned into P(unsafe), as the model's card has measured it."""

import math
from collections.abc import Mapping

from kidsnanny.models.cards import JudgeCard, LetterCalibration, cards
from kidsnanny.taxonomy import Category

EDGE = 1e-4
"""Raw probabilities are kept so far from 0 and 1, where their logits are finite."""


def letters_of(model: str, prompt: str) -> dict[Category, LetterCalibration]:
    """The calibration in the card of the served model's name; empty if it has none for this prompt.

    Args:
        model: as the server names it.
        prompt: the version of the verdict's prompt.

    Raises:
        WeightsError: a file of cards is malformed.
    """
    card = cards().get(model)
    return card.letters if isinstance(card, JudgeCard) and card.prompt == prompt else {}


def calibrated(
    scores: Mapping[Category, float], letters: Mapping[Category, LetterCalibration]
) -> dict[Category, float]:
    """P(unsafe), 0..1: sigmoid(logit(raw) / temperature + bias) of the categories that have been measured, the raw
    score of the others. (Platt scaling, of the letter's logit.)"""
    return {
        category: _platt(raw, letters[category]) if category in letters else raw for category, raw in scores.items()
    }


def _platt(raw: float, letter: LetterCalibration) -> float:
    kept = min(max(raw, EDGE), 1 - EDGE)
    moved = math.log(kept / (1 - kept)) / letter.temperature + letter.bias
    return (1 + math.tanh(moved / 2)) / 2  # the sigmoid, without its overflow
