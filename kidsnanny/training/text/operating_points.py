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

HIGH_RECALL = {"look-alikes": 0.018, "plain": 0.004, "public": 0.008}
"""Share of a group of harmless texts that may alarm in any category; `public` is that of each public source."""
HIGH_PRECISION = 0.2
"""Of those shares."""
LEAST_SPAN = 0.7
"""Between a category's two points, as logits: fewer lines do not tell them apart."""
Logits = npt.NDArray[np.float32]


class Harmless(NamedTuple):
    """A group of harmless texts: its logits (texts, categories), and the share that may alarm."""

    logits: Logits
    share: float


def points(harmful: Mapping[int, Logits], harmless: Mapping[str, Harmless]) -> npt.NDArray[np.float64]:
    """A threshold per category, chosen one step after another: each lowers the threshold that gains most recall for the
    alarms it costs, until the next would let too many texts of a group alarm.

    Args:
        harmful: column -> that category's logits of its harmful texts.
        harmless: by name of the group.
    """
    steps = {column: np.sort(values)[::-1] for column, values in harmful.items()}
    taken = dict.fromkeys(steps, 0)
    found = np.full(len(steps), np.inf)
    groups = list(harmless.values())

    def cost(thresholds: npt.NDArray[np.float64]) -> float:
        """Of the group that comes nearest to its share, 1 is the share."""
        return max(float((group.logits >= thresholds).any(axis=1).mean()) / group.share for group in groups)

    def utility(column: int, count: int) -> float:
        return math.log(0.1 + count / len(steps[column]))  # the first half of a category is worth more than the second

    spent = 0.0
    open_ = set(steps)
    while open_:
        best: tuple[float, int, int, float] | None = None
        for column in sorted(open_):
            size = max(1, len(steps[column]) // 100)
            count = min(taken[column] + size, len(steps[column]))
            lowered = found.copy()
            lowered[column] = steps[column][count - 1]
            now = cost(lowered)
            if now > 1 or count == taken[column]:
                open_.discard(column)
                continue
            gain = utility(column, count) - utility(column, taken[column])
            worth = gain / (now - spent + 1e-3)
            if best is None or worth > best[0]:
                best = (worth, column, count, now)
        if best:
            _, column, count, spent = best
            taken[column], found[column] = count, steps[column][count - 1]
    highest = max(float(group.logits.max()) for group in groups)
    return np.where(np.isinf(found), highest + LEAST_SPAN, found)


def calibrations(
    categories: tuple[Category, ...], harmful: Mapping[int, Logits], harmless: Mapping[str, Harmless]
) -> dict[Category, CategoryCalibration]:
    """The calibration of each category; its recall is not measured yet."""
    strict = {name: group._replace(share=group.share * HIGH_PRECISION) for name, group in harmless.items()}
    low, high = points(harmful, harmless), points(harmful, strict)
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
