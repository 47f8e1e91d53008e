"""Two operating points per category, on texts that the model was not trained on, and the calibration they give.

At the high-recall point few harmless texts alarm, at the high-precision one hardly any. The calibration puts the first
on the policy `preteen`'s `review` threshold and the second on its `block`. What counts is that a text alarms at all, so
the points of all categories are chosen together.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kidsnanny.policy import Policy
from kidsnanny.stage2.text_encoder import CategoryCalibration
from kidsnanny.taxonomy import Category

HIGH_RECALL = {"look-alikes": 0.018, "plain": 0.0045, "public": 0.008}
"""Share of a group of harmless texts that may alarm in any category; `public` is that of each public source."""
HIGH_PRECISION = 0.2
"""Of those shares."""
SEARCHES, STEPS, STEP_SIZES = 8, 6_000, (0.05, 0.1, 0.2, 0.4, 0.8)
"""The best of so many searches is taken, each of so many steps, as logits."""
EVENNESS = 0.3
"""What the mean of log(0.1 + recall) over the categories counts, against the recall of all harm: the first half of a
category is worth more than the second."""
MARGIN = 0.1
"""A harmless text so little below a threshold counts as an alarm: computed in bytes, a logit depends by that much on
the texts that are computed with it."""
LEAST_SPAN = 0.7
"""Between a category's two points, as logits: fewer lines do not tell them apart."""
Logits = npt.NDArray[np.float32]


class Harmless(NamedTuple):
    """A group of harmless texts: its logits (texts, categories), and the share that may alarm."""

    logits: Logits
    share: float


def points(harmful: Logits, labels: npt.NDArray[np.bool_], harmless: Mapping[str, Harmless]) -> npt.NDArray[np.float64]:
    """A threshold per category. A search in random steps: each lowers one threshold and may raise another, and is kept
    if no group alarms more often than it may and what is found is worth no less.

    Args:
        harmful: logits of harmful texts (texts, categories).
        labels: which categories they are of, in the same shape.
        harmless: by name of the group.

    Returns:
        A category that cannot alarm without too many false alarms has a threshold above every text's logit.
    """
    groups = list(harmless.values())
    of_category = [harmful[column] for column in labels.T if column.any()]
    highest = max(float(logits.max()) for logits in (harmful, *(group.logits for group in groups))) + LEAST_SPAN

    def worth(thresholds: npt.NDArray[np.float64]) -> float:
        recalls = np.array([(logits >= thresholds).any(axis=1).mean() for logits in of_category])
        return float((harmful >= thresholds).any(axis=1).mean() + EVENNESS * np.log(0.1 + recalls).mean())

    def search(rng: np.random.Generator) -> tuple[float, npt.NDArray[np.float64]]:
        found = np.full(harmful.shape[1], highest)
        best = worth(found)
        for _ in range(STEPS):
            lowered, raised = rng.integers(len(found), size=2)
            tried = found.copy()
            tried[lowered] -= rng.choice(STEP_SIZES)
            if rng.random() < 0.5:
                tried[raised] = min(highest, tried[raised] + rng.choice(STEP_SIZES))
            allowed = all((group.logits >= tried - MARGIN).any(axis=1).mean() <= group.share for group in groups)
            if allowed and (value := worth(tried)) >= best:
                found, best = tried, value
        return best, found

    return max((search(np.random.default_rng(seed)) for seed in range(SEARCHES)), key=lambda one: one[0])[1]


def calibrations(
    categories: tuple[Category, ...],
    harmful: Logits,
    labels: npt.NDArray[np.bool_],
    harmless: Mapping[str, Harmless],
) -> dict[Category, CategoryCalibration]:
    """The calibration of each category; its recall is not measured yet. The arguments are those of `points`."""
    strict = {name: group._replace(share=group.share * HIGH_PRECISION) for name, group in harmless.items()}
    low, high = points(harmful, labels, harmless), points(harmful, labels, strict)
    rules = Policy.load("preteen").categories
    found: dict[Category, CategoryCalibration] = {}
    for column, category in enumerate(categories):
        review, block = _logit(rules[category].review), _logit(rules[category].block)
        slope = (block - review) / max(LEAST_SPAN, high[column] - low[column])
        offset = review - slope * low[column]
        found[category] = CategoryCalibration(slope=slope, offset=offset)
    return found


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
