"""What a model's letters mean: raw probabilities of Y turned into P(unsafe), as the model's card has measured it."""

import math
from collections.abc import Mapping

from kidsnanny.models.cards import JudgeCard, LetterCalibration, cards
from kidsnanny.stage2.judge.judge import Opinion
from kidsnanny.taxonomy import Category

EDGE = 1e-4
"""Raw probabilities are kept so far from 0 and 1, where their logits are finite."""


def as_measured(scores: dict[Category, float], model: str, prompt: str, *, form_measured: bool = True) -> Opinion:
    """An answer as far as its model was measured. A model that has no card of a judge counts as it answers, and lowers
    what the policy lets it; one that has a card lowers no category that the card does not name.

    Args:
        scores: P(unsafe) by category as the letters say it, 0..1.
        model: as the server names it.
        prompt: the version of the prompt that was answered.
        form_measured: whether the answer has the form in which a model is measured.

    Raises:
        WeightsError: a file of cards is malformed.
    """
    card = cards().get(model)
    if not isinstance(card, JudgeCard):
        return Opinion(scores=scores)
    if not (form_measured and card.prompt == prompt):
        return Opinion(scores=scores, lowers=())
    return Opinion(scores=calibrated(scores, card.letters), lowers=card.lowers)


def has_letters(model: str, prompt: str) -> bool:
    """Whether the card of the served model's name calibrates the letters for this prompt."""
    card = cards().get(model)
    return isinstance(card, JudgeCard) and card.prompt == prompt and bool(card.letters)


def calibrated(
    scores: Mapping[Category, float], letters: Mapping[Category, LetterCalibration]
) -> dict[Category, float]:
    """P(unsafe), 0..1: sigmoid(logit(raw) / temperature + bias) of the categories that have been measured (Platt
    scaling, of the letter's logit); 0 of the others, whose letters have no meaning. Without letters the raw scores."""
    if not letters:
        return dict(scores)
    return {
        category: _platt(raw, letters[category]) if category in letters else 0.0 for category, raw in scores.items()
    }


def _platt(raw: float, letter: LetterCalibration) -> float:
    kept = min(max(raw, EDGE), 1 - EDGE)
    moved = math.log(kept / (1 - kept)) / letter.temperature + letter.bias
    return (1 + math.tanh(moved / 2)) / 2  # the sigmoid, without its overflow
