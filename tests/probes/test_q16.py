"""Q16's scores: the definition of the papers, recomputed here one number after another."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidsnanny.probes.q16 import CHUNK, Q16


def straight(prompts: np.ndarray, row: np.ndarray) -> list[float]:
    """100 times the cosine with each of the two, number after number."""

    def cosine(a: list[float], b: list[float]) -> float:
        return math.fsum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    return [100 * cosine(prompt, row.tolist()) for prompt in prompts.tolist()]


@given(st.integers(1, 768), st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_logits_are_a_hundred_times_the_cosine_to_a_hundred_thousandth(
    width: int, seed: int, long: float, longer: float
) -> None:
    draw = np.random.default_rng(seed)
    prompts = (long * draw.standard_normal((2, width))).astype(np.float32)
    rows = (longer * draw.standard_normal((3, width))).astype(np.float32)
    found = Q16(prompts).logits(rows)
    assert found.dtype == np.float32
    assert np.abs(found - [straight(prompts, row) for row in rows]).max() <= 1e-5


@pytest.mark.parametrize(
    ("row", "logits", "inappropriate"),
    [
        ([1, 0], (100, 0), 0.0),
        ([0, 5], (0, 100), 1.0),
        ([3, 3], (70.7107, 70.7107), 0.5),
        ([-1, 0], (-100, 0), 1.0),
        ([0, 0], (0, 0), 0.5),
    ],
)
def test_a_row_near_the_second_vector_is_inappropriate(row: list[float], logits: tuple, inappropriate: float) -> None:
    probe = Q16([[2, 0], [0, 0.5]])
    rows = np.array([row], np.float32)
    assert probe.logits(rows)[0] == pytest.approx(logits, abs=1e-4)
    assert probe.inappropriate(rows)[0] == pytest.approx(inappropriate)
    assert probe.probabilities(rows)[0] == pytest.approx((1 - inappropriate, inappropriate))


def test_the_probability_is_the_softmax_of_the_logits() -> None:
    draw = np.random.default_rng(1)
    probe, rows = Q16(draw.standard_normal((2, 16))), draw.standard_normal((20, 16)).astype(np.float32)
    powers = np.exp(probe.logits(rows).astype(np.float64))
    assert probe.inappropriate(rows) == pytest.approx(powers[:, 1] / powers.sum(axis=1), abs=1e-5)


def test_many_rows_are_scored_as_one_by_one() -> None:
    draw = np.random.default_rng(2)
    probe, rows = Q16(draw.standard_normal((2, 4))), draw.standard_normal((CHUNK + 3, 4)).astype(np.float32)
    together = probe.inappropriate(rows)
    assert together.shape == (CHUNK + 3,)
    for n in (0, CHUNK - 1, CHUNK, CHUNK + 2):
        assert probe.inappropriate(rows[n : n + 1])[0] == pytest.approx(together[n], abs=1e-6)
    assert probe.inappropriate(rows[:0]).shape == (0,)


def test_rows_are_left_alone() -> None:
    rows = np.ones((2, 3), np.float32)
    rows.flags.writeable = False
    Q16(np.eye(2, 3)).logits(rows)


@pytest.mark.parametrize("prompts", [np.zeros((2, 3)), [[1, 2]], [1, 2], [[1, np.nan], [1, 1]], np.ones((3, 4))])
def test_what_is_no_two_vectors_is_refused(prompts: object) -> None:
    with pytest.raises(ValueError, match=r"vector|expected"):
        Q16(prompts)


@pytest.mark.parametrize("shape", [(2,), (2, 4), (2, 3, 1)])
def test_rows_of_another_width_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="rows of 3 numbers"):
        Q16(np.eye(2, 3)).logits(np.zeros(shape, np.float32))
