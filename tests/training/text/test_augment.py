"""What happens to a text on its way: the words stay, and a seed fixes all of it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidsnanny.training.text.augment import LONGEST_JOINED, WAYS, among, augmented, misread, mistyped

SEEDS = st.integers(0, 2**32)


@given(st.text(), SEEDS)
def test_the_same_seed_gives_the_same_text(text: str, seed: int) -> None:
    assert augmented(text, random.Random(seed)) == augmented(text, random.Random(seed))


@given(st.text(), SEEDS)
def test_no_errors_and_no_joins_leave_the_text(text: str, seed: int) -> None:
    assert misread(text, random.Random(seed), 0, 0) == text


@pytest.mark.parametrize("errors", [0.02, 0.1])
def test_so_many_characters_are_misread(errors: float) -> None:
    text = "thequickbrownfoxjumpsoverthelazydog" * 100
    read = misread(text, random.Random(0), errors, 0)
    kept = sum(a == b for a, b in zip(text[:200], read[:200], strict=False))
    assert read != text
    assert abs(len(read) - len(text)) < errors * len(text)
    assert kept > 0


@given(st.text(min_size=3, alphabet="abcdefg "), SEEDS)
def test_a_typing_error_changes_the_length_by_little(text: str, seed: int) -> None:
    assert abs(len(mistyped(text, random.Random(seed))) - len(text)) <= max(1, len(text) // 25)


@given(st.text(max_size=80), st.lists(st.text(max_size=80), min_size=1, max_size=8), SEEDS)
def test_the_text_stands_whole_among_others(text: str, others: list[str], seed: int) -> None:
    joined = among(text, others, random.Random(seed))
    assert text in joined
    assert len(joined) <= LONGEST_JOINED + 5


def test_the_shares_leave_the_plain_ones() -> None:
    assert sum(share for share, _ in WAYS) == pytest.approx(0.58)
