"""Operating points: no group of harmless texts alarms more often than it may, and what can be found is found."""

import numpy as np
import pytest

from kidsnanny.policy import Policy
from kidsnanny.training.text import operating_points
from kidsnanny.training.text.operating_points import Harmless, calibrations, points

RNG = np.random.default_rng(0)
LABELS = np.repeat(np.eye(3, dtype=bool), 100, axis=0)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shorter search is enough here."""
    monkeypatch.setattr(operating_points, "SEARCHES", 1)
    monkeypatch.setattr(operating_points, "STEPS", 2_000)


def logits(count: int, column: int, mean: float) -> np.ndarray:
    """Normal ones about -3, but for one column's."""
    found = RNG.normal(-3, 1, (count, 3))
    found[:, column] += 3 + mean
    return found.astype(np.float32)


HARMFUL = np.concatenate([logits(100, 0, 4), logits(100, 1, 3), logits(100, 2, -3)])  # the third is never told apart
GROUPS = {
    "plain": Harmless(RNG.normal(-3, 1, (400, 3)).astype(np.float32), 0.01),
    "look-alikes": Harmless(logits(300, 1, 1.5), 0.02),
}


@pytest.mark.parametrize("part", [1.0, 0.2])
def test_no_group_alarms_more_often_than_it_may(part: float) -> None:
    groups = {name: group._replace(share=part * group.share) for name, group in GROUPS.items()}
    found = points(HARMFUL, LABELS, groups)
    for group in groups.values():
        assert (group.logits >= found).any(axis=1).mean() <= group.share


def test_what_can_be_told_apart_is_found() -> None:
    found = points(HARMFUL, LABELS, GROUPS)
    recall = [(HARMFUL[column] >= found).any(axis=1).mean() for column in LABELS.T]
    assert recall[0] > 0.95
    assert 0.1 < recall[1] < 0.95
    assert recall[2] < 0.1


def test_the_points_lie_on_the_policys_thresholds() -> None:
    """At the first one a score is `preteen`'s `review`, at the second its `block` or less."""
    names = ("violence", "hate", "scam")
    found = calibrations(names, HARMFUL, LABELS, GROUPS)
    rules = Policy.load("preteen").categories
    for column, threshold in enumerate(points(HARMFUL, LABELS, GROUPS)):
        one = found[names[column]]
        assert 1 / (1 + np.exp(-(one.slope * threshold + one.offset))) == pytest.approx(rules[names[column]].review)
