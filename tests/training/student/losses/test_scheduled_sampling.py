"""Scheduled sampling: how often, and which tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.torch

SCHEDULES = ("linear", "exponential", "inverse sigmoid")
INPUTS = [[2, 0, 3, 4, 1], [2, 5, 1, 1, 1]]
"""Begin with the start token 2 and end in the padding 1."""
LIKELY = [[6, 7, 8, 9, 6], [7, 8, 9, 6, 7]]
"""What the first pass finds most likely after each."""


@pytest.mark.parametrize(
    ("schedule", "at"),
    [
        ("linear", {0: 0.0, 25: 0.25, 100: 1.0, 200: 1.0}),
        ("exponential", {0: 0.0, 50: 0.9, 100: 0.99}),
        ("inverse sigmoid", {0: 1 / 101, 50: 0.4987, 100: 0.99}),
    ],
)
def test_worked_schedules(schedule: str, at: dict[int, float]) -> None:
    from kidsnanny.training.student.losses.scheduled_sampling import probability

    found = {step: probability(step, 100, schedule=schedule) for step in at}  # type: ignore[arg-type]
    assert found == pytest.approx(at, abs=1e-4)


@given(schedule=st.sampled_from(SCHEDULES), steps=st.integers(1, 1000), highest=st.floats(0, 1), data=st.data())
def test_every_schedule_rises_to_the_highest(schedule: str, steps: int, highest: float, data: st.DataObject) -> None:
    from kidsnanny.training.student.losses.scheduled_sampling import probability

    def at(step: int) -> float:
        return probability(step, steps, highest=highest, schedule=schedule)  # type: ignore[arg-type]

    early, late = sorted(data.draw(st.tuples(st.integers(0, steps), st.integers(0, steps))))
    assert 0 <= at(early) <= at(late) <= at(steps) <= highest
    assert at(steps) >= 0.99 * highest - 1e-12


def mixed(probability: float, seed: int = 0) -> list[list[int]]:
    import torch

    from kidsnanny.training.student.losses.scheduled_sampling import mixed_inputs

    inputs = torch.tensor(INPUTS)
    found = mixed_inputs(inputs, torch.tensor(LIKELY), probability, torch.Generator().manual_seed(seed), inputs == 1)
    assert inputs.tolist() == INPUTS  # the first pass's are left as they were
    return found.tolist()  # type: ignore[no-any-return]


def test_a_token_is_replaced_by_what_was_likely_after_the_one_before_it() -> None:
    assert mixed(0.0) == INPUTS
    assert mixed(1.0) == [[2, 6, 7, 8, 1], [2, 7, 1, 1, 1]]


@given(seed=st.integers(0, 2**32))
def test_the_same_seed_replaces_the_same_tokens(seed: int) -> None:
    rows = mixed(0.5, seed)
    assert rows == mixed(0.5, seed)
    for row, true, likely in zip(rows, INPUTS, [[2, 6, 7, 8, 1], [2, 7, 1, 1, 1]], strict=True):
        assert all(token in pair for token, pair in zip(row, zip(true, likely, strict=True), strict=True))


def test_about_as_many_are_replaced_as_the_probability_says() -> None:
    import torch

    from kidsnanny.training.student.losses.scheduled_sampling import mixed_inputs

    inputs = torch.zeros(100, 101, dtype=torch.int64)
    keep = torch.zeros_like(inputs, dtype=torch.bool)
    found = mixed_inputs(inputs, torch.ones_like(inputs), 0.3, torch.Generator().manual_seed(0), keep)
    assert found[:, 1:].float().mean().item() == pytest.approx(0.3, abs=0.02)
